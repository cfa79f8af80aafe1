"""Transports to an MCP server: streamable HTTP, or the pipes of a program.

The `mcp` package bounds an event of a stream but not a plain JSON answer, decompresses any answer,
and lets the error of one request end the whole connection. So the HTTP client under it counts
bytes, refuses compressed answers, and notes for each call (`Delivery`, in the call's context)
whether the server certainly did not get it: only such a call may be sent again.
"""

from __future__ import annotations

import contextlib
import functools
import re
import ssl
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import httpx2
from mcp import StdioServerParameters, stdio_client
from mcp.client import Transport, stdio
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage

from vivavoce.domain.text import exceeds_values
from vivavoce.tools.mcp.settings import McpServerSpec

if TYPE_CHECKING:
    from mcp.client._transport import ReadStream, TransportStreams, WriteStream

# A program is stopped by closing its input, then by SIGTERM, then by SIGKILL. The package waits two
# seconds at each step, longer in all than the server gives its parts to close.
stdio.PROCESS_TERMINATION_TIMEOUT = 1.0
stdio.FORCE_KILL_TIMEOUT = 1.0

MAX_CALLS = 32
"""Calls that one connection carries at once."""

MAX_RESPONSE_BYTES = 1024 * 1024
"""Size of one answer over HTTP."""

MAX_RESPONSE_VALUES = 3000
MAX_LISTING_VALUES = 20_000
"""Objects, lists and what they hold in one answer over HTTP: to a call, and to anything else, such
as the question for the tools. It is parsed on the event loop, by the package, which takes some 5 us
for each if they are all blocks of content."""

_SPARE_CONNECTIONS = 8
_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_NOT_FOUND = 404


@dataclass(slots=True)
class Delivery:
    """Delivery status of one call. `refused`: the server did not take it, so nothing ran."""

    refused: bool = False


delivery: ContextVar[Delivery | None] = ContextVar("delivery", default=None)


class TooLarge(httpx2.StreamError):
    """An answer exceeds the limits."""


@functools.cache
def tls() -> ssl.SSLContext:
    """Load the trusted certificates. Slow: to be called in a thread."""
    return httpx2.create_ssl_context()


@contextlib.asynccontextmanager
async def transport(
    spec: McpServerSpec, ended: Callable[[], None]
) -> AsyncGenerator[tuple[_WatchedStream, WriteStream[SessionMessage]], None]:
    """Open the two streams to the server. `ended` is called when nothing more will come from it."""
    async with _stdio(spec) if spec.command else _http(spec) as (read, write):
        yield _WatchedStream(read, ended), write


def _stdio(spec: McpServerSpec) -> Transport:
    program, *arguments = spec.command
    parameters = StdioServerParameters(command=program, args=arguments, env=dict(spec.env))
    return stdio_client(parameters, errlog=sys.__stderr__ or sys.stderr)


@contextlib.asynccontextmanager
async def _http(spec: McpServerSpec) -> AsyncGenerator[TransportStreams, None]:
    limits = httpx2.Limits(max_connections=MAX_CALLS + _SPARE_CONNECTIONS)
    carrier = httpx2.AsyncHTTPTransport(verify=tls(), limits=limits)
    http = httpx2.AsyncClient(
        headers={**spec.headers, "accept-encoding": "identity"},
        # The time that a tool takes is bounded by that of its call.
        timeout=httpx2.Timeout(spec.connect_s, read=None),
        transport=_BoundedTransport(carrier, spec.connect_s),
        trust_env=False,
    )
    async with (
        http,
        streamable_http_client(
            spec.url,
            http_client=http,
            terminate_on_close=spec.terminate,
            max_sse_event_size=MAX_RESPONSE_BYTES,
        ) as streams,
    ):
        yield streams


class _BoundedTransport(httpx2.AsyncBaseTransport):
    """Sends requests by another transport, with bounds on what comes back."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, close_s: float) -> None:
        self._inner = inner
        self._close_s = close_s

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "DELETE":  # the end of a session
            request.extensions["timeout"] |= {"read": self._close_s}
        call = delivery.get()
        try:
            response = await self._inner.handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            if call is not None:
                call.refused = True
            raise
        if call is not None and response.status_code == _NOT_FOUND:
            call.refused = True  # a server that was restarted does not know the session
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise TooLarge("a compressed answer, which was not asked for")
        most = MAX_LISTING_VALUES if call is None else MAX_RESPONSE_VALUES
        streams = response.headers.get("content-type", "").lower().startswith("text/event-stream")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        return httpx2.Response(
            status_code=response.status_code,
            headers=response.headers,
            stream=_BoundedBody(response.stream, most, streams),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _BoundedBody(httpx2.AsyncByteStream):
    """A body, or the events of a stream, each passed on when all of it has come and been counted.

    One that is too long, or holds too many values, ends the body with `TooLarge`.
    """

    def __init__(self, inner: httpx2.AsyncByteStream, max_values: int, streams: bool) -> None:
        self._inner = inner
        self._max_values = max_values
        self._streams = streams

    async def __aiter__(self) -> AsyncIterator[bytes]:
        held = bytearray()
        async for chunk in self._inner:
            held += chunk
            if self._streams and (end := _end_of_events(held, len(chunk))):
                for event in _EVENT_END.split(held[:end]):
                    self._check(event)
                yield bytes(held[:end])
                del held[:end]
            if len(held) > MAX_RESPONSE_BYTES:
                raise TooLarge(f"an answer of more than {MAX_RESPONSE_BYTES} bytes")
        self._check(held)
        yield bytes(held)

    def _check(self, answer: bytes | bytearray) -> None:
        if exceeds_values(bytes(answer), self._max_values):
            raise TooLarge(f"an answer of more than {self._max_values} values")

    async def aclose(self) -> None:
        await self._inner.aclose()


def _end_of_events(held: bytearray, new: int) -> int:
    """Return where the last whole event ends, if within the `new` bytes at the end; else 0."""
    ends = [found.end() for found in _EVENT_END.finditer(held, max(0, len(held) - new - 3))]
    return ends[-1] if ends else 0


class _WatchedStream:
    """A stream of messages that calls `ended` when its reader has left it, which is at its end."""

    def __init__(
        self, inner: ReadStream[SessionMessage | Exception], ended: Callable[[], None]
    ) -> None:
        self._inner = inner
        self._ended = ended
        self.receive = inner.receive
        self.aclose = inner.aclose

    @property
    def last_context(self) -> object:
        """The sender's context of the latest message, which the package looks for."""
        return getattr(self._inner, "last_context", None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        return await self._inner.__anext__()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        self._ended()
        return await self._inner.__aexit__(exc_type, exc_val, exc_tb)
