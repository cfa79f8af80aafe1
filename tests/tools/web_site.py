"""A web of loopback servers, and a resolver that says what a test has written."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

from vivavoce.tools.fetch import Fetcher
from vivavoce.tools.ssrf import SsrfGuard, UrlContextSettings

HTML = "text/html; charset=utf-8"


class Names:
    """A resolver: each name has a list of answers, given one after another; the last one stays."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("_", "."): list(each) for name, each in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        left = self.answers.get(host)
        if not left:
            raise OSError("no such name")
        return left.pop(0) if len(left) > 1 else left[0]


def answer(
    body: bytes | str = "",
    kind: str = HTML,
    status: int = 200,
    headers: Iterable[str] = (),
    packed: bool = False,
) -> bytes:
    """A whole HTTP answer."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", *headers]
    if packed:
        data = gzip.compress(data)
        lines.append("Content-Encoding: gzip")
    lines.append(f"Content-Length: {len(data)}")
    return "\r\n".join([*lines, "", ""]).encode() + data


def redirect(to: str, headers: Iterable[str] = ()) -> bytes:
    return answer(status=302, headers=[f"Location: {to}", *headers])


class Site:
    """One server. `pages` maps a path to an answer, or to the pieces of one that may not end."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | Callable[[], Iterable[bytes]]] = {}
        self.heads: list[str] = []
        self.port = 0
        self.asked = asyncio.Event()
        self.done = asyncio.Event()
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def paths(self) -> list[str]:
        return [head.split(" ", 2)[1] for head in self.heads]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            self.asked.set()
            page = self.pages.get(head.split(" ", 2)[1], answer(status=404))
            for piece in (page,) if isinstance(page, bytes) else page():
                writer.write(piece)
                await writer.drain()
            await reader.read()  # until the client is satisfied
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.done.set()
            writer.close()
            del self._open[task]

    async def hang_up(self) -> None:
        """End all connections that are open."""
        for writer in self._open.values():
            writer.transport.abort()
        if self._open:
            await asyncio.wait(list(self._open))


@asynccontextmanager
async def site(
    host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Site]:
    """A running server without pages."""
    one = Site()
    server = await asyncio.start_server(one.serve, host, port, ssl=tls)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        await one.hang_up()


def open_to(
    *ports: int, private: Sequence[str] = ("127.0.0.1/32",), **rest: Any
) -> UrlContextSettings:
    """Settings that let a test reach its own servers."""
    networks = tuple(ip_network(each) for each in private)
    return UrlContextSettings(allow_private=networks, ports=ports or (80, 443), **rest)


def fetcher(
    settings: UrlContextSettings, names: Names, tls: ssl.SSLContext | None = None
) -> Fetcher:
    return Fetcher(settings, SsrfGuard(settings, names), tls)
