"""A scripted Live server for the client's own tests: says what it is told to say."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

READY = {"setupComplete": {"sessionId": "s-1"}}


def spoken(pcm: bytes) -> dict[str, Any]:
    data = base64.b64encode(pcm).decode()
    blob = {"mimeType": "audio/pcm;rate=24000", "data": data}
    return {"serverContent": {"modelTurn": {"parts": [{"inlineData": blob}]}}}


class Peer:
    """The server's side of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        self.path = socket.request.path if socket.request else ""
        self.received: list[dict[str, Any]] = []

    async def take(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self._socket.recv())
        self.received.append(message)
        return message

    async def take_until(self, key: str) -> dict[str, Any]:
        while key not in (message := await self.take()):
            pass
        return message

    async def say(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            await self._socket.send(json.dumps(message).encode())

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code, reason)

    async def gone(self) -> None:
        await self._socket.wait_closed()


@asynccontextmanager
async def serving(script: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[str]:
    """The base URL of a server that plays `script` to every client."""
    failures: list[BaseException] = []

    async def handle(socket: ServerConnection) -> None:
        try:
            await script(Peer(socket))
        except AssertionError as error:
            failures.append(error)
            raise

    async with serve(handle, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    if failures:
        raise failures[0]


async def run_beside(work: Awaitable[None], main: Awaitable[Any]) -> Any:
    """The outcome of `main`, while `work` goes on beside it."""
    task = asyncio.ensure_future(work)
    try:
        return await main
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
