"""Layers of a connection: HTTP requests and WebSocket frames, through the port's own protocols."""

from __future__ import annotations

import asyncio
import atexit
import logging
import re
from collections.abc import Callable, Hashable
from functools import cache
from typing import Any

from fuzz.layer import Layer
from fuzz.mutation import BytesMutator
from fuzz.stepped_loop import SteppedLoop
from vivavoce.http.bounded_protocol import BoundedProtocol, ReadPace
from vivavoce.http.limits import ConnectionSlot
from vivavoce.http.listener import Listener
from vivavoce.http.uvicorn_protocols import LiveSocket

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SILENCE_S = 70.0
"""After so much silence every connection is closed: by a deadline, or for want of a pong."""

SLOW_READ_S = 0.004
"""What each read takes of a slow processor, so that the reading is paused."""

MOST_PIECES = 4
CODES = {1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012}


class VirtualProcessor:
    """The processor time that readings take: nothing, or a lot.

    The real one would cost a call of the system each, and tell no run like another.
    """

    def __init__(self) -> None:
        self.read_s = 0.0
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self.read_s
        return self._now

    def run(self, protocol: asyncio.BaseProtocol) -> None:
        """Take the place of the real one in a connection."""
        assert isinstance(protocol, BoundedProtocol)
        protocol.pace = ReadPace(protocol.loop, protocol.pace.size, self)


_processor = VirtualProcessor()


class MemoryTransport(asyncio.Transport):
    """The server's end of a connection in memory; what it writes is kept."""

    def __init__(
        self, port: Listener, protocol: Callable[[ConnectionSlot], asyncio.BaseProtocol]
    ) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = bytearray()
        self.closed = False
        self._unread = bytearray()
        self._paused = False
        slot = port._slots.acquire("127.0.0.1")
        assert slot is not None
        self._protocol = protocol(slot)
        _processor.run(self._protocol)
        self._protocol.connection_made(self)

    @property
    def unread(self) -> int:
        """Bytes that the server has not read."""
        return len(self._unread)

    def deliver(self, data: bytes) -> None:
        """What the client sends; read in as small pieces as the protocol wants."""
        self._unread += data
        while self._unread and not (self.closed or self._paused):
            protocol = self._protocol
            assert isinstance(protocol, asyncio.BufferedProtocol)
            buffer = memoryview(protocol.get_buffer(-1))
            size = min(buffer.nbytes, len(self._unread))
            buffer[:size] = self._unread[:size]
            del self._unread[:size]
            protocol.buffer_updated(size)

    def end(self) -> None:
        """The client will send nothing more."""
        protocol = self._protocol
        assert isinstance(protocol, asyncio.BufferedProtocol)
        if not (self.closed or self._paused or protocol.eof_received()):
            self.close()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed or not data, "nothing is written to a closed connection"
        self.written += data

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self._lose)

    def _lose(self) -> None:
        self._protocol.connection_lost(None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self.closed

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        _processor.run(protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return None

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            asyncio.get_running_loop().call_soon(self.deliver, b"")


class FrameSink:
    """Takes every upgrade and every request, and notes what came."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self._request(receive, send)
        else:
            await self._socket(receive, send)

    async def _request(self, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.seen.append("gone")
                return
            more = message["more_body"]
        self.seen.append("request")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def _socket(self, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            text, data = message.get("text"), message.get("bytes")
            assert isinstance(text, str) != isinstance(data, bytes)
            if text is not None:
                text.encode()  # no halves of characters
            self.seen.append("bytes" if text is None else "text")
        assert message["code"] in CODES or 3000 <= message["code"] < 5000, message
        self.seen.append(str(message["code"]))


@cache
def _loop() -> SteppedLoop:
    loop = SteppedLoop()

    def failed(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        _failures.append(context.get("exception") or RuntimeError(context["message"]))

    loop.set_exception_handler(failed)
    return loop


_failures: list[BaseException] = []
_open: list[MemoryTransport] = []
"""The connection that frames are sent over, as long as it lasts."""


@cache
def _application() -> FrameSink:
    return FrameSink()


@cache
def _port() -> Listener:
    port = Listener(_application())
    port._config.load()
    return port


def _run(work: Callable[[SteppedLoop, bytes], Hashable], data: bytes) -> Hashable:
    _failures.clear()
    _application().seen.clear()
    _processor.read_s = SLOW_READ_S if len(data) % 32 == 16 else 0.0
    try:
        with _loop().running() as loop:
            result = work(loop, data)
        if _failures:
            raise _failures[0]
        return result
    except BaseException:
        _forget()
        raise


def _forget() -> None:
    """Begin anew after a finding, so that no other input is blamed for it."""
    _open.clear()
    _loop().end_tasks()
    for made in (_port, _application, _loop):
        made.cache_clear()


def _end() -> None:
    logging.disable()  # the application is cancelled, which uvicorn calls an exception
    _forget()


atexit.register(_end)


def run_http(data: bytes) -> Hashable:
    """Bytes on a fresh connection, in pieces, then silence: it is answered or closed in time."""
    return _run(_http, data)


def _http(loop: SteppedLoop, data: bytes) -> Hashable:
    port = _port()
    wire = MemoryTransport(port, port._protocol)
    pieces = 1 + len(data) // 2 % MOST_PIECES
    size = max(1, -(-len(data) // pieces))
    for at in range(0, len(data), size):
        wire.deliver(data[at : at + size])
        loop.step()
    if len(data) % 2:
        wire.end()
    loop.pass_time(SILENCE_S)
    assert wire.closed, "the connection is held open"
    _check_nothing_held(port)
    assert not wire.written or wire.written.startswith(b"HTTP/1.1 ")
    statuses = re.findall(rb"HTTP/1\.1 (\d{3})", wire.written)
    return tuple(statuses[:4]), len(data) % 2, tuple(_application().seen[:4])


def _check_nothing_held(port: Listener) -> None:
    assert not port._state.connections, "a closed connection is counted on"
    assert not port._state.tasks, "a request is served on"
    assert not port._slots.taken, "a slot is not given back"
    assert not port._slots.waiting_bytes, "bytes of a closed connection are counted on"


OPCODES = (0, 1, 2, 3, 0, 1, 2, 0, 8, 9, 10, 11, 0, 1, 2, 9)
FINISH = b"\x80\x80" + bytes(4)
"""An empty frame that ends a message in fragments."""


def frames(data: bytes) -> bytes:
    """The frames that an input stands for.

    Each begins with a byte of its own: the opcode, whether it is final, and whether the rest is
    sent as it is, without a header; then a byte for the length, then the content. Most are as a
    client may send them, since the first that is not ends the connection.
    """
    out, at = bytearray(), 0
    while at + 1 < len(data):
        kind, size = data[at], data[at + 1]
        content = data[at + 2 : at + 2 + size]
        at += 2 + size
        if kind & 0x70 == 0x70:
            out += content
        else:
            opcode = OPCODES[kind & 0xF]
            final = kind & 0x80 or (opcode >= 8 and not kind & 0x20 and 0x80)
            head = bytes((final | opcode, 0x80 | min(len(content), 126)))
            long = len(content).to_bytes(2, "big") if len(content) > 125 else b""
            out += head + long + bytes(4) + content
    return bytes(out)


def run_websocket(data: bytes) -> Hashable:
    """Frames on an open WebSocket: messages, or a close with a code."""
    return _run(_websocket, frames(data))


def _socket(slot: ConnectionSlot) -> LiveSocket:
    """What a connection becomes at an upgrade; how it gets there is the layer `http`."""
    port = _port()
    return LiveSocket(
        config=port._config, server_state=port._state, app_state={}, slot=slot, handshake_s=10.0
    )


def _websocket(loop: SteppedLoop, data: bytes) -> Hashable:
    if not _open:
        fresh = MemoryTransport(_port(), _socket)
        fresh.deliver(UPGRADE)
        loop.settle()
        assert fresh.written.startswith(b"HTTP/1.1 101"), bytes(fresh.written)
        _open.append(fresh)
    wire = _open[0]
    wire.written.clear()
    seen = _application().seen
    wire.deliver(data)
    for _ in range(3):
        loop.step()
    socket: Any = wire.get_protocol()
    opcodes = bytes(wire.written[:1])
    answered = opcodes, bytes(wire.written[2:4]) if opcodes == b"\x88" else b""
    end = len(data) % 16 == 0
    if socket.frames and not (end or socket.conn.reader.buffer):
        wire.deliver(FINISH)
        loop.step()
    # What is not finished must not change what the next input means.
    unfinished = wire.unread or socket.frames or socket.conn.reader.buffer
    if end or socket.close_sent or wire.closed or unfinished:
        _open.clear()
        loop.pass_time(SILENCE_S)
        assert wire.closed, "the connection is held open"
        _check_nothing_held(_port())
    return answered, tuple(seen[:4])


def _frame(opcode: int, content: bytes = b"", final: bool = True) -> bytes:
    return bytes((opcode | 0x80 * final, len(content))) + content


_REQUESTS = (
    UPGRADE,
    UPGRADE + b"\x89\x80\0\0\0\0" + b"\x81\x82\0\0\0\0{}",
    UPGRADE.replace(b"13", b"12"),
    b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"POST /v1beta/auth_tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\nhalf",
    UPGRADE[:-2] + b"".join(b"a%d: b\r\n" % number for number in range(140)) + b"\r\n",
    UPGRADE[:-2] + b"a: " + b"b" * 8000 + b"\r\n\r\n",
)
_HTTP_TOKENS = (
    b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b": ", b"Host: x\r\n", b"GET", b"POST", b"CONNECT",
    b"HTTP/1.1", b"HTTP/2.0", b"Upgrade: websocket\r\n", b"Connection: close\r\n",
    b"Upgrade: h2c\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: -1\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n", b"ffffffff\r\n", b"0\r\n\r\n", b";a=b", b"\0", b"\xff",
    b"\t",
    b"%00", b"%ff", b"//", b"*", b"http://x/", b"Sec-WebSocket-Protocol: a,,b\r\n",
    b"a: b\r\n" * 130,
    b"Sec-WebSocket-Key: x\r\n", b"Sec-WebSocket-Extensions: permessage-deflate\r\n", b"a" * 4000,
)  # fmt: skip
_SOCKET_SEEDS = (
    _frame(1, b'{"setup":{}}'), _frame(2, b"\0\1"), _frame(9, b"ping"), _frame(10, b"pong"),
    _frame(8, b"\x03\xe8bye"), _frame(8), _frame(1, b"\xc3", final=False) + _frame(0, b"\xa9"),
    _frame(1, b"a", final=False) + _frame(9) + _frame(0, b"b", final=False) + _frame(0, b"c"),
    _frame(2, bytes(200)), _frame(1, b"\xff"), _frame(0x70, b"\x81\xfe\xff\xff\0\0\0\0"),
    _frame(0x70, b"\x82\xff\0\0\0\0\xff\xff\xff\xff\0\0\0\0"), _frame(3), _frame(8, b"\x03"),
)  # fmt: skip
_SOCKET_TOKENS = tuple(bytes((kind,)) for kind in (0, 1, 2, 8, 9, 10, 128, 129, 130, 136, 137, 138))

HTTP = Layer("http", run_http, lambda: _REQUESTS, lambda: BytesMutator(_HTTP_TOKENS))
WEBSOCKET = Layer(
    "websocket",
    run_websocket,
    lambda: _SOCKET_SEEDS,
    lambda: BytesMutator((*_SOCKET_TOKENS, *_SOCKET_SEEDS, b"\x03\xe8", b"\xed\xa0\x80", b"\0")),
)
