"""Each web search asks its service as the service wants it, and brings home what can be cited."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from engines.fake_web import Asked, FakeWeb, fake_web
from vivavoce.domain.content import Source
from vivavoce.engines.ports import SearchEngine, SearchQuery
from vivavoce.engines.registry import EngineBuilder
from vivavoce.engines.settings import read_settings
from vivavoce.engines.web_search import (
    BRAVE,
    EXTERNAL,
    SEARXNG,
    TAVILY,
    SearchService,
    WebSearch,
)
from vivavoce.errors import ConfigError, ToolError
from vivavoce.testing.engine_contracts import SearchEngineContract

pytestmark = pytest.mark.integration

KEY = "a-key-of-the-user"
TOWER = {"link": "https://tower.example/a", "title": "The tower", "snippet": "It is 90 m tall."}
HILL = {
    "link": "http://hill.example/b?x=1",
    "title": "The hill",
    "snippet": "The tower stands on it.",
}
SOURCES = [
    Source("https://tower.example/a", "The tower", "It is 90 m tall."),
    Source("http://hill.example/b?x=1", "The hill", "The tower stands on it."),
]


@pytest.fixture
async def web() -> AsyncIterator[FakeWeb]:
    async with fake_web() as fake:
        yield fake


def engine(web: FakeWeb, service: SearchService, **settings: object) -> WebSearch:
    """The search of `service`, asking the fake one."""
    own = {"url": web.url, **({"api_key": KEY} if service.settings.needs_key else {}), **settings}
    return service.build(own)


async def search(made: WebSearch, query: SearchQuery) -> list[Source]:
    try:
        return list(await made.search(query))
    finally:
        await made.aclose()


def said(service: SearchService, *hits: dict[str, Any]) -> object:
    """`hits` as `service` would say them."""
    match service.name:
        case "searxng":
            return {"results": [_as(hit, "content", "publishedDate") for hit in hits]}
        case "brave":
            return {"web": {"results": [_as(hit, "description", "page_age") for hit in hits]}}
        case "tavily":
            return {"results": [_as(hit, "content", "published_date") for hit in hits]}
        case _:
            return list(hits)


def _as(hit: dict[str, Any], text: str, date: str) -> dict[str, Any]:
    named = {"url": hit["link"], "title": hit["title"], text: hit["snippet"]}
    return named | ({date: hit["date"]} if "date" in hit else {})


class Contract(SearchEngineContract):
    question = "How tall is the tower?"
    service: ClassVar[SearchService]

    @pytest.fixture(autouse=True)
    def _web(self, web: FakeWeb) -> None:
        web.says(said(self.service, TOWER, HILL))
        self.web = web

    def engine(self) -> SearchEngine:
        return engine(self.web, self.service)

    async def test_results_come_in_the_services_order(self) -> None:
        assert await search(engine(self.web, self.service), SearchQuery("tower")) == SOURCES

    async def test_nothing_is_asked_about_nothing(self) -> None:
        await self.test_an_empty_query_has_no_results()
        assert self.web.asked == []

    async def test_excluded_hosts_are_left_out(self) -> None:
        query = SearchQuery("tower", excluded=("example.org", "Hill.Example"))
        found = await search(engine(self.web, self.service), query)
        assert found == SOURCES[:1]


class TestSearxng(Contract):
    service: ClassVar[SearchService] = SEARXNG


class TestBrave(Contract):
    service: ClassVar[SearchService] = BRAVE


class TestTavily(Contract):
    service: ClassVar[SearchService] = TAVILY


class TestExternal(Contract):
    service: ClassVar[SearchService] = EXTERNAL


async def asked(
    web: FakeWeb, service: SearchService, query: SearchQuery, **settings: object
) -> Asked:
    """What the service got."""
    web.says(said(service))
    assert await search(engine(web, service, **settings), query) == []
    return web.asked[-1]


async def test_searxng_is_asked_for_json(web: FakeWeb) -> None:
    got = await asked(
        web, SEARXNG, SearchQuery("tall tower"), language="de", engines="wikipedia", safesearch=2
    )
    assert (got.method, got.path) == ("GET", "/search")
    assert got.params == {
        "q": "tall tower",
        "format": "json",
        "language": "de",
        "categories": "general",
        "engines": "wikipedia",
        "safesearch": "2",
    }
    assert "authorization" not in got.headers
    assert got.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("days", "period"), [(0.5, "day"), (3, "week"), (20, "month"), (200, "year"), (900, None)]
)
async def test_searxng_gets_the_period_that_holds_the_range(
    web: FakeWeb, days: float, period: str | None
) -> None:
    after = datetime.now(UTC) - timedelta(days=days)
    got = await asked(web, SEARXNG, SearchQuery("tower", after=after))
    assert got.params.get("time_range") == period


async def test_brave_is_asked_with_its_token(web: FakeWeb) -> None:
    query = SearchQuery("word " * 70, count=3, excluded=("x.example",))
    got = await asked(web, BRAVE, query, country="DE", language="de")
    assert (got.method, got.path) == ("GET", "/web/search")
    assert got.headers["x-subscription-token"] == KEY
    assert got.params == {
        "q": " ".join(["word"] * 50),
        "count": "6",
        "result_filter": "web",
        "text_decorations": "false",
        "safesearch": "moderate",
        "country": "DE",
        "search_lang": "de",
    }


async def test_brave_gets_the_range_as_days(web: FakeWeb) -> None:
    first, last = datetime(2024, 12, 1, tzinfo=UTC), datetime(2024, 12, 8, tzinfo=UTC)
    got = await asked(web, BRAVE, SearchQuery("quake", after=first, before=last))
    assert got.params["freshness"] == "2024-12-01to2024-12-08"
    got = await asked(web, BRAVE, SearchQuery("quake", before=last))
    assert got.params["freshness"] == "1970-01-01to2024-12-08"


async def test_tavily_is_asked_with_a_bearer_key(web: FakeWeb) -> None:
    query = SearchQuery(
        "quake",
        count=90,
        excluded=("x.example",),
        after=datetime(2024, 12, 1, tzinfo=UTC),
        before=datetime(2024, 12, 8, tzinfo=UTC),
    )
    got = await asked(web, TAVILY, query, depth="advanced")
    assert (got.method, got.path) == ("POST", "/search")
    assert got.headers["authorization"] == f"Bearer {KEY}"
    assert got.body == {
        "query": "quake",
        "max_results": 20,
        "search_depth": "advanced",
        "topic": "general",
        "exclude_domains": ["x.example"],
        "start_date": "2024-12-01",
        "end_date": "2024-12-08",
    }


async def test_a_slash_at_the_end_of_an_address_is_not_doubled(web: FakeWeb) -> None:
    got = await asked(web, SEARXNG, SearchQuery("tower"), url=web.url + "/here/")
    assert got.path == "/here/search"


async def test_the_open_contract_is_asked_at_the_address_as_it_is(web: FakeWeb) -> None:
    query = SearchQuery("tall\n\x00tower", count=4)
    got = await asked(web, EXTERNAL, query, url=web.url + "/my/search")
    assert (got.method, got.path, got.params) == ("POST", "/my/search", {})
    assert got.body == {"query": "tall tower", "count": 4}
    assert "authorization" not in got.headers
    got = await asked(web, EXTERNAL, query, url=web.url + "/my/search/?of=mine")
    assert (got.path, got.params) == ("/my/search/", {"of": "mine"})
    got = await asked(web, EXTERNAL, query, url=web.url + "/my/")
    assert got.path == "/my/"
    got = await asked(web, EXTERNAL, query, api_key=KEY)
    assert got.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("service", [SEARXNG, BRAVE, TAVILY])
async def test_dated_results_outside_the_range_are_left_out(
    web: FakeWeb, service: SearchService
) -> None:
    dates = ["2024-11-30T10:00:00", "Thu, 05 Dec 2024 18:44:00 GMT", "2024-12-09T00:00:00+00:00"]
    hits = [TOWER | {"link": f"https://d.example/{n}", "date": d} for n, d in enumerate(dates)]
    web.says(said(service, *hits, HILL, TOWER | {"date": "no date"}))
    first, last = datetime(2024, 12, 1, tzinfo=UTC), datetime(2024, 12, 8, tzinfo=UTC)
    found = await search(engine(web, service), SearchQuery("x", after=first, before=last))
    links = ["https://d.example/1", HILL["link"], TOWER["link"]]
    assert [source.uri for source in found] == links


async def test_markup_is_taken_out_and_odd_results_with_it(web: FakeWeb) -> None:
    odd = [
        {"link": "javascript:alert(1)"},
        {"link": "file:///etc/passwd"},
        {"link": "https://user:secret@x.example/"},
        {"link": "https://x.example/\nhost: y"},
        {"link": "https://x.example/\ud83d", "title": "Half", "snippet": "Half a character."},
        {"link": "https://[x/"},
        {"link": "https://"},
        {"link": "https://long.example/" + "x" * 2000},
        {"link": None},
        {"link": "https://empty.example/", "title": "", "snippet": "<br>"},
        {"link": TOWER["link"], "title": "<b>The</b>  tower &amp; hill", "snippet": None},
        {
            "link": HILL["link"],
            "title": None,
            "snippet": "The <em>tower</em>, &lt;script&gt;x &lt; y&lt;/script&gt;\u0007 is.",
        },
        {"link": TOWER["link"], "title": "Again", "snippet": "The same address."},
        {"link": "https://l.example/", "title": "word " * 99, "snippet": "word " * 9999},
    ]
    web.says(odd)
    found = await search(engine(web, EXTERNAL), SearchQuery("x", count=10))
    assert found[:2] == [
        Source(TOWER["link"], "The tower & hill", "The tower & hill"),
        Source(HILL["link"], "hill.example", "The tower, x < y is."),
    ]
    assert [source.uri for source in found[2:]] == ["https://l.example/"]
    assert 1400 < len(found[2].text) <= 1500
    assert len(found[2].title) <= 200


async def test_brave_without_results_found_nothing(web: FakeWeb) -> None:
    web.says({"type": "search", "query": {}})
    assert await search(engine(web, BRAVE), SearchQuery("x")) == []


ALL = [SEARXNG, BRAVE, TAVILY, EXTERNAL]
QUERY = SearchQuery("private words")


async def built(service: SearchService, settings: dict[str, Any]) -> WebSearch:
    search: WebSearch = await EngineBuilder().build("search", {"use": service.name, **settings})
    return search


async def fault(service: SearchService, url: str, **settings: object) -> str:
    """What the search of `service` says when it fails."""
    made = await built(service, {"url": url, "api_key": KEY, **settings})
    with pytest.raises(ToolError) as caught:
        await made.search(QUERY)
    await made.aclose()
    said = str(caught.value)
    assert caught.value.tool == f"search.{service.name}"
    assert said.endswith(".")
    for secret in (KEY, "private", "words", "127.0.0.1", "http:"):
        assert secret not in said
    assert caught.value.__cause__ is None or KEY not in repr(caught.value.__cause__)
    return caught.value.problem


@pytest.mark.parametrize("service", ALL)
@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("401 Unauthorized", "refused the key"),
        ("402 Payment Required", "used up"),
        ("404 Not Found", "404"),
        ("429 Too Many Requests", "too often"),
        ("500 Internal Server Error", "status 500"),
        ("204 No Content", "status 204"),
    ],
)
async def test_refusals_are_distinguished(
    web: FakeWeb, service: SearchService, status: str, says: str
) -> None:
    web.says(b"" if status.startswith("204") else {"error": f"{KEY} private"}, status)
    assert says in await fault(service, web.url)


async def test_searxng_without_json_says_what_to_set(web: FakeWeb) -> None:
    web.says(b"<h1>Forbidden</h1>", "403 Forbidden")
    assert "must list `json` under `search: formats:`" in await fault(SEARXNG, web.url)


async def test_searxng_whose_engines_are_all_away_is_a_fault(web: FakeWeb) -> None:
    web.says({"results": [], "unresponsive_engines": [["duckduckgo", "timeout"]]})
    assert "None of the engines" in await fault(SEARXNG, web.url)


@pytest.mark.parametrize("status", ["432 Over", "433 Over"])
async def test_tavily_names_a_spent_plan(web: FakeWeb, status: str) -> None:
    web.says({}, status)
    assert "used up" in await fault(TAVILY, web.url)


async def test_a_redirect_is_not_followed(web: FakeWeb) -> None:
    async with fake_web() as elsewhere:
        elsewhere.says({"results": []})
        for status in ("301 Moved", "302 Found", "307 Temporary", "308 Permanent"):
            web.says(b"", status, location=elsewhere.url + "/search")
            assert "redirects" in await fault(SEARXNG, web.url)
            assert "redirects" in await fault(EXTERNAL, web.url)
        assert elsewhere.asked == []


@pytest.mark.parametrize("service", ALL)
@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b'{"results"', b"[" * 100_000, b"3", b'"text"', b'{"a": 1}', b"[3]",
     b'{"results": [null]}', b'{"results": null}', b'{"web": {"results": ["x"]}}', b"\xff\xfe"],
)  # fmt: skip
async def test_answers_of_another_shape_are_faults_or_nothing(
    web: FakeWeb, service: SearchService, content: bytes
) -> None:
    web.says(content)
    made = await built(service, {"url": web.url, "api_key": KEY})
    try:
        assert list(await made.search(QUERY)) == []
        # The one answer that a service gives of its own accord, when there is nothing.
        assert service is BRAVE
        assert content in (b'{"a": 1}', b'{"results": [null]}', b'{"results": null}')
    except ToolError as error:
        assert "JSON" in error.problem or "form" in error.problem  # noqa: PT017
    await made.aclose()


async def test_an_answer_that_does_not_end_is_given_up(web: FakeWeb) -> None:
    async def drip(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    web.answer = drip
    assert "did not answer within 0.2 s" in await fault(SEARXNG, web.url, timeout_s=0.2)


async def test_an_answer_that_is_too_large_is_not_read_to_its_end(web: FakeWeb) -> None:
    sent = 0

    async def pour(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 900000000\r\n\r\n")
        while sent < 900_000_000:
            writer.write(bytes(65536))
            await writer.drain()
            sent += 65536

    web.answer = pour
    assert "too much" in await fault(EXTERNAL, web.url)
    assert sent < 50_000_000


async def test_an_answer_that_would_unpack_is_not_unpacked(web: FakeWeb) -> None:
    web.says(gzip.compress(bytes(50_000_000)), content_encoding="gzip")
    assert "compressed" in await fault(EXTERNAL, web.url)


async def test_a_service_that_is_away_is_said() -> None:
    async with fake_web() as gone:
        pass
    assert "can't be reached" in await fault(SEARXNG, gone.url)


async def test_a_service_that_hangs_up_is_said(web: FakeWeb) -> None:
    assert "broke off" in await fault(BRAVE, web.url)


async def test_the_log_of_a_fault_holds_no_key(
    web: FakeWeb, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    web.says({}, "401 Unauthorized")
    for service in ALL:
        await fault(service, web.url)
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("service", "settings", "says"),
    [
        (SEARXNG, {}, ["`url` is missing", "http://127.0.0.1:8888"]),
        (EXTERNAL, {"url": "ftp://x"}, ["not an http address"]),
        (EXTERNAL, {"url": "http://[x"}, ["not an http address"]),
        (SEARXNG, {"url": "http://x/?q=1"}, ["not an http address"]),
        (EXTERNAL, {"url": "http://x/#q"}, ["not an http address"]),
        (BRAVE, {}, ["`api_key` or `api_key_env` is missing"]),
        (TAVILY, {"api_key_env": "NO_SUCH_VARIABLE"}, ["NO_SUCH_VARIABLE is not set"]),
        (TAVILY, {"api_key": "a\nb"}, ["the key holds characters"]),
        (
            SEARXNG,
            {"url": "x", "safesearch": 3, "language": 4, "timeout_s": 0, "colour": "red"},
            ["`url` is not an http address", "`safesearch` should be 0, 1 or 2",
             "`language` should be a valid string",
             "`timeout_s` should be greater than 0", "`colour` is not known"],
        ),
        (BRAVE, {"api_key": KEY, "timeout_s": True}, ["`timeout_s` should"]),
    ],
)  # fmt: skip
async def test_wrong_settings_are_named_all_at_once(
    service: SearchService, settings: dict[str, object], says: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        await built(service, settings)
    for each in says:
        assert each in str(caught.value)
    assert KEY not in str(caught.value)


async def test_the_key_may_come_from_the_environment(
    web: FakeWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEARCH_KEY", KEY + "\n")
    made = await built(BRAVE, {"url": web.url, "api_key_env": "SEARCH_KEY"})
    web.says({})
    assert list(await made.search(QUERY)) == []
    await made.aclose()
    assert web.asked[-1].headers["x-subscription-token"] == KEY
    assert KEY not in repr(made)


async def test_the_built_in_addresses_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in (BRAVE, TAVILY):
        made = await built(service, {"api_key": KEY})
        await made.aclose()
        assert read_settings("x", {"api_key": KEY}, service.settings).url.startswith("https://api.")
