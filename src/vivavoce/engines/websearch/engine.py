"""Asking a search service over HTTP, and guarding what it answers.

Rules. Only the configured address is asked: a redirect is a fault and is not followed, and no
result is ever opened. An answer has a time limit and a size limit, both for the whole of it, and
comes uncompressed, so that a small answer can't unpack to a large one. A fault is a sentence that a
voice may say: no key, address or query stands in it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import httpx2

from vivavoce.domain.content import Json
from vivavoce.domain.evidence import Source
from vivavoce.engines.tool_ports import SearchQuery
from vivavoce.engines.websearch.results import Hit, line_of, sources
from vivavoce.engines.websearch.settings import WebSettings
from vivavoce.errors import ToolError

MAX_ANSWER_BYTES = 2_000_000
MAX_QUERY_CHARS = 400
"""What the strictest of the services takes."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. With a `body` it is a POST of JSON, else a GET."""

    url: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None


@dataclass(frozen=True, slots=True)
class Adapter:
    """One service: its name, how it is asked, and where its answer holds the results.

    `ask` is told the time of day. `read` raises `TypeError`, `KeyError` or `AttributeError` for
    an answer of another shape, and `ToolError` if the service says what is wrong in it.
    `refusals` are sentences for statuses that mean something particular here.
    """

    name: str
    ask: Callable[[WebSettings, SearchQuery, datetime], Ask]
    read: Callable[[Any], Iterable[Hit]]
    refusals: Mapping[int, str] = field(default_factory=dict)


@cache
def _certificates() -> ssl.SSLContext:
    """The authorities that are trusted, once for all: loading them takes a tenth of a second."""
    return httpx2.create_ssl_context()


class WebSearch:
    """Searches through one service."""

    def __init__(self, adapter: Adapter, settings: WebSettings) -> None:
        self.name = adapter.name
        self._adapter = adapter
        self._settings = settings
        self._client = httpx2.AsyncClient(
            headers={"accept": "application/json", "accept-encoding": "identity"},
            verify=_certificates(),
            timeout=settings.timeout_s,
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=16, max_keepalive_connections=4),
        )

    async def search(self, query: SearchQuery) -> Sequence[Source]:
        """What the service found, best first. Raises `ToolError`."""
        words = line_of(query.text, MAX_QUERY_CHARS)
        if not words or query.count < 1:
            return ()
        query = replace(query, text=words)
        ask = self._adapter.ask(self._settings, query, datetime.now(UTC))
        answer = self._parsed(await self._answered(ask))
        try:
            return sources(self._adapter.read(answer), query)
        except (TypeError, KeyError, AttributeError) as error:
            raise self._fault("The search service answered in a form that is not known") from error

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _answered(self, ask: Ask) -> bytes:
        seconds = self._settings.timeout_s
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(ask)
        except (TimeoutError, httpx2.TimeoutException):
            raise self._fault(f"The search service did not answer within {seconds:g} s") from None
        except httpx2.ConnectError:
            raise self._fault("The search service can't be reached") from None
        except (httpx2.HTTPError, httpx2.InvalidURL):
            # Their texts may hold the address, and with it the query.
            raise self._fault("The search service broke off its answer") from None

    async def _exchange(self, ask: Ask) -> bytes:
        method = "GET" if ask.body is None else "POST"
        async with self._client.stream(
            method, ask.url, params=dict(ask.params) or None, headers=ask.headers, json=ask.body
        ) as answer:
            if answer.status_code != httpx2.codes.OK:
                raise self._fault(self._refusal(answer.status_code))
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise self._fault("The search service compressed its answer unasked")
            data = bytearray()
            async for chunk in answer.aiter_raw():
                data += chunk
                if len(data) > MAX_ANSWER_BYTES:
                    raise self._fault("The search service answered with too much")
            return bytes(data)

    def _refusal(self, status: int) -> str:
        if status in self._adapter.refusals:
            return self._adapter.refusals[status]
        match status:
            case 401 | 403:
                return "The search service refused the key"
            case 402:
                return "The quota of the search service is used up"
            case 404:
                return "The address of the search service is wrong, it answers 404"
            case 429:
                return "The search service was asked too often; try again later"
            case _ if 300 <= status < 400:
                return "The search service redirects elsewhere, which is not followed"
            case _:
                return f"The search service failed with status {status}"

    def _parsed(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise self._fault("The search service answered with something else than JSON") from None

    def _fault(self, problem: str) -> ToolError:
        return ToolError(f"search.{self.name}", problem + ".")
