"""SearXNG, a metasearch engine that users run themselves: `GET /search?format=json`.

It can be asked for a period up to now and no other, and for no number of results; the rest is
left to `results`. https://docs.searxng.org/dev/search_api.html
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from vivavoce.engines.ports import EngineHost, Settings
from vivavoce.engines.tool_ports import SearchEngine, SearchQuery
from vivavoce.engines.websearch.engine import Adapter, Ask, WebSearch
from vivavoce.engines.websearch.results import Hit
from vivavoce.engines.websearch.settings import Shape, WebSettings, read_settings
from vivavoce.errors import ToolError

SHAPE = Shape(
    name="searxng",
    example='{ use = "searxng", url = "http://127.0.0.1:8888" }',
    own={"language": "", "categories": "general", "engines": "", "safesearch": 0},
    choices={"safesearch": (0, 1, 2)},
)
_PERIODS = {"day": 1, "week": 7, "month": 31, "year": 366}


async def create(settings: Settings, host: EngineHost) -> SearchEngine:
    """The engine `search.searxng`. Raises `ConfigError`."""
    return WebSearch(ADAPTER, read_settings(settings, SHAPE))


def _ask(settings: WebSettings, query: SearchQuery, now: datetime) -> Ask:
    params: dict[str, str | int] = {"q": query.text, "format": "json"}
    params |= {name: value for name, value in settings.own.items() if value != ""}
    if query.after is not None:
        age = now - query.after
        fitting = [name for name, days in _PERIODS.items() if age <= timedelta(days=days)]
        if fitting:
            params["time_range"] = fitting[0]
    headers = {"authorization": f"Bearer {settings.key}"} if settings.key else {}
    return Ask(f"{settings.url}/search", params, headers)


def _read(answer: Any) -> Iterable[Hit]:
    results = answer["results"]
    if not results and answer.get("unresponsive_engines"):
        raise ToolError("search.searxng", "None of the engines behind SearXNG answered.")
    return [
        Hit(each.get("url"), each.get("title"), each.get("content"), each.get("publishedDate"))
        for each in results
    ]


ADAPTER = Adapter(
    "searxng",
    _ask,
    _read,
    refusals={
        403: "SearXNG refuses to answer in JSON; its settings must list `json` under"
        " `search: formats:`"
    },
)
