"""Tavily: `POST /search` with a bearer key. https://docs.tavily.com/documentation/api-reference"""

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
    name="tavily",
    example='{ use = "tavily", api_key_env = "TAVILY_API_KEY" }',
    url="https://api.tavily.com",
    needs_key=True,
    own={"depth": "basic", "topic": "general"},
    choices={"depth": ("basic", "advanced"), "topic": ("general", "news", "finance")},
)


async def create(settings: Settings, host: EngineHost) -> SearchEngine:
    """The engine `search.tavily`. Raises `ConfigError`."""
    return WebSearch(ADAPTER, read_settings(settings, SHAPE))


def _ask(settings: WebSettings, query: SearchQuery, now: datetime) -> Ask:
    body: dict[str, Any] = {
        "query": query.text,
        "max_results": min(MAX_COUNT, query.count),
        "search_depth": settings.own["depth"],
        "topic": settings.own["topic"],
    }
    if query.excluded:
        body["exclude_domains"] = list(query.excluded)
    if query.after:
        body["start_date"] = f"{query.after:%Y-%m-%d}"
    if query.before:
        body["end_date"] = f"{query.before:%Y-%m-%d}"
    headers = {"authorization": f"Bearer {settings.key}"}
    return Ask(f"{settings.url}/search", headers=headers, body=body)


def _read(answer: Any) -> Iterable[Hit]:
    return [
        Hit(each.get("url"), each.get("title"), each.get("content"), each.get("published_date"))
        for each in answer["results"]
    ]


_USED_UP = "The quota of the search service is used up"
ADAPTER = Adapter("tavily", _ask, _read, refusals={432: _USED_UP, 433: _USED_UP})
