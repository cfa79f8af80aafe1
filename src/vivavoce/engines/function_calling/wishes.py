"""What a user's words want to have called: which tool for which request.

The first that suits a request is taken:

1. An address is read, unless a function takes addresses itself.
2. Python that was typed, and a sum, are run.
3. "Google it" and "search the web" are searches, whatever else is offered.
4. A function of the client's, or one of an MCP server, that the words ask for.
5. Other searches by name, and questions that ask for facts, are searches. "Search for" is
   meant for a function only if that fetches what is named.

An utterance that wants nothing of these is searched for where it looks like a question that was
misheard. Whoever asks for a program that is no sum is told that it can't be written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vivavoce.domain.content import (
    Content,
    Json,
    ToolDeclaration,
    ToolKind,
    Tools,
)
from vivavoce.engines.function_calling import requests, schema, seeking, sums, turns, words
from vivavoce.engines.function_calling.router import Router

_ADDRESS = re.compile(r"https?://[^\s<>\"'`]+", re.IGNORECASE)
_AFTER_ADDRESS = ".,;:!?)]}*"
_MOST_ADDRESSES = 20
NO_PROGRAM = "I can't write that program; I can only do sums."
_TAKES_ADDRESS = frozenset(("url", "urls", "uri", "uris", "link", "links", "address", "website"))


@dataclass(frozen=True, slots=True)
class Wish:
    """A request and the tool that it wants called.

    `kind` is absent for the client's functions. `args` are known ahead where the words alone
    make them; those of functions are filled in by their schema.
    """

    words: str
    tool: ToolDeclaration
    kind: ToolKind | None = None
    args: Json | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What the user's words at one place of the history want."""

    wishes: tuple[Wish, ...] = ()
    rest: tuple[str, ...] = ()
    """Requests that want an answer in words and no call."""
    excuse: str = ""
    """What is to be said about a request that can't be met."""


def addresses(text: str) -> list[str]:
    """The web addresses in what was typed, each once."""
    found = (one.rstrip(_AFTER_ADDRESS) for one in _ADDRESS.findall(text))
    return list(dict.fromkeys(found))[:_MOST_ADDRESSES]


def without_addresses(text: str) -> str:
    """What is asked about the addresses."""
    return " ".join(_ADDRESS.sub(" ", text).split())


def routed(tools: Tools) -> tuple[ToolDeclaration, ...]:
    """The tools among which the router chooses."""
    of_servers = (one.declaration for one in tools.server if one.kind is ToolKind.MCP)
    return (*tools.functions, *of_servers)


class Chooser:
    """Finds wishes among the tools of one request. Blocks: about 10 ms for a request."""

    def __init__(self, router: Router, tools: Tools) -> None:
        self._router = router
        self._tools = tools
        self._kinds = {one.declaration.name: one.kind for one in tools.server}
        self._known: dict[tuple[str, str], Wish | None] = {}
        self.tools = routed(tools)
        """Those among which the router chooses."""

    def said(self, history: Sequence[Content], place: int) -> Said:
        """What the words at `place` want."""
        text = history[place].text
        before = turns.searched_before(history, place)

        def wanted(piece: str) -> str:
            wish = self.wish(piece, before)
            return wish.tool.name if wish else ""

        pieces = requests.cut(text, wanted)
        found = [(piece, self.wish(piece, before)) for piece in pieces]
        if self._served(ToolKind.CODE) is not None:
            found, excused = _without_programs(found)
            if excused:
                return Said(tuple(wish for _, wish in found if wish is not None), (), NO_PROGRAM)
        if len(found) == 1 and found[0][1] is None:
            found = [(piece, self._topic(piece)) for piece, _ in found]
        wishes = tuple(wish for _, wish in found if wish is not None)
        rest = (piece for piece, wish in found if wish is None and requests.asks(piece))
        return Said(wishes, tuple(rest) if wishes else ())

    def wish(self, piece: str, before: str = "") -> Wish | None:
        """What one request wants; `before` is what was searched for just before."""
        key = (piece, before)
        if key not in self._known:
            self._known[key] = self._written(piece) or self.has_spoken(piece, before)
        return self._known[key]

    def kind(self, name: str) -> ToolKind | None:
        """What a tool of the server's does; `None` for the client's functions."""
        return self._kinds.get(name)

    def _served(self, kind: ToolKind) -> ToolDeclaration | None:
        return next((one.declaration for one in self._tools.server if one.kind is kind), None)

    def _written(self, piece: str) -> Wish | None:
        """An address, Python or a sum."""
        reading, running = self._served(ToolKind.URL), self._served(ToolKind.CODE)
        if reading is not None and (found := addresses(piece)):
            choice = self._router.choose(piece, self.tools)
            if choice is None or not _takes_address(choice.tool):
                return Wish(piece, reading, ToolKind.URL, {"urls": found})
        if running is None:
            return None
        if "```" not in piece and (counted := sums.of(piece)) is not None:
            return Wish(piece, running, ToolKind.CODE, {"code": counted.code})
        if code := sums.python(piece):
            return Wish(piece, running, ToolKind.CODE, {"code": code})
        return None

    def _topic(self, piece: str) -> Wish | None:
        """A search for what has not the form of a question."""
        seeking_tool = self._served(ToolKind.SEARCH)
        sought = seeking.topic(piece) if seeking_tool is not None else ""
        if seeking_tool is None or not sought:
            return None
        return Wish(piece, seeking_tool, ToolKind.SEARCH, {"query": sought})

    def has_spoken(self, piece: str, before: str) -> Wish | None:
        """A function or a search."""
        seeking_tool = self._served(ToolKind.SEARCH)
        sought = seeking.query(piece, before) if seeking_tool is not None else ""
        if seeking_tool is None or not sought:
            return self._function(piece)
        search = Wish(piece, seeking_tool, ToolKind.SEARCH, {"query": sought})
        if seeking.names_the_web(piece):
            return search
        function = self._function(piece)
        if function is None:
            return search
        fetches = words.names_query(function.tool.name) and _is_named(function.tool, sought)
        return search if seeking.is_asked_for(piece) and not fetches else function

    def _function(self, piece: str) -> Wish | None:
        choice = self._router.choose(" ".join(piece.split()), self.tools)
        if choice is None:
            return None
        return Wish(piece, choice.tool, self.kind(choice.tool.name))


def _without_programs(
    found: Sequence[tuple[str, Wish | None]],
) -> tuple[list[tuple[str, Wish | None]], bool]:
    """The requests but orders to write or run code, and whether one of these can't be met.

    "What is …? Write a program for it." is one request: with the order goes the question that
    would be searched for, or be answered with an invention.
    """
    kept: list[tuple[str, Wish | None]] = []
    excused = False
    for piece, wish in found:
        calls = wish is not None and wish.kind is not ToolKind.SEARCH
        if calls or not sums.wants_program(piece):
            kept.append((piece, wish))
            continue
        before = kept[-1][1] if kept else None
        if before is not None and before.kind is ToolKind.CODE:
            continue  # the sum before it is what is to be run
        excused = True
        if kept and (before is None or before.kind is ToolKind.SEARCH):
            kept.pop()
    return kept, excused


def _is_named(tool: ToolDeclaration, request: str) -> bool:
    """Whether a word that says what the function is about was said."""
    about = f"{' '.join(words.split_identifier(tool.name))} {tool.description}"
    general = {words.stem(word) for word in words.GENERIC_VERBS}
    return bool((seeking.telling(about) & seeking.telling(request)) - general)


def _takes_address(tool: ToolDeclaration) -> bool:
    names = schema.properties(schema.plain(tool.parameters))
    return any(_TAKES_ADDRESS.intersection(words.split_identifier(name)) for name in names)
