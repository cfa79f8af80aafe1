"""Tool `google_search`: search with the configured engine, and cite the sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vivavoce.domain.content import Json, ServerTool, Source, ToolDeclaration, ToolKind, ToolOutcome
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.ports import SearchEngine, SearchQuery
from vivavoce.errors import ToolError

NAME = "google_search"
SOURCES = 5
MAX_QUERY = 400
MAX_PASSAGE = 2000

DESCRIPTION = (
    "Searches for facts and returns passages with their sources. Use it whenever the answer "
    "depends on facts that you do not know for certain, on recent events, or on the user's own "
    "documents. Answer from the passages, in your own short words or theirs, and name no fact "
    "that they do not hold."
)
PARAMETERS: Json = {
    "type": "object",
    "properties": {
        "query": {
            "type": "string",
            "description": "What to search for: a short question or its key words.",
        }
    },
    "required": ["query"],
}


@dataclass(frozen=True, slots=True)
class SearchFilters:
    """Restrictions that a client puts on its searches."""

    excluded: tuple[str, ...] = ()
    after: datetime | None = None
    before: datetime | None = None

    @classmethod
    def from_options(cls, options: Json) -> SearchFilters:
        """Read the `googleSearch` object of a setup, as the decoder made it."""
        span = options.get("timeRangeFilter") or {}
        return cls(
            tuple(options.get("excludeDomains") or ()),
            _moment(span.get("startTime")),
            _moment(span.get("endTime")),
        )


class SearchTool:
    """The search of one conversation."""

    def __init__(self, engine: SearchEngine, filters: SearchFilters) -> None:
        self.spec = ServerTool(ToolDeclaration(NAME, DESCRIPTION, PARAMETERS), ToolKind.SEARCH)
        self._engine = engine
        self._filters = filters

    async def run(self, args: Json, request: GenerationRequest) -> ToolOutcome:
        """Search for `query`. Raises `ToolError`."""
        query = " ".join(str(args.get("query", "")).split())[:MAX_QUERY]
        if not query:
            raise ToolError("search", "There was nothing to search for.")
        filters = self._filters
        wanted = SearchQuery(query, SOURCES, filters.excluded, filters.after, filters.before)
        sources = tuple(_bounded(await self._engine.search(wanted)))
        results = [{"title": s.title, "url": s.uri, "text": s.text} for s in sources]
        return ToolOutcome({"results": results}, queries=(query,), sources=sources)


def _bounded(sources: Sequence[Source]) -> list[Source]:
    return [Source(s.uri, s.title, s.text[:MAX_PASSAGE]) for s in sources[:SOURCES]]


def _moment(value: object) -> datetime | None:
    """Read a time as the decoder left it."""
    if isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None
