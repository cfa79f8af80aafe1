"""Which addresses were given in a conversation, and are not the model's own invention.

A page, or a document that was searched, can tell the model to read an address with the user's
words in it, and so carry them off. What others than the model have named can carry nothing that
was not in it before. An address is given

- if it stands in the instruction, in what the user said or typed, or in a file that the client
  names;
- if a search found it: by the `url` of a result, not by what its text says;
- if the result of a client's function or of an MCP tool names it, and the model had not put it
  into the arguments of that call or of an earlier one: a result may repeat what it was asked, and
  a list may hold what was written into it. A result whose call is not known gives nothing.

Results of `url_context` and of `code_execution` give nothing. The first repeat what was refused,
and hold pages; what the second print is written by the model.

The newest `MOST` characters of what people said, and as many of calls and results, are looked
through; a text that goes beyond that only up to a blank. It takes a while and belongs in a thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from vivavoce.domain.content import FileRef, Role, Text, ToolCall, ToolKind, ToolResult
from vivavoce.domain.request import GenerationRequest
from vivavoce.tools import code, search, web
from vivavoce.tools.web.url_matching import UrlSet

MOST = 1_000_000
EACH = 16
"""Characters that a text counts for beside its own, so that many empty ones are not free."""

# Under these names the server's own tools may stand in a history after they were taken away.
_KINDS = {web.NAME: ToolKind.URL, code.NAME: ToolKind.CODE, search.NAME: ToolKind.SEARCH}
_NUMBER = re.compile(r"_\d+\Z")


def find_named_urls(urls: Iterable[str], request: GenerationRequest) -> set[str]:
    """Those of `urls` that others than the model have named. The scheme may be missing there."""
    sought = UrlSet(urls)
    return _named_by_users(request, sought) | _named_by_results(request, sought)


def _named_by_users(request: GenerationRequest, sought: UrlSet) -> set[str]:
    """What people named."""
    found: set[str] = set()
    left = MOST
    for text in (request.instruction, *_words(request)):
        cut = text if len(text) <= left else text[:left].rpartition(" ")[0]
        found |= sought.within(cut)
        left -= len(text) + EACH
        if left <= 0:
            break
    return found


def _words(request: GenerationRequest) -> Iterator[str]:
    for content in reversed(request.history):
        for part in content.parts:
            if isinstance(part, Text) and content.role is Role.USER:
                yield part.text
            elif isinstance(part, FileRef):
                yield part.uri


def _named_by_results(request: GenerationRequest, sought: UrlSet) -> set[str]:
    """What results named before the model did."""
    found: set[str] = set()
    own: set[str] = set()
    asked: set[str] = set()
    for part, texts in reversed(list(_exchanged(request))):
        named = set[str]().union(*map(sought.within, texts))
        if isinstance(part, ToolCall):
            asked |= {part.id, part.name}
            own |= named
        elif _kind(part.name, request) is ToolKind.SEARCH:
            found |= named
        elif (part.id or part.name) in asked:
            found |= named - own
    return found


def _exchanged(request: GenerationRequest) -> Iterator[tuple[ToolCall | ToolResult, list[str]]]:
    """Calls and results that matter, the newest first, and all that they say."""
    left = MOST
    for part in (part for content in reversed(request.history) for part in reversed(content.parts)):
        if not isinstance(part, ToolCall | ToolResult):
            continue
        texts = []
        for text in _texts(part, _kind(part.name, request)):
            left -= len(text) + EACH
            if left < 0:
                return
            texts.append(text)
        yield part, texts


def _kind(name: str, request: GenerationRequest) -> ToolKind | None:
    """What the tool of this name is, or was before an update; None for a client's function."""
    served = request.tools.find_server_tool(name)
    kind = _KINDS.get(_NUMBER.sub("", name))
    return kind or (served.kind if served is not None else None)


def _texts(part: ToolCall | ToolResult, kind: ToolKind | None) -> Iterator[str]:
    if kind in (ToolKind.URL, ToolKind.CODE):
        return
    if isinstance(part, ToolCall):
        # What is searched for goes to a search engine, and does not come back as a result's `url`.
        yield from () if kind is ToolKind.SEARCH else _strings(part.args)
    elif kind is ToolKind.SEARCH:
        found = part.response.get("results")
        for each in found if isinstance(found, list) else ():
            if isinstance(each, Mapping) and isinstance(each.get("url"), str):
                yield each["url"]
    else:
        yield from (each.uri for each in part.parts if isinstance(each, FileRef))
        yield from _strings(part.response)


def _strings(value: object) -> Iterator[str]:
    """All strings in a piece of JSON, keys too, and an empty one for everything else."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            waiting += one.keys()
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
        yield one if isinstance(one, str) else ""
