"""The conversation so far, holding of the model's words only what was heard.

Contributions that are over stand in `_done`. A model turn in the making is a *draft*: spoken
pieces with their spans in the turn's sound, and between them calls and results. It is
written down when the turn is complete; an interruption cuts it where the playing stood.

Rules for the roles: consecutive contributions of one role are fine; a model's contribution
ends with its calls; results are the user's; and when old ones are dropped, the history
begins with words of the user, so that no result is left without its call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from vivavoce.domain.content import Blob, Content, Part, Role, Text, ToolCall, ToolResult

MAX_BYTES = 16 * 1024 * 1024
"""Text and media that a history holds at most; the oldest contributions go first."""

MAX_DRAFT = 20_000
"""Pieces of one model turn that are kept apart: more than a quarter of an hour of speech."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Words that begin in this span of the turn's sound; typed words last no time."""

    text: str
    begin_s: float
    end_s: float


class History:
    """Contributions in order. `version` changes whenever what an answer would see changes."""

    def __init__(self, contents: Iterable[Content] = (), limit: int = 1000) -> None:
        self._done = list(contents)
        self._draft: list[Piece | Content] = []
        self._limit = limit
        self._bytes = sum(map(_weigh, self._done))
        self.version = 0
        self._trim()

    def snapshot(self) -> tuple[Content, ...]:
        """All contributions, the draft as if it were heard."""
        return (*self._done, *_written(self._draft, None)) if self._draft else tuple(self._done)

    @property
    def empty(self) -> bool:
        return not self._done and not self._draft

    @property
    def images(self) -> int:
        """How many images an answer would see."""
        return sum(isinstance(part, Blob) for content in self._done for part in content.parts)

    def add(self, contents: Iterable[Content]) -> None:
        """Contributions that are over. Only while no draft is open."""
        for content in contents:
            self._done.append(content)
            self._bytes += _weigh(content)
            self.version += 1
        self._trim()

    # --- the draft ------------------------------------------------------------------------

    def say(self, text: str, begin_s: float = 0.0, end_s: float = 0.0) -> None:
        """The model said this in that span of the turn's sound."""
        if text:
            self._draft.append(Piece(text, begin_s, end_s))
            if len(self._draft) > MAX_DRAFT:
                del self._draft[0]
            self.version += 1

    def call(self, calls: tuple[ToolCall, ...]) -> None:
        """The model called functions."""
        self._draft.append(Content(Role.MODEL, calls))
        self.version += 1

    def answer(self, results: tuple[ToolResult, ...]) -> None:
        """Functions answered; within the model's turn or outside of one."""
        if not results:
            return
        content = Content(Role.USER, results)
        if self._draft:
            self._draft.append(content)
            self.version += 1
        else:
            self.add((content,))

    def close(self) -> None:
        """The model's turn is over and was heard."""
        draft, self._draft = self._draft, []
        self.add(_written(draft, None))

    def cut(self, heard_s: float) -> None:
        """The model's turn was interrupted when this much of its sound had been played."""
        draft, self._draft = self._draft, []
        self.version += 1
        self.add(_written(draft, heard_s))

    def _trim(self) -> None:
        drop = max(0, len(self._done) - self._limit)
        weight = self._bytes - sum(map(_weigh, self._done[:drop]))
        while weight > MAX_BYTES and drop < len(self._done) - 1:
            weight -= _weigh(self._done[drop])
            drop += 1
        if not drop:
            return
        while drop < len(self._done) and not _may_begin(self._done[drop]):
            drop += 1
        del self._done[:drop]
        self._bytes = sum(map(_weigh, self._done))


def _may_begin(content: Content) -> bool:
    return content.role is Role.USER and not any(isinstance(p, ToolResult) for p in content.parts)


def _weigh(content: Content) -> int:
    weight = 64
    for part in content.parts:
        match part:
            case Text():
                weight += len(part.text)
            case Blob():
                weight += len(part.data)
            case ToolCall():
                weight += len(str(part.args))
            case ToolResult():
                weight += len(str(part.response))
                weight += sum(len(p.data) for p in part.parts if isinstance(p, Blob))
            case _:
                weight += 256
    return weight


def _written(draft: list[Piece | Content], heard_s: float | None) -> list[Content]:
    """The draft as contributions, cut to what was heard unless all was."""
    written: list[Content] = []
    said: list[str] = []

    def flush(calls: tuple[Part, ...] = ()) -> None:
        text = "".join(said)
        parts = ((Text(text),) if text.strip() else ()) + calls
        if parts:
            written.append(Content(Role.MODEL, parts))
        said.clear()

    for entry in draft:
        if isinstance(entry, Piece):
            said.append(entry.text if heard_s is None else heard_words(entry, heard_s))
        elif entry.role is Role.MODEL:
            flush(entry.parts)
        else:
            flush()
            written.append(entry)
    flush()
    if heard_s is not None:
        _mark_cut(written)
    return written


def _mark_cut(written: list[Content]) -> None:
    for at in range(len(written) - 1, -1, -1):
        if written[at].role is Role.MODEL:
            written[at] = Content(Role.MODEL, written[at].parts, cut=True)
            return


def heard_words(piece: Piece, heard_s: float) -> str:
    """The words of a piece that had begun when this much was played, evenly spread over it."""
    if heard_s >= piece.end_s:
        return piece.text
    if heard_s <= piece.begin_s:
        return ""
    words = re.findall(r"\s*\S+", piece.text)
    share = (heard_s - piece.begin_s) / (piece.end_s - piece.begin_s)
    return "".join(words[: ceil(share * len(words))])
