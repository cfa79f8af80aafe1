from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from client.stub import READY, Peer, serving, spoken
from serving import serving as live_server
from vivavoce.client.messages import (
    AudioMessage,
    OutputTranscriptionMessage,
    SessionClosed,
    SessionOptions,
    ToolCallMessage,
    TurnCompleteMessage,
)
from vivavoce.client.session import ServerEndpoint, ServerUnreachable, ServerUntrusted, connect
from vivavoce.domain.content import ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.errors import ConfigError


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
            TurnCompleteMessage({"totalTokenCount": 9}),
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


async def test_nobody_there_is_said_with_what_to_do() -> None:
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
