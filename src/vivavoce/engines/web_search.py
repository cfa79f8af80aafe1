"""Search the web through a service of the configuration.

Each service is a class of settings and a `SearchService`: its request, and the place of the results
in its answer.

- Only the configured address is requested: redirects are errors, and no result is opened.
- An answer has a time limit and a size limit, and comes uncompressed, so that a small answer can't
  unpack to a large one.
- An error is a sentence that may be spoken, without key, address or query.
- Results without an http address, from excluded hosts or published outside the range are left out;
  most pages give no date. Markup is removed from titles and snippets, since they are read aloud.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

import httpx2
from pydantic import Field

from vivavoce.domain.content import Json, Source
from vivavoce.engines.ports import EngineHost, SearchQuery, Settings, citable_host
from vivavoce.engines.settings import BaseAddress, HttpAddress, read_settings, resolve_key
from vivavoce.errors import ToolError

MAX_ANSWER_BYTES = 2_000_000
MAX_QUERY_CHARS = 400
"""Limit of the strictest service."""
MAX_COUNT = 20
MAX_TEXT_CHARS = 1500
MAX_TITLE_CHARS = 200
TIMEOUT_S = 6.0
MAX_TIMEOUT_S = 60.0
BRAVE_MAX_WORDS = 50

_TAG = re.compile(r"</?[a-zA-Z!][^<>]{0,1000}>")
_PERIODS = {"day": 1, "week": 7, "month": 31, "year": 366}

Value = str | int


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One HTTP request. With a `body` it is a POST of JSON, else a GET."""

    url: str
    params: Mapping[str, Value] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One result as a service gave it, its fields unchecked."""

    link: object
    title: object
    snippet: object
    published: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """Settings that all services have; `url` is the address of the service."""

    needs_key: ClassVar[bool] = False
    url: BaseAddress
    api_key: str = field(default="", repr=False)
    api_key_env: str = ""
    timeout_s: Annotated[float, Field(gt=0, le=MAX_TIMEOUT_S, allow_inf_nan=False)] = TIMEOUT_S

    def __post_init__(self) -> None:
        if self.needs_key and not self.key:
            raise ValueError("`api_key` or `api_key_env` is missing")

    @property
    def key(self) -> str:
        """The key, from the settings or the environment; empty if there is none."""
        return resolve_key(self.api_key, self.api_key_env)


@dataclass(frozen=True, slots=True)
class SearchService:
    """One search service.

    `ask` builds the request for a query at a given time. `read` finds the results in the decoded
    answer; it raises `TypeError`, `KeyError` or `AttributeError` for an answer of another shape,
    and `ToolError` for an error of the service. `refusals` are sentences for statuses with a
    particular meaning. `example` is quoted in the fix of a wrong configuration.
    """

    name: str
    example: str
    settings: type[SearchSettings]
    ask: Callable[[Any, SearchQuery, datetime], SearchRequest]
    read: Callable[[Any], Iterable[SearchHit]]
    refusals: Mapping[int, str] = field(default_factory=dict)

    def build(self, settings: Settings) -> WebSearch:
        """Build the search from a configuration table. Raises `ConfigError`."""
        read = read_settings(f"search.{self.name}", settings, self.settings, self.example)
        return WebSearch(self, read)


@cache
def _certificates() -> ssl.SSLContext:
    """Load the trusted authorities, once: that takes a tenth of a second."""
    return httpx2.create_ssl_context()


class WebSearch:
    """Search through one service. See `engines.ports.SearchEngine`."""

    def __init__(self, service: SearchService, settings: SearchSettings) -> None:
        self.name = service.name
        self._service = service
        self._settings = settings
        self._client = httpx2.AsyncClient(
            headers={"accept": "application/json", "accept-encoding": "identity"},
            verify=_certificates(),
            timeout=settings.timeout_s,
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=16, max_keepalive_connections=4),
        )

    async def search(self, query: SearchQuery) -> Sequence[Source]:
        """Return the results of the service, best first. Raises `ToolError`."""
        words = one_line(query.text, MAX_QUERY_CHARS)
        if not words or query.count < 1:
            return ()
        query = replace(query, text=words)
        request = self._service.ask(self._settings, query, datetime.now(UTC))
        answer = self._parsed(await self._answered(request))
        try:
            return usable_sources(self._service.read(answer), query)
        except (TypeError, KeyError, AttributeError) as error:
            raise self._fault("The search service answered in a form that is not known") from error

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _answered(self, request: SearchRequest) -> bytes:
        seconds = self._settings.timeout_s
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(request)
        except (TimeoutError, httpx2.TimeoutException):
            raise self._fault(f"The search service did not answer within {seconds:g} s") from None
        except httpx2.ConnectError:
            raise self._fault("The search service can't be reached") from None
        except (httpx2.HTTPError, httpx2.InvalidURL):
            # Their texts may hold the address, and with it the query.
            raise self._fault("The search service broke off its answer") from None

    async def _exchange(self, request: SearchRequest) -> bytes:
        method = "GET" if request.body is None else "POST"
        async with self._client.stream(
            method,
            request.url,
            params=dict(request.params) or None,
            headers=request.headers,
            json=request.body,
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
        if status in self._service.refusals:
            return self._service.refusals[status]
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


# --- results -----------------------------------------------------------------------------


def usable_sources(hits: Iterable[SearchHit], query: SearchQuery) -> list[Source]:
    """Return the usable results, in the service's order, `query.count` of them at most."""
    found: dict[str, Source] = {}
    for hit in hits:
        if len(found) >= min(query.count, MAX_COUNT):
            break
        uri = hit.link if isinstance(hit.link, str) else ""
        host = citable_host(uri)
        if not host or uri in found or query.excludes(host) or _untimely(hit, query):
            continue
        title = plain_text(hit.title, MAX_TITLE_CHARS)
        text = plain_text(hit.snippet, MAX_TEXT_CHARS) or title
        if text:
            found[uri] = Source(uri=uri, title=title or host, text=text)
    return list(found.values())


def plain_text(value: object, limit: int) -> str:
    """Return `value` as one line of words without markup."""
    if not isinstance(value, str):
        return ""
    # Markup may itself have been escaped, so it is removed before and after.
    words = _TAG.sub(" ", html.unescape(_TAG.sub(" ", value[: 4 * limit])))
    return re.sub(r" (?=[.,;:!?])", "", one_line(words, limit))


def one_line(text: str, limit: int) -> str:
    """Return `text` as one line without control codes; if too long, cut between two words."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[:limit].rpartition(" ")[0] or line[:limit]


def parse_date(value: object) -> datetime | None:
    """Parse the date of a result: ISO 8601, or as in mail."""
    if not isinstance(value, str):
        return None
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            when = parse(value.strip())
        except (ValueError, IndexError, TypeError):
            continue
        return when if when.tzinfo else when.replace(tzinfo=UTC)
    return None


def _untimely(hit: SearchHit, query: SearchQuery) -> bool:
    when = parse_date(hit.published)
    if when is None:
        return False
    return bool((query.after and when < query.after) or (query.before and when > query.before))


# --- services ----------------------------------------------------------------------------


def _count(query: SearchQuery) -> int:
    """Return the number of results to request: more if some may be left out here."""
    return min(MAX_COUNT, query.count * (2 if query.excluded else 1))


def _hits(results: Any, link: str, snippet: str, published: str = "") -> list[SearchHit]:
    """Return the results by the names of their fields."""
    return [
        SearchHit(each.get(link), each.get("title"), each.get(snippet), each.get(published))
        for each in results
    ]


def _bearer(settings: SearchSettings) -> dict[str, str]:
    return {"authorization": f"Bearer {settings.key}"} if settings.key else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class BraveSettings(SearchSettings):
    """https://api-dashboard.search.brave.com/app/documentation/web-search/query"""

    needs_key: ClassVar[bool] = True
    url: BaseAddress = "https://api.search.brave.com/res/v1"
    country: str = ""
    language: str = ""
    safesearch: Literal["off", "moderate", "strict"] = "moderate"


def _ask_brave(settings: BraveSettings, query: SearchQuery, now: datetime) -> SearchRequest:
    params: dict[str, Value] = {
        "q": " ".join(query.text.split()[:BRAVE_MAX_WORDS]),
        "count": _count(query),
        "result_filter": "web",
        "text_decorations": "false",
        "safesearch": settings.safesearch,
    }
    for name, value in (("country", settings.country), ("search_lang", settings.language)):
        if value:
            params[name] = value
    if query.after or query.before:
        first = f"{query.after:%Y-%m-%d}" if query.after else "1970-01-01"
        params["freshness"] = f"{first}to{query.before or now:%Y-%m-%d}"
    return SearchRequest(
        f"{settings.url}/web/search", params, {"x-subscription-token": settings.key}
    )


def _read_brave(answer: Any) -> Iterable[SearchHit]:
    # Without results there is no `web` at all.
    web = answer.get("web") or {"results": []}
    return _hits(web["results"], "url", "description", "page_age")


BRAVE = SearchService(
    "brave",
    '{ use = "brave", api_key_env = "BRAVE_API_KEY" }',
    BraveSettings,
    _ask_brave,
    _read_brave,
    {422: "Brave Search refused the key, or one of its settings"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearxngSettings(SearchSettings):
    """A metasearch engine that users run themselves: https://docs.searxng.org/dev/search_api.html

    Its requests have a period up to now and no other, and no number of results.
    """

    language: str = ""
    categories: str = "general"
    engines: str = ""
    safesearch: Literal[0, 1, 2] = 0


def _ask_searxng(settings: SearxngSettings, query: SearchQuery, now: datetime) -> SearchRequest:
    params: dict[str, Value] = {"q": query.text, "format": "json"}
    params["safesearch"] = settings.safesearch
    for name in ("language", "categories", "engines"):
        if value := getattr(settings, name):
            params[name] = value
    if query.after is not None:
        age = now - query.after
        fitting = [name for name, days in _PERIODS.items() if age <= timedelta(days=days)]
        if fitting:
            params["time_range"] = fitting[0]
    return SearchRequest(f"{settings.url}/search", params, _bearer(settings))


def _read_searxng(answer: Any) -> Iterable[SearchHit]:
    results = answer["results"]
    if not results and answer.get("unresponsive_engines"):
        raise ToolError("search.searxng", "None of the engines behind SearXNG answered.")
    return _hits(results, "url", "content", "publishedDate")


SEARXNG = SearchService(
    "searxng",
    '{ use = "searxng", url = "http://127.0.0.1:8888" }',
    SearxngSettings,
    _ask_searxng,
    _read_searxng,
    {
        403: "SearXNG refuses to answer in JSON; its settings must list `json` under"
        " `search: formats:`"
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TavilySettings(SearchSettings):
    """https://docs.tavily.com/documentation/api-reference"""

    needs_key: ClassVar[bool] = True
    url: BaseAddress = "https://api.tavily.com"
    depth: Literal["basic", "advanced"] = "basic"
    topic: Literal["general", "news", "finance"] = "general"


def _ask_tavily(settings: TavilySettings, query: SearchQuery, now: datetime) -> SearchRequest:
    body: dict[str, Any] = {
        "query": query.text,
        "max_results": min(MAX_COUNT, query.count),
        "search_depth": settings.depth,
        "topic": settings.topic,
    }
    if query.excluded:
        body["exclude_domains"] = list(query.excluded)
    if query.after:
        body["start_date"] = f"{query.after:%Y-%m-%d}"
    if query.before:
        body["end_date"] = f"{query.before:%Y-%m-%d}"
    return SearchRequest(f"{settings.url}/search", headers=_bearer(settings), body=body)


TAVILY = SearchService(
    "tavily",
    '{ use = "tavily", api_key_env = "TAVILY_API_KEY" }',
    TavilySettings,
    _ask_tavily,
    lambda answer: _hits(answer["results"], "url", "content", "published_date"),
    dict.fromkeys((432, 433), "The quota of the search service is used up"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalSettings(SearchSettings):
    """Any search of the open contract: `POST {query, count}` gives `[{link, title, snippet}]`.

    `url` is used as it is, so it may hold a query or end in a slash.
    """

    url: HttpAddress


def _ask_external(settings: ExternalSettings, query: SearchQuery, now: datetime) -> SearchRequest:
    body: Json = {"query": query.text, "count": _count(query)}
    return SearchRequest(settings.url, headers=_bearer(settings), body=body)


def _read_external(answer: Any) -> Iterable[SearchHit]:
    if not isinstance(answer, list):
        raise TypeError("not a list")
    return _hits(answer, "link", "snippet")


EXTERNAL = SearchService(
    "external",
    '{ use = "external", url = "http://127.0.0.1:9000/search" }',
    ExternalSettings,
    _ask_external,
    _read_external,
)


def _factory(service: SearchService) -> Callable[[Settings, EngineHost], Awaitable[WebSearch]]:
    async def create(settings: Settings, host: EngineHost) -> WebSearch:
        return service.build(settings)

    return create


create_brave, create_searxng = _factory(BRAVE), _factory(SEARXNG)
create_tavily, create_external = _factory(TAVILY), _factory(EXTERNAL)
