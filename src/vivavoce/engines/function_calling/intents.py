"""The intents of an utterance: which tool each of its requests asks for.

The first rule that matches a request decides:

1. A web address is read, unless a function takes addresses itself.
2. Typed Python is run; a calculation or a program that is asked for is written and run.
3. "Google it" and "search the web" are searches.
4. A function of the client's or of an MCP server is called if the router chooses it.
5. Other search commands and questions about facts are searches. "Search for" is left to a
   function only if that fetches what is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vivavoce.domain.content import Content, Json, ToolDeclaration, ToolKind, Tools
from vivavoce.engines.function_calling import (
    parameter_kinds,
    programs,
    search_query,
    turns,
    utterances,
    words,
)
from vivavoce.engines.function_calling.router import Router
from vivavoce.engines.workers import CancelToken

_MAX_ADDRESSES = 20
_ADDRESS_PARAMETERS = words.word_set("url urls uri uris link links address website")
_ABOUT_CODE = search_query.content_words(
    "write generate create run execute code program script python calculation result answer"
)
"""Content words of a request that only asks for code: "Write a program for it."."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A request and the tool that it asks for.

    `kind` is absent for the client's functions. `args` are known where the words alone make them;
    those of functions follow from their schema, a program is written by the model.
    """

    request: str
    tool: ToolDeclaration
    kind: ToolKind | None = None
    args: Json | None = None


@dataclass(frozen=True, slots=True)
class Intents:
    """What an utterance asks for; `open` are requests to be answered without a tool."""

    calls: tuple[Intent, ...] = ()
    open: tuple[str, ...] = ()


def routed(tools: Tools) -> tuple[ToolDeclaration, ...]:
    """The tools among which the router chooses: all but the server's own of a known kind."""
    of_servers = (one.declaration for one in tools.server if one.kind is ToolKind.MCP)
    return (*tools.functions, *of_servers)


class IntentDetector:
    """Detects intents for the tools of one generation. Blocks: about 10 ms a request."""

    def __init__(self, router: Router, tools: Tools, cancel: CancelToken | None = None) -> None:
        self._router = router
        self._cancel = cancel
        self._tools = tools
        self._kinds = {one.declaration.name: one.kind for one in tools.server}
        self._known: dict[tuple[str, str], Intent | None] = {}
        self.routed = routed(tools)

    def detect(self, history: Sequence[Content], place: int) -> Intents:
        """The intents of the user's words at `place`."""
        previous = turns.last_query(history, place)

        def target(piece: str) -> str:
            intent = self.intent(piece, previous)
            return intent.tool.name if intent else ""

        text = history[place].text[: turns.MAX_CHARS]
        pieces = self._joined(utterances.split(text, target), previous)
        found = [(piece, self.intent(piece, previous)) for piece in pieces]
        calls = tuple(intent for _, intent in found if intent is not None)
        rest = (one for one, intent in found if not intent and utterances.asks_for_answer(one))
        return Intents(calls, tuple(rest) if calls else ())

    def _joined(self, pieces: Sequence[str], previous: str) -> list[str]:
        """The requests, with each program's in one: "A costs 5 euros. What do 3 of it cost?"

        A request that only asks for code ("Write a program for it.") joins the one before.
        """
        joined: list[str] = []
        for piece in pieces:
            last = self.intent(joined[-1], previous) if joined else None
            told = (
                last is not None
                and last.kind is ToolKind.CODE
                and not (utterances.asks_for_answer(joined[-1]) or utterances.commands(joined[-1]))
            )
            only_code = programs.is_program_request(piece) and not (
                search_query.content_words(piece) - _ABOUT_CODE
            )
            if joined and (only_code or (told and utterances.asks_for_answer(piece))):
                joined[-1] = f"{joined[-1]} {piece}"
            else:
                joined.append(piece)
        return joined

    def intent(self, request: str, previous: str = "") -> Intent | None:
        """Return what one request asks for; `previous` is the query of the exchange before."""
        key = (request, previous)
        if key not in self._known:
            self._known[key] = self._detect(request, previous)
        return self._known[key]

    def kind(self, name: str) -> ToolKind | None:
        """The kind of a tool of the server's; `None` for the client's functions."""
        return self._kinds.get(name)

    def _detect(self, request: str, previous: str) -> Intent | None:
        code = self._served(ToolKind.CODE)
        if (found := self._address(request)) or (code and (found := _typed(request, code))):
            return found
        plain = utterances.strip_request(request)
        if code and (programs.is_program_request(plain) or programs.is_calculation(plain)):
            return Intent(request, code, ToolKind.CODE)
        found = self._function_or_search(request, previous)
        if found is None and code and programs.may_be_calculated(plain):
            return Intent(request, code, ToolKind.CODE)
        return found

    def _address(self, request: str) -> Intent | None:
        tool = self._served(ToolKind.URL)
        found = utterances.addresses(request)
        if tool is None or not found:
            return None
        choice = self._router.choose(request, self.routed, self._cancel)
        if choice is not None and _takes_address(choice.tool):
            return None
        return Intent(request, tool, ToolKind.URL, {"urls": found[:_MAX_ADDRESSES]})

    def _function_or_search(self, request: str, previous: str) -> Intent | None:
        tool = self._served(ToolKind.SEARCH)
        query = search_query.query(request, previous) if tool is not None else ""
        search = (
            Intent(request, tool, ToolKind.SEARCH, {"query": query}) if tool and query else None
        )
        if search and search_query.names_the_web(request):
            return search
        choice = self._router.choose(" ".join(request.split()), self.routed, self._cancel)
        if choice is None:
            return search
        fetches = words.names_query(choice.tool.name) and _is_named(choice.tool, query)
        if search and search_query.is_search_command(request) and not fetches:
            return search
        return Intent(request, choice.tool, self.kind(choice.tool.name))

    def _served(self, kind: ToolKind) -> ToolDeclaration | None:
        return next((one.declaration for one in self._tools.server if one.kind is kind), None)


def _typed(request: str, tool: ToolDeclaration) -> Intent | None:
    code = programs.typed_code(utterances.strip_plea(request))
    return Intent(request, tool, ToolKind.CODE, {"code": code}) if code else None


def _is_named(tool: ToolDeclaration, request: str) -> bool:
    """Whether a word that says what the function is about was said."""
    about = f"{' '.join(words.split_identifier(tool.name))} {tool.description}"
    generic = {words.stem(word) for word in words.GENERIC_VERBS}
    shared = search_query.content_words(about) & search_query.content_words(request)
    return bool(shared - generic)


def _takes_address(tool: ToolDeclaration) -> bool:
    names = (one.name for one in parameter_kinds.parameters(tool))
    return any(_ADDRESS_PARAMETERS.intersection(words.split_identifier(name)) for name in names)
