"""Any search that speaks the open contract: `POST {query, count}` gives `[{link, title, snippet}]`.

The address is the user's own, whole: nothing is added to it. A key, if one is set, goes along as
a bearer token.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from vivavoce.engines.ports import EngineHost, Settings
from vivavoce.engines.tool_ports import SearchEngine, SearchQuery
from vivavoce.engines.websearch.engine import Adapter, Ask, WebSearch
from vivavoce.engines.websearch.results import MAX_COUNT, Hit
from vivavoce.engines.websearch.settings import Shape, WebSettings, read_settings

SHAPE = Shape(
    name="external",
    example='{ use = "external", url = "http://127.0.0.1:9000/search" }',
    whole_url=True,
)


async def create(settings: Settings, host: EngineHost) -> SearchEngine:
    """The engine `search.external`. Raises `ConfigError`."""
    return WebSearch(ADAPTER, read_settings(settings, SHAPE))


def _ask(settings: WebSettings, query: SearchQuery, now: datetime) -> Ask:
    # More than wanted if some of them will be left out here.
    count = min(MAX_COUNT, query.count * (2 if query.excluded else 1))
    headers = {"authorization": f"Bearer {settings.key}"} if settings.key else {}
    return Ask(settings.url, headers=headers, body={"query": query.text, "count": count})


def _read(answer: Any) -> Iterable[Hit]:
    if not isinstance(answer, list):
        raise TypeError("not a list")
    return [Hit(each.get("link"), each.get("title"), each.get("snippet")) for each in answer]


ADAPTER = Adapter("external", _ask, _read)
