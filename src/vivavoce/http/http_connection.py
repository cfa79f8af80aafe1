"""uvicorn's HTTP/1.1, bounded in the time and the pieces in which a request arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from vivavoce.http.bounded_protocol import BoundedProtocol, http_refusal, large_head_refusal
from vivavoce.http.connection_limits import ConnectionSlot
from vivavoce.http.live_socket import LiveSocket
from vivavoce.http.read_pace import ReadPace

REQUEST_S = 0.0003
"""What the answer to one request takes of the event loop; it is not measured."""

READ_BYTES = 2 * 1024
"""Read at a time: 340 of the smallest chunks take a few milliseconds."""

MAX_HEADERS = 128
"""Of a request; as many as `websockets` takes."""

MAX_CHUNK_OVERHEAD = 8 * 1024
"""Bytes of a request's body that are chunk sizes, and not the body."""

UNREAD_BODY_BYTES = 64 * 1024
"""A body of this size is read to its end although it is not wanted, to keep the connection."""

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class HttpConnection(H11Protocol, BoundedProtocol):
    """uvicorn's HTTP/1.1, with bounds on the time and the pieces in which a request arrives.

    Every request has to be complete within `request_s`. A head of too many lines is refused, and
    so is a body in tiny chunks. When an answer begins before a large body is read, the answer says
    that the connection closes, and the rest of the body is thrown away without being parsed.
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
        """The application, whose answers pass through `_answer`."""
        return self._answer

    @app.setter
    def app(self, app: Any) -> None:
        self._app = app

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.slot.open(transport.abort)
        self.set_deadline(self._request_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self.give_back()
        self._lost.set()
        super().connection_lost(exc)

    def wants_data(self) -> bool:
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
        """Call the application. Its answer closes the connection if a large body is left unread."""
        self.slot.requested = True
        self._overhead = 0
        if wait_s := self.pace.count_work(REQUEST_S):
            await asyncio.sleep(wait_s)  # requests of one connection are answered one by one
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
            await send({**message, "more_body": True})  # the last word would close at once
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
