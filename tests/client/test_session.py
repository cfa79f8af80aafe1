from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from client.stub import READY, Peer, serving, spoken
from serving import serving as live_server
from vivavoce.client.messages import (
    AudioMessage,
    OutputTranscriptionMessage,
    ReconnectedMessage,
    ResumptionUpdateMessage,
    SessionClosed,
    SessionOptions,
    ToolCallMessage,
    TurnCompleteMessage,
)
from vivavoce.client.session import (
    ReconnectingSession,
    ServerEndpoint,
    ServerUnreachable,
    ServerUntrusted,
    connect,
    connect_resumably,
)
from vivavoce.domain.content import ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.errors import ConfigError

pytestmark = pytest.mark.integration


async def test_a_conversation_in_both_directions() -> None:
    peers: list[Peer] = []

    async def script(peer: Peer) -> None:
        peers.append(peer)
        await peer.take()
        await peer.say(READY)
        await peer.take()
        await peer.say({"toolCall": {"functionCalls": [{"id": "c1", "name": "lights"}]}})
        await peer.take()
        await peer.say(
            spoken(b"\x01\x02"),
            {"serverContent": {"outputTranscription": {"text": "done"}}},
            {"serverContent": {"turnComplete": True}, "usageMetadata": {"totalTokenCount": 9}},
        )
        await peer.gone()

    async with (
        serving(script) as url,
        connect(ServerEndpoint(url, key="k&1"), SessionOptions(model="m")) as live,
    ):
        assert live.id == "s-1"
        await live.send_text("turn on the lights")
        call = await anext(live)
        assert isinstance(call, ToolCallMessage)
        assert (call.calls[0].id, dict(call.calls[0].args)) == ("c1", {})
        await live.send_tool_response([ToolResult(CallId("c1"), "lights", {"ok": True})])
        assert [await anext(live) for _ in range(3)] == [
            AudioMessage(b"\x01\x02", 24_000),
            OutputTranscriptionMessage("done"),
            TurnCompleteMessage(),
        ]
    (peer,) = peers
    assert peer.path.startswith("/ws/google.ai.generativelanguage.v1beta.")
    assert peer.path.endswith("?key=k%261")
    assert peer.received[0]["setup"]["model"] == "models/m"
    assert peer.received[2]["toolResponse"]["functionResponses"][0]["id"] == "c1"


async def test_a_refusal_of_the_setup_has_its_code_and_reason() -> None:
    async def script(peer: Peer) -> None:
        await peer.take()
        await peer.close(1008, "models/x is not found")

    async with serving(script) as url:
        with pytest.raises(SessionClosed, match="models/x is not found") as fault:
            async with connect(ServerEndpoint(url), SessionOptions()):
                pass
    assert fault.value.code == 1008


@pytest.mark.parametrize("code", [1000, 1011])
async def test_the_servers_end_of_a_session_is_said_with_its_code(code: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        await peer.close(code, "over")

    async with serving(script) as url, connect(ServerEndpoint(url), SessionOptions()) as live:
        with pytest.raises(SessionClosed) as fault:
            await anext(live)
    assert (fault.value.code, fault.value.reason) == (code, "over")


async def test_our_own_end_of_a_session_ends_the_iteration() -> None:
    async def script(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        await peer.gone()

    async with serving(script) as url, asyncio.timeout(5):
        async with connect(ServerEndpoint(url), SessionOptions()) as live:
            reader = asyncio.ensure_future(anext(live, None))
            await asyncio.sleep(0)
        assert await reader is None


async def test_anything_before_setup_complete_is_refused() -> None:
    async def script(peer: Peer) -> None:
        await peer.take()
        await peer.say({"serverContent": {"turnComplete": True}})
        await peer.gone()

    async with serving(script) as url:
        with pytest.raises(SessionClosed, match="not setupComplete"):
            async with connect(ServerEndpoint(url), SessionOptions()):
                pass


async def test_an_absent_server_is_reported_with_a_fix() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ServerUnreachable, match="vivavoce serve") as fault:
            async with connect(ServerEndpoint(url), SessionOptions()):
                pass
    assert fault.value.problem == f"No Live server answers at {url} (Connection refused)."


async def test_a_name_with_several_addresses_has_its_reason_in_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://localhost:{taken.getsockname()[1]}"
        with pytest.raises(ServerUnreachable) as fault:
            async with connect(ServerEndpoint(url), SessionOptions()):
                pass
    assert "('" not in fault.value.problem


async def test_a_name_that_leads_nowhere_is_said_so() -> None:
    with pytest.raises(ServerUnreachable, match=r"\((Name or service not known|.*resolution)\)"):
        async with connect(ServerEndpoint("http://nowhere.invalid:1"), SessionOptions()):
            pass


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h:1", "ws://h:1/ws/"),
        ("https://h:1/", "wss://h:1/ws/"),
        ("wss://h/gw/", "wss://h/gw/ws/"),
        ("ws://h", "ws://h/ws/"),
    ],
)
def test_base_urls(url: str, expected: str) -> None:
    assert ServerEndpoint(url).socket_url.startswith(expected)


@pytest.mark.parametrize("url", ["127.0.0.1:8482", "ftp://h", "http://"])
def test_a_bad_base_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="not the address"):
        ServerEndpoint(url).socket_url  # noqa: B018


def test_a_missing_certificate_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.pem"):
        ServerEndpoint("https://h", ca=tmp_path / "nowhere.pem").tls()


async def test_a_server_with_a_certificate_of_this_machines_authority_is_trusted(
    tmp_path: Path,
) -> None:
    async with live_server(tmp_path) as server:
        url = server.url("https")
        with pytest.raises(ServerUntrusted):
            async with connect(ServerEndpoint(url), SessionOptions()):
                pass
        async with connect(
            ServerEndpoint(url, local_ca=tmp_path / "tls" / "ca.pem"), SessionOptions()
        ) as live:
            assert live.id


def test_addresses_of_ordinary_requests() -> None:
    assert ServerEndpoint("ws://h:1/base/").web_url == "http://h:1/base"
    assert ServerEndpoint("https://h").web_url == "https://h"


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
