"""The search tool: what an engine is asked, and what becomes of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from tools.conversations import said
from vivavoce.domain.content import Source
from vivavoce.engines.ports import SearchQuery
from vivavoce.errors import ToolError
from vivavoce.tools.search import MAX_PASSAGE, MAX_QUERY, SOURCES, SearchFilters, SearchTool

ASKED = said("is it so?")


class Shelf:
    """A search engine that finds the same every time."""

    name = "shelf"

    def __init__(self, *sources: Source) -> None:
        self.asked: list[SearchQuery] = []
        self._sources = sources

    async def search(self, query: SearchQuery) -> Sequence[Source]:
        self.asked.append(query)
        return self._sources

    async def aclose(self) -> None:
        return None


async def test_the_model_reads_passages_and_the_client_learns_where_they_stand() -> None:
    source = Source("https://a.example/", "A", "It is so.")
    outcome = await SearchTool(Shelf(source), SearchFilters()).run(
        {"query": "  is\nit  so? "}, ASKED
    )
    assert outcome.response == {"results": [{"title": "A", "url": source.uri, "text": "It is so."}]}
    assert (outcome.queries, outcome.sources) == (("is it so?",), (source,))


async def test_what_a_setup_wants_of_a_search_reaches_the_engine() -> None:
    shelf = Shelf()
    span = {"startTime": datetime(2024, 1, 1, tzinfo=UTC), "endTime": "2025-01-01T00:00:00Z"}
    wishes = SearchFilters.from_options({"excludeDomains": ["x.example"], "timeRangeFilter": span})
    await SearchTool(shelf, wishes).run({"query": "q"}, ASKED)
    (asked,) = shelf.asked
    assert asked.excluded == ("x.example",)
    assert (asked.after, asked.before) == (
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2025, 1, 1, tzinfo=UTC),
    )


async def test_everything_is_bounded() -> None:
    shelf = Shelf(*[Source(f"https://a.example/{n}", "A", "x" * 10**6) for n in range(50)])
    outcome = await SearchTool(shelf, SearchFilters()).run({"query": "q" * 10**6}, ASKED)
    assert len(shelf.asked[0].text) == MAX_QUERY
    assert len(outcome.sources) == SOURCES
    assert all(len(source.text) == MAX_PASSAGE for source in outcome.sources)


@pytest.mark.parametrize("args", [{}, {"query": " \n"}])
async def test_nothing_to_search_for_is_said(args: dict[str, str]) -> None:
    with pytest.raises(ToolError, match="nothing to search for"):
        await SearchTool(Shelf(), SearchFilters()).run(args, ASKED)
