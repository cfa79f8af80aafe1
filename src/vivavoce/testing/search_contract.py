"""What every engine behind a server's tool must do, one test class a port; as `engine_contracts`.

class TestMySearch(SearchEngineContract):
    question = "How tall is the tower?"

    def engine(self) -> SearchEngine:
        return MySearch()
"""

from __future__ import annotations

import asyncio
from typing import ClassVar
from urllib.parse import urlsplit

from vivavoce.engines.ports import SearchEngine, SearchQuery


class SearchEngineContract:
    """Subclasses give `engine`, and a `question` on which it finds at least two sources."""

    question: ClassVar[str] = ""

    def engine(self) -> SearchEngine:
        raise NotImplementedError

    async def test_what_is_found_can_be_cited(self) -> None:
        engine = self.engine()
        found = await engine.search(SearchQuery(self.question))
        await engine.aclose()
        assert found
        for source in found:
            assert urlsplit(source.uri).scheme in ("http", "https", "file")
            assert source.title.strip() == source.title != ""
            assert source.text.strip() == source.text != ""

    async def test_no_more_is_found_than_was_asked_for(self) -> None:
        engine = self.engine()
        assert len(await engine.search(SearchQuery(self.question, count=2))) == 2
        assert len(await engine.search(SearchQuery(self.question, count=1))) == 1
        await engine.aclose()

    async def test_nothing_is_found_for_nothing(self) -> None:
        engine = self.engine()
        assert list(await engine.search(SearchQuery(" "))) == []
        assert list(await engine.search(SearchQuery(self.question, count=0))) == []
        await engine.aclose()

    async def test_many_ask_at_once(self) -> None:
        engine = self.engine()
        asked = [engine.search(SearchQuery(self.question)) for _ in range(8)]
        results = await asyncio.gather(*asked)
        await engine.aclose()
        assert all(list(found) == list(results[0]) for found in results)

    async def test_a_query_is_only_words(self) -> None:
        """Nothing in it is an operator, and none of it is a fault."""
        engine = self.engine()
        for odd in ('"', "a AND (", "' OR 1=1 --", "title:x*", "NEAR(", "\0", "é" * 3000, "^-+{}"):
            await engine.search(SearchQuery(odd))
        await engine.aclose()

    async def test_cancelling_leaves_it_usable(self) -> None:
        engine = self.engine()
        asking = asyncio.ensure_future(engine.search(SearchQuery(self.question)))
        await asyncio.sleep(0)
        asking.cancel()
        assert isinstance((await asyncio.gather(asking, return_exceptions=True))[0],
                          asyncio.CancelledError)  # fmt: skip
        assert await engine.search(SearchQuery(self.question))
        await engine.aclose()
