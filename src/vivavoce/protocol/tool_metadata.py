"""How the wire spells what the server's own tools brought back.

Everything here comes from outside: it is bounded, so that no frame grows beyond what clients can
read, and the markup that is shown to people holds nothing of it unescaped.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from vivavoce.core.messages import Grounding, ServerCall, ServerResponse
from vivavoce.domain.content import Json, ToolKind
from vivavoce.domain.tool_outcome import Page, Source

LONGEST = 100_000
"""Characters of code, of output or of a response in one message."""

_TITLE, _URI, _QUERY = 300, 2000, 500
_MARK = "[cut here]"

_TOOL_TYPE = {ToolKind.SEARCH: "GOOGLE_SEARCH_WEB", ToolKind.URL: "URL_CONTEXT"}
"""The API knows no name for the others; they are told without one."""

Fields = dict[str, Any]


def grounding_metadata(message: Grounding) -> Fields:
    """`groundingMetadata`. Offsets count bytes of the turn's words."""
    fields: Fields = {
        "webSearchQueries": [query[:_QUERY] for query in message.queries],
        "searchEntryPoint": {"renderedContent": entry_point(message.queries)},
    }
    if message.sources:
        fields["groundingChunks"] = [{"web": _web(source)} for source in message.sources]
    if message.supports:
        fields["groundingSupports"] = [
            {
                "segment": _segment(support.start, support.end, support.text),
                "groundingChunkIndices": support.sources,
                "confidenceScores": support.confidence,
            }
            for support in message.supports
        ]
    return fields


def entry_point(queries: Sequence[str]) -> str:
    """The queries as markup to be shown beside the answer. It refers to nothing elsewhere."""
    chips = "".join(
        '<span style="display:inline-block;margin:2px;padding:4px 12px;border:1px solid #888;'
        f'border-radius:16px">{html.escape(query[:_QUERY])}</span>'
        for query in queries
    )
    return f'<div class="search-entry-point" style="font:14px sans-serif">{chips}</div>'


def url_metadata(pages: Sequence[Page]) -> Fields:
    """`urlContextMetadata`."""
    return {
        "urlMetadata": [
            {
                "retrievedUrl": page.url[:_URI],
                "urlRetrievalStatus": f"URL_RETRIEVAL_STATUS_{page.status.value}",
            }
            for page in pages
        ]
    }


def server_call(message: ServerCall) -> Fields:
    """A `toolCall` part: a record of what the server runs, and no wish to the client."""
    call = message.call
    return {
        "id": call.id,
        **_type(message.kind),
        "args": _named(message.kind, call.name, call.args),
    }


def server_response(message: ServerResponse) -> Fields:
    """A `toolResponse` part."""
    call, response = message.call, _bounded(message.response)
    return {"id": call.id, **_type(message.kind), "response": response}


def shorten_text(text: str) -> str:
    """Text that fits into a message."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} {_MARK}"


def _web(source: Source) -> Fields:
    fields = {
        "uri": source.uri[:_URI],
        "title": source.title[:_TITLE],
        "domain": _host(source.uri),
    }
    return {name: value for name, value in fields.items() if value}


def _host(uri: str) -> str:
    """The host of an address; empty for what only looks like one."""
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:
        return ""


def _segment(start: int, end: int, text: str) -> Fields:
    """Zero is left out, as everywhere on this wire."""
    return ({"startIndex": start} if start else {}) | {"endIndex": end, "text": text}


def _type(kind: ToolKind) -> Fields:
    return {"toolType": _TOOL_TYPE[kind]} if kind in _TOOL_TYPE else {}


def _named(kind: ToolKind, name: str, args: Json) -> Json:
    """What the API's type does not say is said in the arguments: which tool it is."""
    return args if kind in _TOOL_TYPE else {"name": name, "arguments": args}


def _bounded(response: Json) -> Json:
    text = json.dumps(response, ensure_ascii=False, default=str)
    return response if len(text) <= LONGEST else {"output": shorten_text(text)}
