"""uvicorn's two protocols, bounded against clients that mean no good or know no better.

uvicorn bounds neither the time in which a request must arrive, nor what a closing connection
waits for, nor what tiny frames cost. Each class says what it adds; everything else is uvicorn's.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode

from vivavoce.protocol import close

LINGER_S = 2.0
QUIET_S = 0.2
CLOSE_WAIT_S = 3.0
MAX_FRAGMENTS = 65_536
"""Of one message. Each costs far more memory than the byte it may hold."""

WRITE_BYTES = 64 * 1024
"""Waits unsent before whoever writes waits too."""

READ_BYTES = 32 * 1024
"""Read at a time: what tiny frames in it may cost before others get a turn. TLS hands over eight
times as much."""

PONG = bytes((0x80 | Opcode.PONG,))


def http_protocol(handshake_s: float) -> type[asyncio.Protocol]:
    """The HTTP protocol with its deadline: uvicorn builds protocols from the class alone."""
    return type("BoundedHttp", (BoundedHttpProtocol,), {"request_s": handshake_s})


class BoundedHttpProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a time in which every request must have arrived whole."""

    request_s = 10.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.get_protocol() is not self:
            return
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._arm()
        else:
            self._disarm()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE:
            self._disarm()  # between requests, uvicorn's own keep-alive time counts

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._disarm()
        super().handle_websocket_upgrade(event)
        early, _ = self.conn.trailing_data
        protocol = self.transport.get_protocol()
        if early and isinstance(protocol, asyncio.Protocol):
            protocol.data_received(early)  # came in one packet with the request

    def send_400_response(self, msg: str) -> None:
        waiting, _ = self.conn.trailing_data
        limit = self.config.h11_max_incomplete_event_size or 0
        status = 431 if len(waiting) > limit else 400
        name = "request header fields too large" if status == 431 else "malformed request"
        body = (
            f'{{"error":{{"code":{status},"message":"{name}","status":"INVALID_ARGUMENT"}}}}'
        ).encode()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            head = h11.Response(
                status_code=status,
                headers=[
                    (b"content-type", b"application/json; charset=UTF-8"),
                    (b"content-length", str(len(body)).encode()),
                    (b"connection", b"close"),
                ],
            )
            for part in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(part) or b"")
        self.transport.close()

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.request_s, self.transport.abort)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class LiveSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, patient with clients that write too early, too much or too long.

    What comes before our 101 waits until it is sent, or else the answer to an early ping would
    stand before the answer to the request. What comes in large pieces is read in small ones, so
    that others get their turn. After a frame that breaks the rules (too big, not UTF-8, not
    masked) uvicorn closes at once, and the client, still writing, sees a reset instead of the
    close frame; here the rest of what it sends is thrown away for a moment first.
    """

    _lingering = False
    _cut: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = CLOSE_WAIT_S
        self._held = bytearray()
        self._owed_pong = b""
        self._lives = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # asyncio keeps 512 KiB for TLS before it asks a writer to wait.
        self.transport.set_write_buffer_limits(high=WRITE_BYTES)

    # --- reading -----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._lives = True
        if self._lingering:
            self._linger()
            return
        if not (self._held or self._shaking_hands or len(data) > READ_BYTES):
            super().data_received(data)
            return
        if not self._held:
            self.loop.call_soon(self._read_on)
        self._held += data
        self.transport.pause_reading()

    @property
    def _shaking_hands(self) -> bool:
        return self.handshake_initiated and not self.handshake_complete

    def _read_on(self) -> None:
        """Take one piece of what is held; `send` comes back here after the handshake."""
        if self._shaking_hands or self.disconnected or not self._held:
            return
        piece = bytes(self._held[:READ_BYTES])
        del self._held[:READ_BYTES]
        super().data_received(piece)
        if self._lingering:
            self._held.clear()
        if self._held:
            self.loop.call_soon(self._read_on)
        elif not self.read_paused:
            self.transport.resume_reading()

    async def receive(self) -> Any:
        message = await super().receive()
        if self._held:
            self.transport.pause_reading()  # what is held comes first
        return message

    async def send(self, message: Any) -> None:
        shaking_hands = self._shaking_hands
        await super().send(message)
        if shaking_hands and self._held:
            self.loop.call_soon(self._read_on)
        if message["type"] == "websocket.close":
            self._cut_after(CLOSE_WAIT_S)

    # --- pings and pongs ---------------------------------------------------------------------

    def handle_ping(self) -> None:
        frames = self.conn.data_to_send()
        if not self.writable.is_set():
            # The client reads nothing now, and all these pongs would fill our memory. RFC 6455,
            # 5.5.3, lets us answer the latest ping only, but that one without fail: clients
            # close when it is not answered.
            pongs = [frame for frame in frames if frame[:1] == PONG]
            self._owed_pong = pongs[-1] if pongs else self._owed_pong
            frames = [frame for frame in frames if frame[:1] != PONG]
        self.transport.write(b"".join(frames))

    def resume_writing(self) -> None:
        super().resume_writing()
        pong, self._owed_pong = self._owed_pong, b""
        if pong and not (self.close_sent or self.transport.is_closing()):
            self.transport.write(pong)

    def send_keepalive_ping(self) -> None:
        self._lives = False
        super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        # A pong may stand behind much else that the client sent: anything that arrived is a
        # sign of life, and while we do not read ourselves, silence says nothing.
        if self._lives or self.read_paused or self._held:
            self.pong_timer = self.pending_ping_payload = None
            self.last_ping_rtt = self.loop.time() - self.ping_sent_at
            self.schedule_ping()
            return
        super().keepalive_timeout()
        self._cut_after(CLOSE_WAIT_S)

    # --- the end -----------------------------------------------------------------------------

    def shutdown(self) -> None:
        """End it as the server's own fault: after uvicorn's 1012, many clients do not come back."""
        if not self.handshake_complete or self.close_sent:
            super().shutdown()
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.INTERNAL})
        self.conn.send_close(close.INTERNAL, close.UNAVAILABLE)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()

    def handle_cont(self, event: Frame) -> None:
        if self._lingering:
            return
        if len(self.frames) < MAX_FRAGMENTS:
            super().handle_cont(event)
            return
        self.frames = []
        self.conn.fail(close.TOO_BIG, close.MESSAGE_TOO_BIG)
        self.handle_parser_exception()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self._cut_after(CLOSE_WAIT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._cut is not None:
            self._cut.cancel()

    def _cut_after(self, wait_s: float) -> None:
        """Closing waits for unread output to leave; with a client that never reads, for ever."""
        if self._cut is None and self in self.connections:
            self._cut = self.loop.call_later(wait_s, self.transport.abort)

    def handle_parser_exception(self) -> None:
        sent = self.conn.close_sent
        code, reason = (sent.code, sent.reason) if sent else (1002, "")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.stop_keepalive()
        self.close_sent = True
        self._lingering = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._linger()
        self._cut_after(LINGER_S)

    def _linger(self) -> None:
        """Close when the client has been quiet for a moment; `_cut_after` ends a long flood."""
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(QUIET_S, self.transport.close)
