"""uvicorn's WebSocket and HTTP/1.1 protocols with limits on early data, message size and time."""

from __future__ import annotations

import asyncio
import codecs
from functools import partial
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidHandshake, InvalidMethod, PayloadTooBig, SecurityError
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request

from vivavoce.errors import INTERNAL, INVALID, TOO_BIG
from vivavoce.http.bounded_protocol import (
    BoundedProtocol,
    FrameSplitter,
    ReadPace,
    http_refusal,
    large_head_refusal,
)
from vivavoce.http.limits import ConnectionSlot, refusals
from vivavoce.http.websocket import ADMISSION, ADMIT, REFUSE, Message, Send
from vivavoce.protocol import close

READ_BYTES = 2 * 1024
"""Bytes read at a time: 340 of the smallest frames or HTTP chunks take a few milliseconds."""

FRAME_READ_BYTES = 8 * 1024
"""Bytes read at a time within any frame: 100 ms of a microphone is the rest of one."""

LARGE_READ_BYTES = 64 * 1024
"""Bytes read at a time within a large frame, which needs no parsing."""

LARGE_MESSAGE_BYTES = 256 * 1024
"""Size above which messages are joined in a thread; UTF-8 was validated on arrival."""

WRITE_BYTES = 64 * 1024
"""Unsent bytes beyond which a writer waits."""

MAX_FAULT_CHARS = 200
"""Characters of a handshake's error, which quotes the request."""

CLOSE_WAIT_S = 3.0
MAX_FRAGMENTS = 65_536
"""Fragments of one message. Each costs far more memory than the byte it may hold."""

MAX_REFUSED_BYTES = 16 * 1024
"""Bytes that a refused client may send before its first message is complete."""

MAX_BYTES_AFTER_CLOSE = 64 * 1024
"""Bytes that are searched for the client's close frame after ours was sent."""

PONG = bytes((0x80 | Opcode.PONG,))
EMPTY_CLOSE = bytes((0x80 | Opcode.CLOSE, 0))
NORMAL_CLOSE = bytes((0x80 | Opcode.CLOSE, 2)) + (1000).to_bytes(2)


class LiveSocket(WebSocketsSansIOProtocol, BoundedProtocol):
    """uvicorn's WebSocket protocol with limits on early data, message size and time.

    - The handshake has to be complete within `handshake_s`; one that cannot be parsed is answered.
    - What comes before our 101 waits until it is sent, or else the answer to an early ping would
      precede the answer to the request.
    - Before the application admits the client (`http.websocket`) the slot's bounds hold, and
      nothing is read behind the first message.
    - After a frame that breaks the rules (too big, not UTF-8, not masked) the rest of what the
      client sends is discarded for a moment, so that it can read the close frame.
    """

    def __init__(self, *args: Any, slot: ConnectionSlot, handshake_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.slot = slot
        self.close_timeout = CLOSE_WAIT_S
        self._handshake_s = handshake_s
        self._early = b""
        self._closed_bytes = 0
        self._pending_pong = b""
        self._received_since_ping = False
        self._utf8: codecs.IncrementalDecoder | None = None
        self._frames = self._split_large_frames()
        self.pace = ReadPace(self.loop, READ_BYTES)

    def _split_large_frames(self) -> FrameSplitter:
        """Let the parser read from a `FrameSplitter`."""
        self.conn.parser.close()
        self.conn.reader = splitter = FrameSplitter(self.config.ws_max_size)
        self.conn.parser = self.conn.parse()
        next(self.conn.parser)
        return splitter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.slot.attach(self.transport.abort)
        self.set_deadline(self._handshake_s)
        # asyncio keeps 512 KiB for TLS before it asks a writer to wait.
        self.transport.set_write_buffer_limits(high=WRITE_BYTES)

    # --- the handshake -----------------------------------------------------------------------

    @property
    def _shaking_hands(self) -> bool:
        return self.handshake_initiated and not self.handshake_complete

    def handle_connect(self, event: Request) -> None:
        try:
            self.conn.process_request(event)
        except InvalidHandshake as fault:
            # The library would answer in plain text, without a line in the log.
            self.handshake_initiated = True
            status = 405 if isinstance(fault, InvalidMethod) else 400
            self._refuse_handshake(fault, http_refusal(status, f"{fault}"[:MAX_FAULT_CHARS]))
            return
        super().handle_connect(event)
        if self._shaking_hands:
            self.slot.requested = True
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[ADMISSION] = {}

    def _begin(self, request: bytes) -> None:
        """Process the upgrade request, which uvicorn hands over complete."""
        super().data_received(request)
        if not self.handshake_initiated:
            fault = self.conn.handshake_exc
            causes = (fault, fault and fault.__cause__)
            large = any(isinstance(each, SecurityError) for each in causes)
            self._refuse_handshake(fault, large_head_refusal() if large else http_refusal(400))

    def _refuse_handshake(self, fault: Exception | None, answer: bytes) -> None:
        refusals.info("upgrade refused", extra={"problem": type(fault).__name__})
        self.handshake_complete = self.close_sent = True
        self.transport.write(answer)
        self.linger()

    # --- reading -----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._received_since_ping = True
        if not (self.handshake_initiated or self.close_sent):
            self._begin(data)
        elif self._shaking_hands:
            self._early += data
            self.transport.pause_reading()
        elif self.lingering or self.transport.is_closing():
            pass
        elif (excess := self.slot.count_bytes(len(data))) is not None:
            self._fail(*excess)
        else:
            if self.close_sent:
                self._closed_bytes += len(data)
            super().data_received(data)
            self._stop_reading_for_close()

    def is_ready_for_data(self) -> bool:
        return not (self.read_paused or self._shaking_hands)

    @property
    def read_size(self) -> int:
        if self._frames.left >= LARGE_READ_BYTES:
            return LARGE_READ_BYTES
        return max(self.pace.size, min(self._frames.missing, FRAME_READ_BYTES))

    def _stop_reading_for_close(self) -> None:
        """Stop waiting for the client's close frame behind much other data."""
        read = self._closed_bytes + len(self.conn.reader.buffer)
        if self.close_sent and not self.lingering and read > MAX_BYTES_AFTER_CLOSE:
            self.linger()

    async def receive(self) -> Any:
        message: Any = await super().receive()
        if self.pace.paused and not self.lingering:
            self.transport.pause_reading()  # which uvicorn has just resumed
        if isinstance(frames := message.get("bytes"), list):
            message["bytes"] = await self.loop.run_in_executor(None, b"".join, frames)
        if message["type"] == "websocket.receive" and not self.slot.admitted:
            self.read_paused = True
            self.transport.pause_reading()
        return message

    async def send(self, message: Any) -> None:
        if message["type"] == ADMIT:
            self._admit()
            return
        if message["type"] == REFUSE:
            self.slot.refuse((message["code"], message["reason"]), MAX_REFUSED_BYTES)
            return
        if message["type"] == "websocket.accept" and ADMISSION not in message:
            self.slot.admit()  # the application does not say when
        shaking_hands = self._shaking_hands
        await super().send(message)
        if message["type"] == "websocket.close":
            self.abort_after(CLOSE_WAIT_S)
            self._stop_reading_for_close()
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True  # else uvicorn logs a fault of the application
        if shaking_hands and self.handshake_complete:
            self.clear_deadline()
            early, self._early = self._early, b""
            self.transport.resume_reading()
            if early:
                self.data_received(early)

    def _admit(self) -> None:
        self.slot.admit()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self.transport.resume_reading()

    def send_receive_event_to_app(self) -> None:
        frames, self.frames = self.frames, []
        if self.close_sent:
            return
        message: Any = {"type": "websocket.receive", "bytes": frames}
        if sum(map(len, frames)) <= LARGE_MESSAGE_BYTES:
            message["bytes"] = b"".join(frames)
            if self._utf8 is not None:
                message = {"type": "websocket.receive", "text": message["bytes"].decode()}
        self.queue.put_nowait(message)
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def handle_text(self, event: Frame) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        if self._is_text(event):
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        self._utf8 = None
        super().handle_bytes(event)

    def _is_text(self, event: Frame) -> bool:
        """Check that a text frame is UTF-8, else fail the connection; return whether it is."""
        try:
            if self._utf8 is not None:
                self._utf8.decode(event.data, event.fin)
        except UnicodeDecodeError:
            refusals.info("text message is not UTF-8")
            self._fail(INVALID, close.NOT_UTF8)
            return False
        return True

    def handle_cont(self, event: Frame) -> None:
        if self._counts_frame() and len(self.frames) < MAX_FRAGMENTS:
            if self._is_text(event):
                super().handle_cont(event)
        elif not self.lingering:
            self._fail(TOO_BIG, close.MESSAGE_TOO_BIG)

    def handle_pong(self, event: Frame) -> None:
        if self._counts_frame():
            super().handle_pong(event)

    def _counts_frame(self) -> bool:
        """Count a frame before admission; fail the connection if they are too many."""
        if self.lingering:
            return False
        if (excess := self.slot.count_frame()) is None:
            return True
        self._fail(*excess)
        return False

    # --- pings and pongs ---------------------------------------------------------------------

    def handle_ping(self) -> None:
        if not self._counts_frame():
            return
        frames = self._answers()
        if not self.writable.is_set():
            # The client reads nothing now, and all these pongs would fill our memory. RFC 6455,
            # 5.5.3, lets us answer the latest ping only, but that one without fail: clients
            # close when it is not answered.
            pongs = [frame for frame in frames if frame[:1] == PONG]
            self._pending_pong = pongs[-1] if pongs else self._pending_pong
            frames = [frame for frame in frames if frame[:1] != PONG]
        self.transport.write(b"".join(frames))

    def resume_writing(self) -> None:
        super().resume_writing()
        pong, self._pending_pong = self._pending_pong, b""
        if pong and not (self.close_sent or self.transport.is_closing()):
            self.transport.write(pong)

    def send_keepalive_ping(self) -> None:
        self._received_since_ping = False
        super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        # A pong may follow much else that the client sent: anything that arrived is a
        # sign of life, and while we do not read ourselves, silence says nothing.
        if self._received_since_ping or self.read_paused:
            self.pong_timer = self.pending_ping_payload = None
            self.last_ping_rtt = self.loop.time() - self.ping_sent_at
            self.schedule_ping()
            return
        super().keepalive_timeout()
        self.abort_after(CLOSE_WAIT_S)

    # --- the end -----------------------------------------------------------------------------

    def shutdown(self) -> None:
        """Close with 1011: after uvicorn's 1012, many clients do not reconnect."""
        if not self.handshake_complete or self.close_sent:
            super().shutdown()
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": INTERNAL})
        self.conn.send_close(INTERNAL, close.UNAVAILABLE)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()

    def handle_close(self, event: Frame) -> None:
        self.transport.write(b"".join(self._answers()))
        super().handle_close(event)

    def _answers(self) -> list[bytes]:
        """Return the frames with which the library answers the client's, such as pongs.

        A close frame without a code is answered with 1000, and not with its like: some clients
        take every other end for a fault.
        """
        frames = self.conn.data_to_send()
        return [NORMAL_CLOSE if frame == EMPTY_CLOSE else frame for frame in frames]

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        if self in self.connections:
            self.abort_after(CLOSE_WAIT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.release_connection()
        self._drop_unfinished()

    def _fail(self, code: int, reason: str) -> None:
        """Close the connection for a fault of the client, and discard further input."""
        self.conn.fail(code, close.cut_reason(reason))
        self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        sent = self.conn.close_sent
        code, reason = (sent.code, sent.reason) if sent else (1002, "")
        frames = self.conn.data_to_send()
        if isinstance(self.conn.parser_exc, PayloadTooBig):
            # The library's sentence tells the size of a fragment, which may be one of ours.
            reason = close.MESSAGE_TOO_BIG
            ours = Frame(Opcode.CLOSE, Close(code, reason).serialize()).serialize(mask=False)
            frames = [ours if frame[:1] == EMPTY_CLOSE[:1] else frame for frame in frames]
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(frames))
        self.stop_keepalive()
        self.close_sent = True
        self.read_paused = False
        self.linger()

    def linger(self) -> None:
        super().linger()
        if self.close_timer not in (None, self._quiet):
            self.close_timer.cancel()
        self.close_timer = self._quiet  # else uvicorn closes when the application returns
        self._drop_unfinished()

    def _drop_unfinished(self) -> None:
        """Free an unfinished message, and references in a cycle with the connection."""
        self.frames = []
        self.conn.parser.close()
        self.conn.parser_exc = self.conn.handshake_exc = None
        self.conn.reader.discard()


REQUEST_S = 0.0003
"""Estimated event-loop time of one request."""

MAX_HEADERS = 128
"""Headers of one request; as many as `websockets` accepts."""

MAX_CHUNK_OVERHEAD = 8 * 1024
"""Bytes of chunk sizes in the body of one request."""

UNREAD_BODY_BYTES = 64 * 1024
"""A body up to this size is read to its end even if unused, to keep the connection."""


class HttpConnection(H11Protocol, BoundedProtocol):
    """uvicorn's HTTP/1.1 protocol with limits on the time and size of a request.

    Every request has to be complete within `request_s`. A head of too many lines is refused, and
    so is a body in tiny chunks. When an answer begins before a large body is read, the answer says
    that the connection closes, and the rest of the body is discarded unparsed.
    """

    def __init__(self, *args: Any, slot: ConnectionSlot, request_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.slot = slot
        self._request_s = request_s
        self.ws_protocol_class = partial(  # type: ignore[assignment]
            LiveSocket, slot=slot, handshake_s=request_s
        )
        self.pace = ReadPace(self.loop, READ_BYTES)
        self._overhead = 0
        self._lost = asyncio.Event()

    @property
    def app(self) -> Any:
        """ASGI application, called through `_answer`."""
        return self._answer

    @app.setter
    def app(self, app: Any) -> None:
        self._app = app

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.slot.attach(transport.abort)
        self.set_deadline(self._request_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self.release_connection()
        self._lost.set()
        super().connection_lost(exc)

    def is_ready_for_data(self) -> bool:
        return not self.flow.read_paused

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE and self._too_many_headers():
            self.send_400_response("")
            return
        in_chunks = self._reads_chunks()
        size = len(self.cycle.body) if in_chunks else 0
        super().data_received(data)
        if self.transport.get_protocol() is not self or self.lingering:
            return
        if in_chunks and self._reads_chunks():
            self._overhead += len(data) - (len(self.cycle.body) - size)
            if self._overhead > MAX_CHUNK_OVERHEAD:
                self.send_400_response("")
                return
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self.set_deadline(self._request_s)
        else:
            self.clear_deadline()

    def _too_many_headers(self) -> bool:
        unparsed, _ = self.conn.trailing_data
        return unparsed.count(b"\n") > MAX_HEADERS

    def _reads_chunks(self) -> bool:
        chunked = self.headers and any(name == b"transfer-encoding" for name, _ in self.headers)
        return bool(chunked) and self.conn.their_state is h11.SEND_BODY

    async def _answer(self, scope: Any, receive: Any, send: Send) -> None:
        """Call the application; close the connection after its answer if a large body is unread."""
        self.slot.requested = True
        self._overhead = 0
        if wait_s := self.pace.count_work(REQUEST_S):
            await asyncio.sleep(wait_s)  # requests of one connection are answered one by one
        await self.pace.yield_to_loop()
        closing = False

        async def pass_on(message: Message) -> None:
            nonlocal closing
            if message["type"] == "http.response.start" and self._large_body_left():
                closing = True
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            last = message["type"] == "http.response.body" and not message.get("more_body")
            if not (closing and last):
                await send(message)
                return
            await send({**message, "more_body": True})  # a final event would close it
            self.linger()
            await self._lost.wait()

        await self._app(scope, receive, pass_on)

    def _large_body_left(self) -> bool:
        if not self.cycle.more_body:
            return False
        length = next((value for name, value in self.headers if name == b"content-length"), b"")
        return not length.isdigit() or int(length[:19]) > UNREAD_BODY_BYTES

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self.set_deadline(self._request_s)  # of the next request, which had arrived already
        else:
            self.clear_deadline()  # between requests, uvicorn's own keep-alive time counts

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self.clear_deadline()
        super().handle_websocket_upgrade(event)
        early, _ = self.conn.trailing_data
        protocol = self.transport.get_protocol()
        if early and isinstance(protocol, LiveSocket):
            protocol.data_received(early)  # came in one packet with the request

    def send_400_response(self, msg: str) -> None:
        waiting, _ = self.conn.trailing_data
        limit = self.config.h11_max_incomplete_event_size or 0
        large = len(waiting) > limit or self._too_many_headers()
        refusal = large_head_refusal() if large else http_refusal(400)
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(refusal)
        self.linger()
