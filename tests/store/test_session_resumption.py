"""Sessions that go on over another connection, against a whole server in this process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from serving import TRANSCRIBED, Json, begin, connected, handle, serving, talk, until
from vivavoce.domain.ids import SessionId
from vivavoce.errors import StoreError
from vivavoce.store.memory import MemoryStore
from vivavoce.store.port import SavedSession

pytestmark = pytest.mark.integration

NOT_FOUND = (1008, "BidiGenerateContent session not found")


class FlakyStore(MemoryStore):
    """A store that can be away."""

    shared = True
    away = False

    async def ping(self) -> None:
        self._check()

    async def save_session(
        self, saved: SavedSession, handle: str, now: float, expires: float
    ) -> bool:
        self._check()
        return await super().save_session(saved, handle, now, expires)

    async def take_session(self, *arguments: Any, **named: Any) -> Any:
        self._check()
        return await super().take_session(*arguments, **named)

    async def renew_sessions(self, *arguments: Any, **named: Any) -> dict[SessionId, int]:
        self._check()
        return await super().renew_sessions(*arguments, **named)

    def _check(self) -> None:
        if self.away:
            raise StoreError("The store is away.")


def left_s(message: Json) -> float:
    return float(message["goAway"]["timeLeft"].removesuffix("s"))


async def test_a_session_goes_on_with_its_history(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        async with connected(server) as client:
            first = await begin(client)
            one = await handle(client)
            assert await talk(client, "remember the number seven") == "remember the number seven"
            two = await handle(client)
        assert one != two
        async with connected(server) as client:
            again = await begin(client, two)
            assert again["setupComplete"]["sessionId"] == first["setupComplete"]["sessionId"]
            three = await handle(client)
            assert await talk(client, "What did I tell you before?") == "remember the number seven"
        assert three not in (one, two)


async def test_without_asking_for_it_no_handle_is_sent(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as server,
        connected(server) as client,
        connected(server) as other,
    ):
        await client.set_up(**TRANSCRIBED)
        await client.say("hello")
        received = await client.turn()
        await begin(other)
        await handle(other)
        await talk(other, "hello")
        await handle(other)  # an update for the first client would have been sent before
        await client.socket.close()
        received += [json.loads(message) async for message in client.socket]
        assert not any("sessionResumptionUpdate" in message for message in received)


@pytest.mark.parametrize("wrong", ["nonsense", "x" * 100_000, "🗝"])
async def test_a_handle_that_was_never_issued_is_refused(tmp_path: Path, wrong: str) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        await client.send(
            setup={"model": "models/gemini-2.5-flash", "sessionResumption": {"handle": wrong}}
        )
        assert await client.closing() == NOT_FOUND


async def test_everything_may_change_but_the_model(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        async with connected(server) as client:
            await begin(client)
            kept = await handle(client)
        async with connected(server) as client:
            await client.send(
                setup={"model": "models/gemini-3.8-live", "sessionResumption": {"handle": kept}}
            )
            assert await client.closing() == (1007, "Request contains an invalid argument.")
        async with connected(server) as client:
            setup = {"systemInstruction": {"parts": [{"text": "sing"}]}}
            assert "setupComplete" in await begin(client, kept, **setup)


async def test_only_whose_it_is_may_resume_it(tmp_path: Path) -> None:
    async with serving(tmp_path, server__keys="mine,theirs") as server:
        async with connected(server, additional_headers={"x-goog-api-key": "mine"}) as client:
            await begin(client)
            kept = await handle(client)
        async with connected(server, additional_headers={"x-goog-api-key": "theirs"}) as client:
            await client.send(
                setup={"model": "models/gemini-2.5-flash-native-audio-preview-12-2025",
                       "sessionResumption": {"handle": kept}}
            )  # fmt: skip
            assert await client.closing() == NOT_FOUND
        async with connected(server, additional_headers={"x-goog-api-key": "mine"}) as client:
            assert "setupComplete" in await begin(client, kept)


async def test_the_newest_connection_wins_and_the_older_gets_the_reason(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as old:
        await begin(old)
        kept = await handle(old)
        async with connected(server) as new:
            assert "setupComplete" in await begin(new, kept)
            taken = (1008, "The session was resumed on another connection.")
            assert await old.closing() == taken
            assert await talk(new, "still here") == "still here"


async def test_the_newest_takes_over_what_the_older_was_in_the_midst_of(tmp_path: Path) -> None:
    """As when a telephone changes networks: nobody has told the server that it is gone."""
    async with serving(tmp_path) as server, connected(server) as old:
        await old.set_up(sessionResumption={})
        kept = await handle(old)
        await old.say("remember a long sentence with many words in it")
        while "serverContent" not in await old.receive():
            pass
        async with connected(server) as new:
            await begin(new, kept)
            asked = "remember a long sentence with many words in it"
            assert await talk(new, "What did I tell you before?") == asked


async def test_the_newest_wins_over_processes_too(tmp_path: Path) -> None:
    store = FlakyStore()
    async with (
        serving(tmp_path, store=store, renew_leases_s=0.05) as one,
        serving(tmp_path, store=store) as other,
        connected(one) as old,
        connected(other) as new,
    ):
        await begin(old)
        kept = await handle(old)
        assert await talk(old, "the number is seven") == "the number is seven"
        await begin(new, kept)
        assert (await old.closing())[0] == 1008
        assert await talk(new, "What did I tell you before?") == "the number is seven"


async def test_a_store_that_goes_and_comes_back_in_mid_conversation(tmp_path: Path) -> None:
    store = FlakyStore()
    async with (
        serving(tmp_path, store=store, renew_leases_s=0.05) as server,
        connected(server) as client,
    ):
        await begin(client)
        await handle(client)
        store.away = True
        while (update := (await client.receive()).get("sessionResumptionUpdate")) is None:
            pass
        assert update == {}, "not resumable, and no handle"
        assert await talk(client, "can you hear me") == "can you hear me"
        async with connected(server) as other:
            await other.send(setup={"model": "m", "sessionResumption": {"handle": "any"}})
            assert await other.closing() == (1011, "The service is currently unavailable.")
        store.away = False
        kept = await handle(client)
        async with connected(server) as new:
            await begin(new, kept)
            assert await talk(new, "What did I tell you before?") == "can you hear me"


async def test_a_connection_that_drops_in_mid_answer_keeps_what_was_asked(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        async with connected(server) as client:
            await client.set_up(sessionResumption={})
            kept = await handle(client)
            await client.say("remember a long sentence with many words in it")
            while "serverContent" not in await client.receive():
                pass
            client.socket.transport.abort()
        await until(lambda: len(server.sessions) == 0)
        async with connected(server) as client:
            await begin(client, kept)
            asked = "remember a long sentence with many words in it"
            assert await talk(client, "What did I tell you before?") == asked


async def test_a_server_that_goes_away_leaves_sessions_to_the_next(tmp_path: Path) -> None:
    store = FlakyStore()
    async with serving(tmp_path, store=store) as old, serving(tmp_path, store=store) as new:
        async with connected(old) as client:
            await begin(client)
            await handle(client)
            await talk(client, "I am Ada")
            kept = await handle(client)
            stopping = asyncio.ensure_future(old.stop())
            assert 0 < left_s(await client.receive()) <= 0.2
            assert (await client.closing())[0] == 1011
            await stopping
        async with connected(new) as client:
            await begin(client, kept)
            assert await talk(client, "What did I tell you before?") == "I am Ada"


async def test_transparent_resumption_counts_messages(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        await client.set_up(sessionResumption={"transparent": True}, **TRANSCRIBED)
        await handle(client)
        await client.say("one")
        await client.turn()
        update = (await client.receive())["sessionResumptionUpdate"]
        assert update["lastConsumedClientMessageIndex"] == "0"


async def test_lifetimes_are_announced(tmp_path: Path) -> None:
    flags: dict[str, Any] = {"session__connection_s": 0.4, "session__go_away_s": 0.2}
    async with serving(tmp_path, **flags) as server, connected(server) as client:
        await client.set_up()
        assert 0 < left_s(await client.receive()) <= 0.2
        code, reason = await client.closing()
        assert (code, reason.split(";")[0]) == (1011, "The connection has reached its lifetime")
