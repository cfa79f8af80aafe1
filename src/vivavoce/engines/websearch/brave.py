"""Brave Search: `GET /res/v1/web/search` with a subscription token.

https://api-dashboard.search.brave.com/app/documentation/web-search/query
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
    name="brave",
    example='{ use = "brave", api_key_env = "BRAVE_API_KEY" }',
    url="https://api.search.brave.com/res/v1",
    needs_key=True,
    own={"country": "", "language": "", "safesearch": "moderate"},
    choices={"safesearch": ("off", "moderate", "strict")},
)
MAX_WORDS = 50


async def create(settings: Settings, host: EngineHost) -> SearchEngine:
    """The engine `search.brave`. Raises `ConfigError`."""
    return WebSearch(ADAPTER, read_settings(settings, SHAPE))


def _ask(settings: WebSettings, query: SearchQuery, now: datetime) -> Ask:
    params: dict[str, str | int] = {
        "q": " ".join(query.text.split()[:MAX_WORDS]),
        # More than wanted if some of them will be left out here.
        "count": min(MAX_COUNT, query.count * (2 if query.excluded else 1)),
        "result_filter": "web",
        "text_decorations": "false",
        "safesearch": settings.own["safesearch"],
    }
    for name, ours in (("country", "country"), ("search_lang", "language")):
        if settings.own[ours]:
            params[name] = settings.own[ours]
    if query.after or query.before:
        first = f"{query.after:%Y-%m-%d}" if query.after else "1970-01-01"
        params["freshness"] = f"{first}to{query.before or now:%Y-%m-%d}"
    return Ask(f"{settings.url}/web/search", params, {"x-subscription-token": settings.key})


def _read(answer: Any) -> Iterable[Hit]:
    # Without results there is no `web` at all.
    web = answer.get("web") or {"results": []}
    return [
        Hit(each.get("url"), each.get("title"), each.get("description"), each.get("page_age"))
        for each in web["results"]
    ]


ADAPTER = Adapter(
    "brave", _ask, _read, refusals={422: "Brave Search refused the key, or one of its settings"}
)
