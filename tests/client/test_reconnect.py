from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from client.stub import READY, Peer, serving
from vivavoce.client.messages import (
    OutputTranscriptionMessage,
    ReconnectedMessage,
    ResumptionUpdateMessage,
    SessionClosed,
    SessionOptions,
)
from vivavoce.client.reconnect import ReconnectingSession, connect_resumably
from vivavoce.client.session import ServerEndpoint, ServerUnreachable


def offered(handle: str) -> dict[str, Any]:
    return {"sessionResumptionUpdate": {"newHandle": handle, "resumable": True}}


def said(words: str) -> dict[str, Any]:
    return {"serverContent": {"outputTranscription": {"text": words}}}


class Servers:
    """Plays one script after the other, each to the next connection; what each setup asked."""

    def __init__(self, *scripts: Callable[[Peer], Awaitable[None]]) -> None:
        self._scripts = iter(scripts)
        self.asked: list[Any] = []

    async def __call__(self, peer: Peer) -> None:
        setup = await peer.take()
        self.asked.append(setup["setup"].get("sessionResumption"))
        await next(self._scripts)(peer)


async def offering(peer: Peer) -> None:
    """Gives two handles, of which the second counts, and ends as a restart does."""
    await peer.say(READY, offered("h1"), offered("h2"))
    await peer.close(1011, "going")


async def refusing(peer: Peer) -> None:
    await peer.close(1011, "not yet")


async def greeting(peer: Peer) -> None:
    await peer.say(READY, said("again"))
    await peer.gone()


async def heard(session: ReconnectingSession, count: int) -> list[object]:
    return [await anext(session) for _ in range(count)]


async def test_the_conversation_goes_on_from_the_newest_handle() -> None:
    servers = Servers(offering, greeting)
    async with (
        serving(servers) as url,
        connect_resumably(ServerEndpoint(url), SessionOptions()) as session,
    ):
        first, second, resumed, words = await heard(session, 4)
    assert (first, second) == (ResumptionUpdateMessage("h1"), ResumptionUpdateMessage("h2"))
    assert isinstance(resumed, ReconnectedMessage)
    assert (resumed.ended.code, resumed.ended.reason) == (1011, "going")
    assert words == OutputTranscriptionMessage("again")
    assert servers.asked == [{}, {"handle": "h2"}]


async def test_a_server_that_is_not_back_yet_is_asked_again() -> None:
    servers = Servers(offering, refusing, refusing, greeting)
    async with (
        serving(servers) as url,
        connect_resumably(ServerEndpoint(url), SessionOptions()) as session,
    ):
        assert (await heard(session, 4))[-1] == OutputTranscriptionMessage("again")
    assert servers.asked[1:] == [{"handle": "h2"}] * 3


async def test_who_sends_meanwhile_waits_and_is_heard_by_the_next_connection() -> None:
    knocked, back = asyncio.Event(), asyncio.Event()
    arrived: list[dict[str, Any]] = []

    async def taking(peer: Peer) -> None:
        knocked.set()
        await back.wait()
        await peer.say(READY)
        arrived.append(await peer.take_until("clientContent"))
        await peer.gone()

    servers = Servers(offering, taking)
    async with (
        serving(servers) as url,
        connect_resumably(ServerEndpoint(url), SessionOptions()) as session,
    ):
        await heard(session, 2)
        reader = asyncio.ensure_future(anext(session))
        await knocked.wait()
        words = asyncio.ensure_future(session.send_text("are you there?"))
        await asyncio.sleep(0)
        assert not words.done()
        back.set()
        await words
        assert isinstance(await reader, ReconnectedMessage)
    assert arrived[0]["clientContent"]["turns"][0]["parts"] == [{"text": "are you there?"}]
    assert len(servers.asked) == 2


async def test_who_has_no_handle_ends_with_the_connection() -> None:
    async def ending(peer: Peer) -> None:
        await peer.say(READY, {"sessionResumptionUpdate": {}})
        await peer.close(1011, "going")

    servers = Servers(ending, greeting)
    async with (
        serving(servers) as url,
        connect_resumably(ServerEndpoint(url), SessionOptions()) as session,
    ):
        assert await heard(session, 1) == [ResumptionUpdateMessage("")]
        with pytest.raises(SessionClosed, match="going"):
            await anext(session)
    assert len(servers.asked) == 1


@pytest.mark.parametrize("code", [1000, 1007, 1008])
async def test_an_end_that_is_a_judgement_is_the_end(code: int) -> None:
    async def judging(peer: Peer) -> None:
        await peer.say(READY, offered("h1"))
        await peer.close(code, "that was that")

    servers = Servers(judging, greeting)
    async with (
        serving(servers) as url,
        connect_resumably(ServerEndpoint(url), SessionOptions()) as session,
    ):
        await heard(session, 1)
        with pytest.raises(SessionClosed, match="that was that"):
            await anext(session)
        with pytest.raises(SessionClosed, match="that was that"):
            await session.send_text("hello?")
    assert len(servers.asked) == 1


async def test_a_handle_that_is_refused_is_not_tried_again() -> None:
    async def unknown(peer: Peer) -> None:
        await peer.close(1008, "session not found")

    servers = Servers(offering, unknown, greeting)
    async with (
        serving(servers) as url,
        connect_resumably(ServerEndpoint(url), SessionOptions()) as session,
    ):
        await heard(session, 2)
        with pytest.raises(SessionClosed, match="session not found"):
            await anext(session)
        # Whoever comes later is told the same, and nobody is asked again.
        with pytest.raises(SessionClosed, match="session not found"):
            await session.send_text("hello?")
    assert len(servers.asked) == 2


async def test_a_server_that_stays_away_is_given_up() -> None:
    servers = Servers(offering)
    async with serving(servers) as url:
        opening = connect_resumably(ServerEndpoint(url), SessionOptions(), timeout_s=0.25)
        session = await opening.__aenter__()
        await heard(session, 2)
    try:
        with pytest.raises(ServerUnreachable, match="vivavoce serve"):
            await anext(session)
    finally:
        await opening.__aexit__(None, None, None)


async def test_our_own_end_of_it_ends_the_iteration() -> None:
    async with serving(Servers(greeting)) as url, asyncio.timeout(5):
        async with connect_resumably(ServerEndpoint(url), SessionOptions()) as session:
            await heard(session, 1)
            reader = asyncio.ensure_future(anext(session, None))
            await asyncio.sleep(0)
        assert await reader is None
