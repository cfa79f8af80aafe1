"""Conversation history: keep only the model's words that were played, and bound its size.

A model turn in progress is a *draft*: pieces of speech with their spans in the turn's audio, and
calls and results between them. Completing the turn adds it to the history; an interruption cuts it
at what had been played.

Adjacent entries may have the same role; a contribution of the model ends with its calls;
results are the user's. After old ones were dropped the history begins with words of the user, so
that no result is without its call.

Above its bounds it loses, in this order: media of older results, what precedes the user's last
words, older results, what follows those words. The user's last words always stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import ceil

from vivavoce.core.token_counts import (
    MAX_BYTES,
    Contribution,
    TokenCounter,
    TokenTotal,
)
from vivavoce.domain.content import Content, Json, Part, Role, Text, ToolCall, ToolResult
from vivavoce.domain.ids import CallId

MIN_RECENT_CONTENTS = 128
"""Contributions after the user's last words that stay above the limit: the calls of a turn."""

MAX_DRAFT_ENTRIES = 20_000
"""Entries of one model turn: over 15 minutes of speech."""

OMITTED_RESPONSE: Json = {"omitted": "Left out: the conversation grew too long."}
"""Replaces a result that was too large to keep."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Words that begin in this span of the turn's audio; typed words have no duration."""

    text: str
    begin_s: float
    end_s: float


class History:
    """Contributions of a conversation, in order, with the draft of the model's open turn.

    `version` changes whenever a prompt of them would.
    """

    def __init__(
        self,
        contents: Iterable[Content] = (),
        limit: int = 1000,
        counter: TokenCounter | None = None,
    ) -> None:
        self._done = list(map(Contribution, contents))
        self.tokens = TokenTotal(counter or TokenCounter())
        for each in self._done:
            self.tokens.add(each)
        self._draft: list[Piece | Contribution] = []
        self._limit = limit
        self._bytes = _bytes_of(self._done)
        self._draft_bytes = 0
        self._view: tuple[Contribution, ...] | None = None
        self.version = 0
        self._trim()

    def contributions(self) -> tuple[Contribution, ...]:
        """Return all contributions, the draft as if all of it were heard."""
        if self._view is None:
            self._view = (*self._done, *_as_contributions(self._draft, None))
        return self._view

    def snapshot(self) -> tuple[Content, ...]:
        """Return the contents of all contributions, for a prompt."""
        return tuple([each.content for each in self.contributions()])

    @property
    def closed_count(self) -> int:
        """Number of contributions outside the draft, which `tokens` has added up."""
        return len(self._done)

    @property
    def empty(self) -> bool:
        return not self._done and not self._draft

    @property
    def bytes(self) -> int:
        """Estimated bytes in memory, of the draft too."""
        return self._bytes + self._draft_bytes

    def add_contents(self, contents: Iterable[Content]) -> None:
        """Add contributions. Only while there is no draft."""
        contents = list(contents)
        if (begin := self._begin_of_many(contents)) > 0:
            # Of so many only the last stay: the others are not measured.
            gone = calls_in((*self.snapshot(), *contents[:begin]))
            self._done, self._bytes, self._view = [], 0, None
            self.tokens.clear()
            kept = (without_results(content, gone) for content in contents[begin:])
            contents = [content for content in kept if content.parts]
            self.version += begin
        self._append(map(Contribution, contents))

    def _begin_of_many(self, contents: list[Content]) -> int:
        """Return the index of the first of the last `limit` that is a user message; 0 for fewer."""
        first = len(contents) - self._limit
        places = range(first, len(contents)) if first > 0 else ()
        return next((at for at in places if _is_user_message(contents[at])), 0)

    def _append(self, contributions: Iterable[Contribution]) -> None:
        for each in contributions:
            self._done.append(each)
            self._bytes += each.bytes
            self.tokens.add(each)
            self._changed()
        self._trim()

    def _changed(self) -> None:
        self.version += 1
        self._view = None

    # --- the draft ------------------------------------------------------------------------

    def add_words(self, text: str, begin_s: float = 0.0, end_s: float = 0.0) -> None:
        """Add words of the model to the draft, in a span of the turn's audio."""
        if not text:
            return
        self._draft.append(Piece(text, begin_s, end_s))
        self._draft_bytes += len(text)
        self._changed()
        if len(self._draft) > MAX_DRAFT_ENTRIES:
            self._drop_from_draft(lambda entry: isinstance(entry, Piece))

    def add_calls(self, calls: tuple[ToolCall, ...]) -> None:
        """Add function calls of the model to the draft."""
        self._note(Content(Role.MODEL, calls))

    def add_results(self, results: tuple[ToolResult, ...]) -> None:
        """Add results, to the draft if there is one."""
        if not results:
            return
        self.add_within_turn((Content(Role.USER, results),))

    def add_within_turn(self, contents: Iterable[Content]) -> None:
        """Add contributions, to the draft if there is one."""
        if not self._draft:
            self.add_contents(contents)
            return
        for content in contents:
            self._note(content)
            if len(self._draft) > MAX_DRAFT_ENTRIES:
                self._drop_from_draft(_has_no_tool_parts)

    def commit_draft(self) -> None:
        """Add the draft to the history: all of it was heard."""
        self._append(_as_contributions(self._take_draft(), None))

    def cut_to_heard(self, heard_s: float) -> None:
        """Add the draft, cut where it was interrupted: after `heard_s` of its audio."""
        self._changed()
        self._append(_as_contributions(self._take_draft(), heard_s))

    def draft_words(self, begin_s: float, end_s: float) -> str:
        """Return the words of the open model turn between two places of its audio."""
        pieces = [entry for entry in self._draft if isinstance(entry, Piece)]
        before = sum(len(played_words(piece, begin_s)) for piece in pieces)
        return "".join(played_words(piece, end_s) for piece in pieces)[before:]

    def _note(self, content: Content) -> None:
        contribution = Contribution(content)
        self._draft.append(contribution)
        self._draft_bytes += contribution.bytes
        self._changed()
        self._trim()

    def _drop_from_draft(self, fits: Callable[[Piece | Contribution], bool]) -> None:
        places = (at for at, entry in enumerate(self._draft) if fits(entry))
        if (oldest := next(places, None)) is not None:
            self._draft_bytes -= _entry_bytes(self._draft.pop(oldest))
            self._view = None

    def _take_draft(self) -> list[Piece | Contribution]:
        draft, self._draft, self._draft_bytes = self._draft, [], 0
        self._view = None
        return draft

    # --- bounds ---------------------------------------------------------------------------

    def droppable(self) -> tuple[Contribution, ...]:
        """Return the contributions before the user's last words, which may be dropped."""
        return tuple(self._done[: self._last_user_words()])

    def drop_oldest(self, count: int) -> None:
        """Drop the oldest `count` of those, and further ones up to a user message."""
        if count > 0:
            self._drop(0, count, count)
            self._changed()

    def _trim(self) -> None:
        """Drop contributions and strip media until the bounds hold, as described above."""
        if len(self._done) <= self._limit and self.bytes <= MAX_BYTES:
            return
        self._view = None
        self._strip_results(responses=False)
        question = self._last_user_words()
        drop = max(0, len(self._done) - self._limit)
        self._drop(0, min(drop, question), question)
        self._strip_results(responses=True)
        begin = self._last_user_words() + 1
        drop = max(0, len(self._done) - max(self._limit, MIN_RECENT_CONTENTS))
        self._drop(begin, begin + drop, len(self._done) - 2)

    def _last_user_words(self) -> int:
        """Return the index of the user's last words; without any, of the newest contribution."""
        for at in range(len(self._done) - 1, -1, -1):
            if _is_user_message(self._done[at].content):
                return at
        return max(0, len(self._done) - 1)

    def _drop(self, first: int, end: int, most: int) -> None:
        """Drop contributions from `first` to `end`, and further ones while it is too large."""
        spare = self.bytes - MAX_BYTES - _bytes_of(self._done[first:end])
        while spare > 0 and end < most:
            spare -= self._done[end].bytes
            end += 1
        if end <= first:
            return
        contents = (each.content for each in self._done)
        from_user = first == 0 and any(map(_is_user_message, contents))
        fits = _is_user_message if from_user else _has_no_results
        while end < len(self._done) and not fits(self._done[end].content):
            end += 1
        dropped = self._done[first:end]
        self._bytes -= _bytes_of(dropped)
        for each in dropped:
            self.tokens.add(each, -1)
        del self._done[first:end]
        if gone := calls_in(each.content for each in dropped):
            self._drop_results(first, gone)

    def _drop_results(self, first: int, calls: frozenset[CallId]) -> None:
        """Drop later results of dropped calls: slow functions answer long after their call."""
        later, self._done[first:] = self._done[first:], []
        for each in later:
            content = without_results(each.content, calls)
            if content is each.content:
                self._done.append(each)
                continue
            kept = [Contribution(content)] if content.parts else []
            self._done += kept
            self._replace(each, kept)

    def _replace(self, former: Contribution, new: list[Contribution]) -> None:
        """Replace a contribution by `new`."""
        self._bytes += _bytes_of(new) - former.bytes
        self.tokens.add(former, -1)
        for each in new:
            self.tokens.add(each)

    def _strip_results(self, responses: bool) -> None:
        """Remove media, or the responses, of older tool results, while the history is too large."""
        newest = next(reversed(self._draft or self._done), None)
        for at, each in enumerate(self._done):
            if self.bytes <= MAX_BYTES:
                return
            if each is not newest:
                self._done[at] = lighter = Contribution(strip_media(each.content, responses))
                self._replace(each, [lighter])
        for at, entry in enumerate(self._draft):
            if self.bytes > MAX_BYTES and isinstance(entry, Contribution) and entry is not newest:
                lighter = Contribution(strip_media(entry.content, responses))
                self._draft[at] = lighter
                self._draft_bytes += lighter.bytes - entry.bytes


def _bytes_of(contributions: Iterable[Contribution]) -> int:
    return sum([each.bytes for each in contributions])


def _is_user_message(content: Content) -> bool:
    """Return whether a contribution is a user message, with which a history may begin."""
    return content.role is Role.USER and _has_no_results(content)


def _has_no_results(content: Content) -> bool:
    """Return whether a contribution has no tool results, so that nothing has to precede it."""
    return not any(isinstance(part, ToolResult) for part in content.parts)


def _has_no_tool_parts(entry: Piece | Contribution) -> bool:
    """Return whether a contribution has neither tool calls nor results."""
    bound = ToolCall | ToolResult
    return isinstance(entry, Contribution) and not any(
        isinstance(part, bound) for part in entry.content.parts
    )


def _entry_bytes(entry: Piece | Contribution) -> int:
    return len(entry.text) if isinstance(entry, Piece) else entry.bytes


def _as_contributions(
    draft: list[Piece | Contribution], heard_s: float | None
) -> list[Contribution]:
    """Return the draft as contributions, cut to what was heard; `None` is all."""
    written: list[Contribution] = []
    said: list[str] = []

    def flush(calls: tuple[Part, ...] = ()) -> None:
        text = "".join(said)
        parts = ((Text(text),) if text.strip() else ()) + calls
        if parts:
            written.append(Contribution(Content(Role.MODEL, parts)))
        said.clear()

    for entry in draft:
        if isinstance(entry, Piece):
            said.append(entry.text if heard_s is None else played_words(entry, heard_s))
        elif entry.content.role is Role.MODEL:
            flush(entry.content.parts)
        else:
            flush()
            written.append(entry)
    flush()
    if heard_s is not None:
        _mark_cut(written)
    return written


def _mark_cut(written: list[Contribution]) -> None:
    for at in range(len(written) - 1, -1, -1):
        if (content := written[at].content).role is Role.MODEL:
            written[at] = Contribution(Content(Role.MODEL, content.parts, cut=True))
            return


def played_words(piece: Piece, heard_s: float) -> str:
    """Return the words of a piece that had begun by `heard_s`, spread evenly over its span."""
    if heard_s >= piece.end_s:
        return piece.text
    if heard_s <= piece.begin_s:
        return ""
    words = re.findall(r"(?<!\s)\s*+\S+", piece.text)
    share = (heard_s - piece.begin_s) / (piece.end_s - piece.begin_s)
    return "".join(words[: ceil(share * len(words))])


def strip_media(content: Content, responses: bool) -> Content:
    """Return a content without its tool results' media; with `responses`, without these too."""

    def lighten(part: Part) -> Part:
        if not isinstance(part, ToolResult):
            return part
        return replace(part, parts=(), response=OMITTED_RESPONSE if responses else part.response)

    return replace(content, parts=tuple(map(lighten, content.parts)))


def calls_in(contents: Iterable[Content]) -> frozenset[CallId]:
    """Return the calls in these contents."""
    parts = (part for content in contents for part in content.parts)
    return frozenset(part.id for part in parts if isinstance(part, ToolCall) and part.id)


def without_results(content: Content, calls: frozenset[CallId]) -> Content:
    """Return a content without its results of these calls; itself, if it has none."""
    parts = tuple(p for p in content.parts if not (isinstance(p, ToolResult) and p.id in calls))
    return content if len(parts) == len(content.parts) else replace(content, parts=parts)
