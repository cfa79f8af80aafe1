"""Conversations that outlive connections and processes: by Google's SDKs, with tokens alone, and
by the command line's own client.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from conformance.samples import link_packages, node
from conformance.sdk import MODEL, turn
from conformance.servers import Running, free_port, serving_on
from serving import until
from store.redis_server import RedisServer, redis_server
from vivavoce.client.audio import ClockSpeaker
from vivavoce.client.conversation import ClientConversation, ConversationObserver, Turn
from vivavoce.client.messages import (
    ResumptionUpdateMessage,
    ServerMessage,
    SessionOptions,
    TurnCompleteMessage,
)
from vivavoce.client.session import ServerEndpoint, connect_resumably
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.store import build_store
from vivavoce.store.checkpoints import decode_checkpoint
from vivavoce.store.port import SavedSession, digest_secret

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.e2e,
    pytest.mark.usefixtures("trusted"),
    # The SDK and what it stands on warn of matters of their own.
    pytest.mark.filterwarnings("default"),
]

DRIVER = Path(__file__).parent / "node" / "tokens.mjs"
ASKED = "What did I tell you before?"
KEY = "the-backends-key"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Where servers keep their sessions, as environment variables."""
    settings = {"VIVAVOCE_SERVER__KEYS": KEY, "VIVAVOCE_STORE__USE": request.param}
    if request.param == "sqlite":
        return settings | {"VIVAVOCE_STORE__PATH": str(tmp_path / "state.sqlite3")}
    server: RedisServer = request.getfixturevalue("redis")
    return settings | {"VIVAVOCE_STORE__URL": server.url, "VIVAVOCE_STORE__PREFIX": tmp_path.name}


@contextmanager
def killed_and_started_again(
    place: dict[str, str],
) -> Iterator[tuple[Running, Callable[[], Running]]]:
    """A server, and what kills it by its id and starts another in its place."""
    port = free_port()
    with ExitStack() as servers:
        first = servers.enter_context(serving_on(port, "scripted", place))

        def again() -> Running:
            first.process.kill()
            first.process.wait()
            return servers.enter_context(serving_on(port, "scripted", place))

        yield first, again


async def written(place: dict[str, str], handle: str) -> Checkpoint:
    """What a store holds for a handle; it is taken, as by a connection."""
    store = build_store(
        place["VIVAVOCE_STORE__USE"],
        Path(place.get("VIVAVOCE_STORE__PATH", "")),
        place.get("VIVAVOCE_STORE__URL", ""),
        place.get("VIVAVOCE_STORE__PREFIX", ""),
    )
    await store.start()
    owner = f"config:{digest_secret(KEY)[:12]}"
    taken = await store.take_session(digest_secret(handle), owner, MODEL, 0.0, exact=False)
    await store.aclose()
    assert isinstance(taken, SavedSession), taken
    checkpoint = decode_checkpoint(taken.data, taken.media)
    assert checkpoint is not None
    return checkpoint


def history(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    return [(content.role.value, content.text) for content in checkpoint.history]


WHOLE = [
    ("user", "My name is Ada"), ("model", "My name is Ada"),
    ("user", ASKED), ("model", "My name is Ada"),
]  # fmt: skip


# --- Python -------------------------------------------------------------------------------------


@asynccontextmanager
async def connected(genai: Any, server: Running, token: str, handle: str) -> AsyncIterator[Any]:
    options = {"base_url": server.url, "api_version": "v1alpha"}
    client = genai.Client(api_key=token, http_options=options)
    config = {"response_modalities": ["TEXT"], "session_resumption": {"handle": handle or None}}
    async with client.aio.live.connect(model=MODEL, config=config) as session:
        yield session


async def part(genai: Any, server: Running, token: str, handle: str, text: str) -> tuple[str, str]:
    """One turn of a conversation: what was answered, and the handle that contains it."""
    async with connected(genai, server, token, handle) as session:
        await handle_of(session)  # the one of the beginning might come as late as the answer
        await session.send_client_content(turns={"parts": [{"text": text}]})
        answer = "".join(message.text or "" for message in await turn(session))
        return answer, await handle_of(session)


async def handle_of(session: Any) -> str:
    """The next handle that the server tells."""
    async with asyncio.timeout(10):
        async for message in session.receive():
            update = message.session_resumption_update
            if update is not None and update.resumable:
                return str(update.new_handle)
    raise AssertionError("no handle came")


async def test_python_goes_on_after_the_server_was_killed(
    genai: Any, place: dict[str, str]
) -> None:
    with killed_and_started_again(place) as (server, again):
        options = {"base_url": server.url, "api_version": "v1alpha"}
        maker = genai.Client(api_key=KEY, http_options=options)
        token = (await maker.aio.auth_tokens.create(config={"uses": 1})).name
        said, handle = await part(genai, server, token, "", "My name is Ada")
        assert said == "My name is Ada"
        said, last = await part(genai, again(), token, handle, ASKED)
        assert said == "My name is Ada"
    assert history(await written(place, last)) == WHOLE


# --- JavaScript ---------------------------------------------------------------------------------


def drive(server: Running, folder: Path, **wanted: str) -> dict[str, Any]:
    """What the SDK's application has after one turn."""
    program = node()
    folder.mkdir()
    link_packages(folder)
    (folder / "tokens.mjs").write_text(DRIVER.read_text())
    told = server.lines(folder, program, "tokens.mjs", json.dumps(wanted))
    answer: dict[str, Any] = json.loads(told[-1])
    return answer


async def test_javascript_goes_on_after_the_server_was_killed(
    place: dict[str, str], tmp_path: Path
) -> None:
    with killed_and_started_again(place) as (server, again):
        first = drive(server, tmp_path / "first", key=KEY, text="My name is Ada")
        assert first["said"] == "My name is Ada", first
        assert first["token"].startswith("auth_tokens/")
        kept = {"token": first["token"], "handle": first["handle"]}
        then = drive(again(), tmp_path / "then", text=ASKED, **kept)
        assert then["said"] == "My name is Ada", then
    assert history(await written(place, then["handle"])) == WHOLE


# --- The command line's client ------------------------------------------------------------------


class Messages(ConversationObserver):
    """Keeps all that the server sends."""

    def __init__(self) -> None:
        self.messages: list[ServerMessage] = []

    def on_message(self, message: ServerMessage, turn: Turn | None) -> None:
        self.messages.append(message)


async def test_our_own_client_goes_on_by_itself_while_the_server_is_killed(
    place: dict[str, str],
) -> None:
    observer = Messages()
    came = observer.messages

    def handle_offered() -> bool:
        return any(isinstance(message, ResumptionUpdateMessage) for message in came)

    def handle_after_a_turn() -> bool:
        """Whether the newest handle contains the first turn."""
        turns = [at for at, message in enumerate(came) if isinstance(message, TurnCompleteMessage)]
        return bool(turns) and any(isinstance(m, ResumptionUpdateMessage) for m in came[turns[0] :])

    with killed_and_started_again(place) as (server, again):
        wishes = SessionOptions(model=MODEL, modality="TEXT")
        async with connect_resumably(ServerEndpoint(server.url, KEY), wishes) as session:
            talk = ClientConversation(session, ClockSpeaker(fast=True), observer=observer)

            async def course() -> bool:
                await until(handle_offered)  # that of the beginning might come after the answer
                await talk.send_text("My name is Ada")
                await until(handle_after_a_turn)
                await asyncio.to_thread(again)
                await talk.send_text(ASKED)
                return await talk.wait_for_turns(2, timeout_s=10)

            assert await talk.run_while_receiving(course())
    assert [turn.answer for turn in talk.log.turns] == ["My name is Ada"] * 2
    assert [turn.interrupted for turn in talk.log.turns] == [False, False]
