"""A search service on loopback that answers as a test tells it to, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: Any


Answer = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class FakeWeb:
    """Where it listens, what it was asked, and how it answers."""

    answer: Answer
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    def says(self, content: object, status: str = "200 OK", **headers: str) -> None:
        """Answer everything with `content`, as JSON unless it is bytes."""

        async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            lines = [f"HTTP/1.1 {status}", f"content-length: {len(data)}", "connection: close"]
            lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode() + data)
            await writer.drain()

        self.answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)
        try:
            await self._exchange(reader, writer)
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = (line.split(": ", 1) for line in lines if ": " in line)
            headers = {key.lower(): value for key, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            method, target, _ = first.split()
            where = urlsplit(target)
            params = dict(parse_qsl(where.query))
            asked = Asked(method, where.path, params, headers, json.loads(body) if body else None)
            self.asked.append(asked)
            await self.answer(asked, writer)


@asynccontextmanager
async def fake_web() -> AsyncIterator[FakeWeb]:
    """A running service that knows nothing until it is told something."""
    fake = FakeWeb(lambda asked, writer: asyncio.sleep(0))
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        server.close()
        for task in list(fake.serving):
            task.cancel()
        await asyncio.gather(*fake.serving, return_exceptions=True)
