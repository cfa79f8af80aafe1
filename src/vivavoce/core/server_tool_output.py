"""What a client is told of the tools that the server ran for a model turn.

A call is told when it is made, or, while the client owes an answer, when the turn goes on; what
came of it when the turn goes on. So nothing of it falls between a `toolCall` and its
answers, where clients would take it for a new answer. What the answer rests on is told once,
after its last words.
"""

from __future__ import annotations

import json
from dataclasses import replace

from vivavoce.core.grounding import find_supports
from vivavoce.core.messages import (
    Grounding,
    Message,
    ModelCode,
    ModelCodeResult,
    ServerCall,
    ServerResponse,
    UrlContext,
)
from vivavoce.domain.content import FAILED, OK, ServerTool, ToolCall, ToolKind
from vivavoce.domain.tool_outcome import Source, ToolOutcome

MAX_SOURCES = 20
"""Sources that one turn names at most; what later searches find beyond it is left out."""

MAX_QUERIES = 50
"""Queries that one turn names at most."""


class ServerToolOutput:
    """The server's calls of one model turn.

    `shows_search`: searches are shown as code; `shows_calls`: the client asked to see every
    call. `read` are the results that the model gets to read, as JSON, since it was last asked.
    """

    def __init__(self, shows_search: bool, shows_calls: bool) -> None:
        self.read: list[str] = []
        self._shows_search = shows_search
        self._shows_calls = shows_calls
        self._calls: dict[str, tuple[ToolCall, ServerTool]] = {}
        self._unsent: list[Message] = []
        self._queries: list[str] = []
        self._sources: dict[str, Source] = {}

    def add_call(self, call: ToolCall, tool: ServerTool, later: bool = False) -> list[Message]:
        """A call is about to be run: what the client is told of it now, unless it is `later`."""
        self._calls[call.id] = (call, tool)
        messages: list[Message] = [ServerCall(call, tool.kind)] if self._shows_calls else []
        if tool.kind is ToolKind.CODE:
            messages.append(ModelCode(call.id, str(call.args.get("code", ""))))
        elif tool.kind is ToolKind.SEARCH and self._shows_search:
            wanted = json.dumps(call.args.get("query", ""), ensure_ascii=False)
            messages.append(ModelCode(call.id, f"print({call.name}.search(queries=[{wanted}]))"))
        if later:
            self._unsent += messages
            return []
        return messages

    def add_outcome(self, id: str, outcome: ToolOutcome) -> None:
        """A call has been run."""
        call, tool = self._calls[id]
        self.read.append(json.dumps(outcome.response, ensure_ascii=False, default=str))
        if outcome.code is not None and tool.kind is ToolKind.CODE:
            self._unsent.append(ModelCodeResult(call.id, outcome.code.outcome, outcome.code.output))
        if tool.kind is ToolKind.SEARCH and self._shows_search:
            self._unsent.append(ModelCodeResult(call.id, *_listed(outcome)))
        if outcome.pages:
            self._unsent.append(UrlContext(tuple(outcome.pages)))
        if self._shows_calls:
            self._unsent.append(ServerResponse(call, tool.kind, outcome.response))
        if not outcome.failed:
            self._queries += (q for q in outcome.queries if q not in self._queries)
            del self._queries[MAX_QUERIES:]
            for source in outcome.sources:
                self._found(source)

    def _found(self, source: Source) -> None:
        """Passages of one document are one source."""
        known = self._sources.get(source.uri)
        if known is not None and source.text not in known.text:
            self._sources[source.uri] = replace(known, text=f"{known.text}\n{source.text}")
        elif known is None and len(self._sources) < MAX_SOURCES:
            self._sources[source.uri] = source

    def take_messages(self) -> list[Message]:
        """What came of the calls since this was last asked."""
        messages, self._unsent = self._unsent, []
        return messages

    def grounding(self, text: str) -> Grounding | None:
        """What `text`, all words of the turn, rests on; `None` if nothing was searched."""
        if not self._queries:
            return None
        sources = tuple(self._sources.values())
        return Grounding(tuple(self._queries), sources, find_supports(text, sources))


def _listed(outcome: ToolOutcome) -> tuple[str, str]:
    """A search's result as its code would print it."""
    if outcome.failed:
        return FAILED, outcome.failed
    found = dict.fromkeys(f"{source.title}: {source.uri}" for source in outcome.sources)
    return OK, "\n".join(found)
