"""A scripted Live server for the client's own tests: says what it is told to say."""

from __future__ import annotations

import asyncio
import base64
import json
import queue
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
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


@contextmanager
def serving_in_a_thread(script: Callable[[Peer], Awaitable[None]]) -> Iterator[str]:
    """As `serving`, for code under test that runs an event loop of its own."""
    ready: queue.Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve_until_told() -> None:
        over = asyncio.Event()
        async with serving(script) as url:
            ready.put((url, asyncio.get_running_loop(), over))
            await over.wait()

    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(asyncio.run, serve_until_told())
        url, loop, over = ready.get(timeout=10)
        try:
            yield url
        finally:
            loop.call_soon_threadsafe(over.set)
            served.result(timeout=10)
