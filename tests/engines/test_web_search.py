"""Each web search asks its service as the service wants it, and brings home what can be cited."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from engines.fake_web import Asked, FakeWeb, fake_web
from vivavoce.domain.content import Source
from vivavoce.engines.ports import SearchEngine, SearchQuery
from vivavoce.engines.web_search import (
    BRAVE,
    EXTERNAL,
    SEARXNG,
    TAVILY,
    Service,
    WebSearch,
)
from vivavoce.testing.engine_contracts import SearchEngineContract

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


def engine(web: FakeWeb, service: Service, **settings: object) -> WebSearch:
    """The search of `service`, asking the fake one."""
    own = {"url": web.url, **({"api_key": KEY} if service.settings.needs_key else {}), **settings}
    return service.build(own)


async def search(made: WebSearch, query: SearchQuery) -> list[Source]:
    try:
        return list(await made.search(query))
    finally:
        await made.aclose()


def said(service: Service, *hits: dict[str, Any]) -> object:
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
    service: ClassVar[Service]

    @pytest.fixture(autouse=True)
    def _web(self, web: FakeWeb) -> None:
        web.says(said(self.service, TOWER, HILL))
        self.web = web

    def engine(self) -> SearchEngine:
        return engine(self.web, self.service)

    async def test_results_come_in_the_services_order(self) -> None:
        assert await search(engine(self.web, self.service), SearchQuery("tower")) == SOURCES

    async def test_nothing_is_asked_about_nothing(self) -> None:
        await self.test_nothing_is_found_for_nothing()
        assert self.web.asked == []

    async def test_excluded_hosts_are_left_out(self) -> None:
        query = SearchQuery("tower", excluded=("example.org", "Hill.Example"))
        found = await search(engine(self.web, self.service), query)
        assert found == SOURCES[:1]


class TestSearxng(Contract):
    service: ClassVar[Service] = SEARXNG


class TestBrave(Contract):
    service: ClassVar[Service] = BRAVE


class TestTavily(Contract):
    service: ClassVar[Service] = TAVILY


class TestExternal(Contract):
    service: ClassVar[Service] = EXTERNAL


async def asked(web: FakeWeb, service: Service, query: SearchQuery, **settings: object) -> Asked:
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
async def test_dated_results_outside_the_range_are_left_out(web: FakeWeb, service: Service) -> None:
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
