"""What a WebSocket may cost and what it is owed: early, large and many frames, pings and pongs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import websockets

from fuzz.connection_layers import FrameSink, MemoryTransport
from serving import until
from vivavoce.http import bounded_protocol, uvicorn_protocols
from vivavoce.http.bounded_protocol import READ_BURST_S, READ_SHARE
from vivavoce.http.certificates import prepare_authority, server_context
from vivavoce.http.listener import Listener
from vivavoce.http.uvicorn_protocols import REQUEST_S
from vivavoce.testing.virtual_loop import run_virtually

pytestmark = pytest.mark.integration

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PING = b"\x89\x80\x00\x00\x00\x00"
LONG_PING = b"\x89\xfd\x00\x00\x00\x00" + bytes(125)
HELLO = b"\x81\x85\x00\x00\x00\x00hello"


class Application:
    """The app behind the port. `work` is what it does with an accepted socket."""

    def __init__(self, work: Callable[..., Awaitable[None]], accept_s: float = 0.0) -> None:
        self._work = work
        self._accept_s = accept_s

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await asyncio.sleep(self._accept_s)
        await send({"type": "websocket.accept"})
        await self._work(receive, send)


async def echo(receive: Any, send: Any) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


@contextlib.asynccontextmanager
async def serving(
    app: Application, tls: ssl.SSLContext | None = None, keepalive_s: float | None = None
) -> AsyncIterator[Listener]:
    port = Listener(app, tls=tls)
    if keepalive_s is not None:
        port._config.ws_ping_interval = port._config.ws_ping_timeout = keepalive_s
    await port.start()
    try:
        yield port
    finally:
        await port.stop(grace_s=0.2)


def url(port: Listener, scheme: str = "ws") -> str:
    return f"{scheme}://127.0.0.1:{port.address[1]}/ws"


def only_connection(port: Listener) -> uvicorn_protocols.LiveSocket:
    (connection,) = port._state.connections
    assert isinstance(connection, uvicorn_protocols.LiveSocket)
    return connection


async def test_an_early_ping_is_answered_behind_the_101() -> None:
    async with serving(Application(echo, accept_s=0.05)) as port:
        reader, writer = await asyncio.open_connection(*port.address)
        writer.write(UPGRADE + PING + HELLO)
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
            assert await reader.readexactly(9) == b"\x8a\x00\x81\x05hello"
        writer.close()


@pytest.mark.parametrize("secure", [False, True])
async def test_much_at_once_is_read_in_small_pieces(tmp_path: Path, secure: bool) -> None:
    authority = prepare_authority(tmp_path)
    tls = server_context(authority.certificate, authority.key) if secure else None
    trust = ssl.create_default_context(cafile=str(authority.bundle)) if secure else None
    async with serving(Application(echo), tls) as port:
        client = await websockets.connect(url(port, "wss" if secure else "ws"), ssl=trust)
        connection = only_connection(port)
        sizes: list[int] = []
        read = connection.conn.receive_data

        def measured(data: bytes | bytearray) -> None:
            sizes.append(len(data))
            read(data)

        connection.conn.receive_data = measured  # type: ignore[method-assign]
        client.transport.write(PING * 5_000)
        await client.send("y")
        async with asyncio.timeout(10):
            assert await client.recv() == "y"
            assert max(sizes) <= uvicorn_protocols.READ_BYTES, "what holds many frames"
            await client.send("x" * 200_000)
            assert await client.recv() == "x" * 200_000
        await client.close()

    assert sum(sizes) > 230_000
    assert max(sizes) <= uvicorn_protocols.LARGE_READ_BYTES


async def test_what_follows_a_broken_frame_is_thrown_away_and_not_left_unread() -> None:
    """A connection that is closed with unread sound in it is reset, and the reason is lost."""
    async with serving(Application(echo)) as port:
        reader, writer = await asyncio.open_connection(*port.address)
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\xc1\x80\x00\x00\x00\x00" + bytes(20_000_000))
        async with asyncio.timeout(5):
            await writer.drain()
            assert (await reader.read())[:4][2:] == (1002).to_bytes(2)
        writer.close()


async def test_a_pong_that_finds_no_room_is_sent_when_there_is() -> None:
    heard = asyncio.Event()

    async def flood_and_listen(receive: Any, send: Any) -> None:
        async def flood() -> None:
            for _ in range(100):
                await send({"type": "websocket.send", "bytes": bytes(100_000)})

        flooding = asyncio.ensure_future(flood())
        await receive()
        heard.set()
        await flooding
        await receive()

    async with serving(Application(flood_and_listen)) as port:
        client = await websockets.connect(url(port), ping_interval=None, max_size=None)
        client.transport.pause_reading()
        connection = only_connection(port)
        await until(lambda: not connection.writable.is_set())
        await client.ping()
        latest = await client.ping()
        await client.send("the pings have arrived")
        await heard.wait()
        client.transport.resume_reading()
        reading = asyncio.ensure_future(read_all(client))
        async with asyncio.timeout(5):
            await latest
        await client.close()
        await reading


async def test_unread_pongs_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_protocol, "READ_SHARE", 0)
    async with serving(Application(echo)) as port:
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(narrow, port.address)
        client = await websockets.connect(url(port), sock=narrow, ping_interval=None)
        client.transport.pause_reading()
        connection = only_connection(port)
        most = 0
        for _ in range(400):
            client.transport.write(LONG_PING * 200)
            await asyncio.sleep(0)
            most = max(most, connection.transport.get_write_buffer_size())
        await until(lambda: client.transport.get_write_buffer_size() == 0, 20)
        most = max(most, connection.transport.get_write_buffer_size())
        client.transport.abort()

    assert 0 < most < 512 * 1024


async def test_more_pings_than_are_read_wait_and_lose_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded_protocol, "READ_BURST_S", 0.0005)
    async with serving(Application(echo)) as port:
        reader, writer = await asyncio.open_connection(*port.address)
        writer.write(UPGRADE)
        async with asyncio.timeout(10):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(PING * 2000 + HELLO)
            await until(lambda: not only_connection(port).transport.is_reading())
            assert await reader.readexactly(4000) == b"\x8a\x00" * 2000
            assert await reader.readexactly(7) == b"\x81\x05hello"
        writer.close()


async def test_a_message_that_is_taken_does_not_end_the_pause_of_its_connection() -> None:
    async with serving(Application(echo)) as port:
        client = await websockets.connect(url(port), ping_interval=None)
        connection = only_connection(port)
        connection.pace._share.count_work(100 * bounded_protocol.READ_BURST_S)
        async with asyncio.timeout(10):
            await client.send("one")
            assert await client.recv() == "one"
            assert connection.pace.paused
            assert not connection.transport.is_reading()
        client.transport.abort()


async def test_a_close_without_a_code_behind_a_ping_is_answered_with_1000() -> None:
    async with serving(Application(echo)) as port:
        reader, writer = await asyncio.open_connection(*port.address)
        writer.write(UPGRADE)
        async with asyncio.timeout(5):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(PING + b"\x88\x80\x00\x00\x00\x00")
            assert await reader.read() == b"\x8a\x00" + uvicorn_protocols.NORMAL_CLOSE
        writer.close()


async def test_a_client_of_which_nothing_is_heard_is_closed() -> None:
    async with serving(Application(echo), keepalive_s=0.1) as port:
        reader, writer = await asyncio.open_connection(*port.address)
        writer.write(UPGRADE)
        async with asyncio.timeout(5):
            got = await reader.read()
        writer.close()

    assert got.endswith(b"keepalive ping timeout")


async def test_whatever_arrives_is_a_sign_of_life() -> None:
    """A pong may stand behind much sound that the client sent before."""
    async with serving(Application(echo), keepalive_s=0.1) as port:
        reader, writer = await asyncio.open_connection(*port.address)
        writer.write(UPGRADE)
        for _ in range(30):
            writer.write(HELLO)
            await asyncio.sleep(0.02)
        got = await reader.read(100_000)
        writer.close()

    assert got.count(b"hello") > 25
    assert b"keepalive ping timeout" not in got


async def test_silence_is_not_held_against_a_client_that_we_do_not_read() -> None:
    ready = asyncio.Event()

    async def lazy(receive: Any, send: Any) -> None:
        await ready.wait()
        await echo(receive, send)

    async with (
        serving(Application(lazy), keepalive_s=0.05) as port,
        websockets.connect(url(port), ping_interval=None) as client,
    ):
        await client.send("one")
        await client.send("two")
        await asyncio.sleep(0.5)
        ready.set()
        async with asyncio.timeout(5):
            assert [await client.recv(), await client.recv()] == ["one", "two"]


async def test_a_close_that_is_never_read_does_not_keep_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uvicorn_protocols, "CLOSE_WAIT_S", 0.2)

    async def flood_and_leave(receive: Any, send: Any) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                while True:
                    await send({"type": "websocket.send", "bytes": bytes(100_000)})

    async with serving(Application(flood_and_leave)) as port:
        client = await websockets.connect(url(port), ping_interval=None)
        client.transport.pause_reading()
        connection = only_connection(port)
        await until(lambda: not connection.writable.is_set())
        await until(lambda: port.connections == 0)
        client.transport.abort()


async def read_all(client: websockets.ClientConnection) -> None:
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await client.recv()


@pytest.mark.parametrize(
    "size",
    [uvicorn_protocols.LARGE_MESSAGE_BYTES, uvicorn_protocols.LARGE_MESSAGE_BYTES + 1, 3_000_000],
)
async def test_messages_of_any_size_arrive_whole_and_in_order(size: int) -> None:
    received: list[Any] = []

    async def collect(receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            received.append(message.get("text") or message["bytes"])
            await send({"type": "websocket.send", "text": "next"})

    large = "é" * (size // 2) + "x" * (size % 2)
    async with serving(Application(collect)) as port:
        client = await websockets.connect(url(port))
        for message in ("a", large, "b", large.encode(), "c"):
            await client.send(message)
        async with asyncio.timeout(20):
            for _ in range(5):
                await client.recv()
        await client.close()

    first, text, second, data, third = received
    assert (first, second, third) == ("a", "b", "c")
    assert text == (large if size <= uvicorn_protocols.LARGE_MESSAGE_BYTES else large.encode())
    assert data == large.encode()


@pytest.mark.parametrize("at", [0, 70_000, 299_999])
async def test_large_text_that_is_not_utf_8_is_refused_wherever_it_is_wrong(at: int) -> None:
    async with serving(Application(echo)) as port:
        reader, writer = await asyncio.open_connection(*port.address)
        writer.write(UPGRADE)
        data = b"x" * at + b"\xc3" + b"x" * (299_999 - at)
        writer.write(b"\x81\xff" + len(data).to_bytes(8) + bytes(4) + data)
        async with asyncio.timeout(10):
            await reader.readuntil(b"\r\n\r\n")
            frame = await reader.readexactly(4)
            assert frame[0] == 0x88
            assert int.from_bytes(frame[2:4]) == 1007
        writer.close()


REQUEST = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
REQUESTS = 1000


def test_pipelined_requests_are_answered_within_the_share_of_their_connection() -> None:
    async def answered_after(seconds: float) -> int:
        listener: Any = Listener(FrameSink(), "127.0.0.1", 0, None)
        transport = MemoryTransport(listener, listener._protocol)
        transport.deliver(REQUEST * REQUESTS)
        await asyncio.sleep(seconds)
        return transport.written.count(b"HTTP/1.1 200")

    allowed = (READ_BURST_S + 1.0 * READ_SHARE) / REQUEST_S
    found = run_virtually(answered_after(1.0))
    assert 0.5 * allowed < found < 1.1 * allowed
    whole = REQUESTS * REQUEST_S / READ_SHARE
    assert run_virtually(answered_after(whole)) == REQUESTS
