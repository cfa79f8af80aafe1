"""What a connection held is freed with it, and not by the next collection of cycles."""

from __future__ import annotations

import asyncio
import base64
import gc
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from websockets.server import ServerProtocol

from serving import LIVE, Client, connected, serving, until
from vivavoce.core.session import LiveSession
from vivavoce.http.uvicorn_protocols import HttpConnection, LiveSocket
from vivavoce.runtime.audio_input import AudioBuffer
from vivavoce.runtime.connection import Connection
from vivavoce.server import Server

pytestmark = pytest.mark.integration

HELD = (Connection, HttpConnection, AudioBuffer, LiveSession, LiveSocket, ServerProtocol)
SOUND = {"mimeType": "audio/pcm;rate=16000", "data": base64.b64encode(bytes(32_000)).decode()}
UPGRADE = (
    b"GET " + LIVE.encode() + b" HTTP/1.1\r\n"
    b"Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
UNFINISHED = b"\x81\xff" + (1 << 20).to_bytes(8) + bytes(4) + bytes(900_000)


@pytest.fixture(name="held")
def _held() -> Iterator[Callable[[], list[str]]]:
    """What is held since the test began, without any collection; a failed test keeps its own."""
    gc.collect()
    gc.disable()
    earlier = _instances()
    known = {id(each) for each in earlier}
    yield lambda: [type(each).__name__ for each in _instances() if id(each) not in known]
    gc.enable()


def _instances() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, HELD)]


async def leave(client: Client) -> None:
    await client.socket.close()


async def vanish(client: Client) -> None:
    client.socket.transport.abort()
    await client.socket.wait_closed()


async def vanish_in_mid_turn(client: Client) -> None:
    await client.say("one two three four five six seven eight nine ten")
    await client.receive()
    await vanish(client)


async def break_the_protocol(client: Client) -> None:
    await client.socket.send("no JSON")
    assert (await client.closing())[0] == 1007


async def break_a_frame(client: Client) -> None:
    client.socket.transport.write(b"\xc1\x80\x00\x00\x00\x00")
    assert (await client.closing())[0] == 1002


async def leave_a_message_unfinished(client: Client) -> None:
    client.socket.transport.write(b"\x81\xff" + (8 << 20).to_bytes(8) + bytes(4) + bytes(4_000_000))
    await vanish(client)


@pytest.mark.parametrize(
    "end",
    [leave, vanish, vanish_in_mid_turn, break_the_protocol, break_a_frame,
     leave_a_message_unfinished],
)  # fmt: skip
async def test_a_session_is_freed_when_its_connection_ends(
    tmp_path: Path, held: Callable[[], list[str]], end: Callable[[Client], Awaitable[None]]
) -> None:
    async with serving(tmp_path) as server:
        async with connected(server) as client:
            await client.set_up(sessionResumption={}, inputAudioTranscription={})
            await client.send(realtimeInput={"audio": SOUND})
            await client.say("hello")
            await client.turn()
            await end(client)
        await ended(server)
        await until(lambda: not held(), wait_s=10.0)


async def test_an_unfinished_first_message_is_freed_when_its_connection_ends(
    tmp_path: Path, held: Callable[[], list[str]]
) -> None:
    async with serving(tmp_path) as server:
        _, writer = await asyncio.open_connection(*server.listener.address)
        writer.write(UPGRADE + UNFINISHED)
        await writer.drain()
        await until(lambda: "LiveSocket" in held())
        writer.transport.abort()
        await ended(server)
        await until(lambda: not held())


async def ended(server: Server) -> None:
    await until(
        lambda: server.listener.connections == 0 and server.listener.tasks == 0, wait_s=10.0
    )


async def test_a_handshake_that_cannot_be_parsed_leaves_nothing(
    tmp_path: Path, held: Callable[[], list[str]]
) -> None:
    async with serving(tmp_path) as server:
        reader, writer = await asyncio.open_connection(*server.listener.address)
        writer.write(UPGRADE[:-2] + b"A: " + b"b" * 9000 + b"\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 431")
        writer.close()
        await ended(server)
        await until(lambda: not held())
