"""A chat endpoint on loopback that says what a test tells it to, byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


def delta(**content: Any) -> Json:
    """A chunk that carries some of the answer."""
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": content}]}


def words(text: str) -> list[Json]:
    """An answer in words, one chunk each, with its end."""
    pieces = [piece + " " for piece in text.split()]
    return [delta(role="assistant", content=""), *(delta(content=p) for p in pieces), end("stop")]


def end(reason: str) -> Json:
    """The chunk that says why an answer ended."""
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def call(index: int, name: str, *arguments: str) -> list[Json]:
    """A function call whose arguments come in pieces."""
    first = {"index": index, "id": f"call_{index}", "type": "function"}
    return [
        delta(tool_calls=[{**first, "function": {"name": name, "arguments": ""}}]),
        *(delta(tool_calls=[{"index": index, "function": {"arguments": a}}]) for a in arguments),
    ]


@dataclass
class Exchange:
    """One request as it arrived, and the means to answer it."""

    path: str
    headers: dict[str, str]
    body: Json
    writer: asyncio.StreamWriter
    gone: asyncio.Event

    async def head(self, status: str = "200 OK", kind: str = "text/event-stream") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.writer.write(head.encode())
        await self.writer.drain()

    async def raw(self, data: str) -> None:
        encoded = data.encode()
        self.writer.write(f"{len(encoded):x}\r\n".encode() + encoded + b"\r\n")
        await self.writer.drain()

    async def event(self, chunk: Json) -> None:
        await self.raw(f"data: {json.dumps(chunk)}\n\n")

    async def finish(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def stream(self, chunks: list[Json]) -> None:
        """A whole proper answer."""
        await self.head()
        for chunk in chunks:
            await self.event(chunk)
        await self.raw("data: [DONE]\n\n")
        await self.finish()

    async def refuse(self, status: str, body: str) -> None:
        await self.head(status, "application/json")
        await self.raw(body)
        await self.finish()


Handler = Callable[[Exchange], Awaitable[None]]


@dataclass
class FakeChat:
    """Where it listens, what it was asked, how it answers, and how often its models were listed."""

    answer: Handler
    url: str = ""
    asked: list[Exchange] = field(default_factory=list)
    looked: int = 0
    models: Json | None = None
    models_status: str = "200 OK"

    def replies(self, chunks: list[Json]) -> None:
        async def handler(exchange: Exchange) -> None:
            await exchange.stream(chunks)

        self.answer = handler

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await _head(reader):
                first, *lines = head.decode().split("\r\n")
                pairs = (line.split(": ", 1) for line in lines if ": " in line)
                headers = {key.lower(): value for key, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                exchange = Exchange(
                    first.split()[1], headers, json.loads(body or b"{}"), writer, asyncio.Event()
                )
                if exchange.path.endswith("/models"):
                    self.looked += 1
                    listed = self.models or {"object": "list", "data": []}
                    await exchange.refuse(self.models_status, json.dumps(listed))
                    continue
                self.asked.append(exchange)
                async with asyncio.TaskGroup() as tasks:
                    answering = tasks.create_task(self._answer(exchange))
                    watching = tasks.create_task(_watch(reader, exchange))
                    await answering
                    watching.cancel()
                if exchange.gone.is_set():
                    return
        finally:
            writer.close()

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self.answer(exchange)
        except (ConnectionError, OSError):
            exchange.gone.set()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


async def _watch(reader: asyncio.StreamReader, exchange: Exchange) -> None:
    """Notice a client that hangs up in mid-answer."""
    try:
        if not await reader.read(1):
            exchange.gone.set()
    except ConnectionError:
        exchange.gone.set()


@asynccontextmanager
async def fake_chat() -> AsyncIterator[FakeChat]:
    """A running endpoint that greets until it is told something else."""
    fake = FakeChat(lambda exchange: exchange.stream(words("Hello there!")))
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    fake.url = f"http://127.0.0.1:{port}/v1"
    try:
        yield fake
    finally:
        server.close()
