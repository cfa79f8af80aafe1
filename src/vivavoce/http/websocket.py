"""Adapt an ASGI WebSocket to `runtime.ports.Transport`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from vivavoce.protocol import close
from vivavoce.runtime.ports import Disconnected

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]

CLOSE_TIMEOUT_S = 2.0
"""Timeout of a close behind unread output, before the connection is aborted."""

ABNORMAL = 1006

ADMISSION = "vivavoce.admission"
"""ASGI extension of this server: a socket accepted with this key reads little before the
application sends `ADMIT`. After `REFUSE` it reads at most a few KiB, then closes
with that code and reason."""

ADMIT = "vivavoce.admit"
REFUSE = "vivavoce.refuse"


class AsgiWebSocket:
    """ASGI WebSocket as a transport; `text` sends text frames instead of binary ones.

    `admission`: the server behind `send` has the extension `ADMISSION`.
    """

    def __init__(
        self, receive: Receive, send: Send, text: bool = False, admission: bool = False
    ) -> None:
        self._receive = receive
        self._send = send
        self._text = text
        self._admission = admission
        self._put_back: list[bytes] = []
        self.closed: int | None = None
        """The close code of either side; `None` while it is open."""

    async def accept(self) -> None:
        """Accept the WebSocket upgrade. Raises `Disconnected`."""
        await self._receive()
        accept: Message = {"type": "websocket.accept"}
        if self._admission:
            accept[ADMISSION] = {}
        await self._put(accept)

    async def admit(self) -> None:
        """Lift the limits on input before admission. Raises `Disconnected`."""
        if self._admission:
            await self._put({"type": ADMIT})

    async def refuse(self, code: int, reason: str) -> None:
        """Read only a little more; if more comes, close with this code. Raises `Disconnected`."""
        if self._admission:
            await self._put({"type": REFUSE, "code": code, "reason": reason})

    def put_back(self, frame: bytes) -> None:
        """Push back a frame, to be received next."""
        self._put_back.append(frame)

    async def receive(self) -> bytes | str:
        """Receive the next frame. Raises `Disconnected`."""
        if self._put_back:
            return self._put_back.pop()
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self.closed = self.closed or message.get("code") or ABNORMAL
            raise Disconnected(self.closed, message.get("reason") or "")
        data: bytes | str | None = message.get("bytes")
        return message["text"] if data is None else data

    async def send(self, frame: bytes) -> None:
        """Send a frame; waits while the client reads slowly. Raises `Disconnected`."""
        if self._text:
            await self._put({"type": "websocket.send", "text": frame.decode()})
        else:
            await self._put({"type": "websocket.send", "bytes": frame})

    async def close(self, code: int, reason: str) -> None:
        """Close, unless it is closed. A client that never reads does not block this."""
        if self.closed is not None:
            return
        self.closed = code
        message = {"type": "websocket.close", "code": code, "reason": close.cut_reason(reason)}
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await self._put(message)

    async def _put(self, message: Message) -> None:
        try:
            await self._send(message)
        except (OSError, RuntimeError) as error:
            # The server raises an OSError of its own when the peer has gone, and a RuntimeError
            # when it closed the connection itself, for a frame that breaks the rules.
            self.closed = self.closed or ABNORMAL
            raise Disconnected(self.closed) from error


async def refuse_upgrade(send: Send, status: int, body: bytes, content_type: str) -> None:
    """Answer an upgrade request with an ordinary HTTP response."""
    headers = [(b"content-type", content_type.encode())]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
