"""Parts of a conversation's history: the user's last words, and the calls and results since.

A content of the user's holds words or results, never both.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace

from vivavoce.domain.content import (
    FAILED,
    Content,
    Part,
    Role,
    Scheduling,
    Text,
    ToolCall,
    ToolResult,
)
from vivavoce.engines.function_calling import results

MAX_CHARS = 1000
"""Of one content that are read for functions: many expressions here take time that grows with the
square of their text."""

_NO_WORDS = f"{string.punctuation}{string.whitespace}…¿¡"


def has_words(content: Content) -> bool:
    """Whether it holds words of the user's. A lone "." only asks for an answer."""
    return (
        content.role is Role.USER
        and bool(content.text.strip(_NO_WORDS))
        and not any(isinstance(part, ToolResult) for part in content.parts)
    )


def utterance(content: Content) -> str:
    """The words of a content on one line, as far as they are read."""
    return " ".join(content.text[:MAX_CHARS].split())


def last_words(history: Sequence[Content], end: int | None = None) -> int:
    """Return where the user's last words before `end` stand; -1 if there are none."""
    places = range((len(history) if end is None else end) - 1, -1, -1)
    return next((place for place in places if has_words(history[place])), -1)


def last_query(history: Sequence[Content], place: int) -> str:
    """The last search query of the exchange before `place`; empty if there is none."""
    previous = last_words(history, place)
    for content in reversed(history[previous + 1 : place]):
        for part in reversed(content.parts):
            if isinstance(part, ToolCall) and isinstance(part.args.get("query"), str):
                return str(part.args["query"])
    return ""


def calls_in(contents: Sequence[Content]) -> tuple[ToolCall, ...]:
    return tuple(p for content in contents for p in content.parts if isinstance(p, ToolCall))


def has_spoken(contents: Sequence[Content]) -> bool:
    """Whether the model has spoken in these."""
    return any(one.role is Role.MODEL and one.text.strip() for one in contents)


def are_of(content: Content, calls: Sequence[ToolCall]) -> bool:
    """Whether these results are those of the calls."""
    results = [part for part in content.parts if isinstance(part, ToolResult)]
    return all(
        any(call.name == one.name and one.id in ("", call.id) for call in calls) for one in results
    )


def unreported(history: Sequence[Content]) -> list[ToolResult]:
    """The results since the last words; silent ones only where the history ends with them.

    Of a program that failed and was run again, only the last result counts.
    """
    begin = next((n for n in range(len(history) - 1, -1, -1) if history[n].text.strip()), -1)
    last = history[-1]
    found = [
        part
        for content in history[begin + 1 :]
        for part in content.parts
        if isinstance(part, ToolResult)
        and (content is last or part.scheduling is not Scheduling.SILENT)
    ]
    return [
        one
        for n, one in enumerate(found)
        if one.response.get("outcome") != FAILED
        or not any(later.name == one.name for later in found[n + 1 :])
    ]


def call_of(result: ToolResult, history: Sequence[Content]) -> tuple[int, ToolCall]:
    """The call that a result belongs to, and where it stands."""
    for place in range(len(history) - 1, -1, -1):
        for part in history[place].parts:
            if not isinstance(part, ToolCall) or part.name != result.name:
                continue
            if not result.id or part.id == result.id:
                return place, part
    return len(history) - 1, ToolCall(result.id, result.name, {})


def as_text(history: Sequence[Content]) -> tuple[Content, ...]:
    """The history for a model without tools: no calls, and results as words of the user.

    A result is shown only until the model has spoken of it; a user's content without words (".")
    is left out where something else remains.
    """
    kept: list[Content] = []
    pending = ""
    for content in history:
        found = [part for part in content.parts if isinstance(part, ToolResult)]
        pending += "".join(f"({results.summary(one)}) " for one in found)
        parts: list[Part] = [p for p in content.parts if not isinstance(p, ToolCall | ToolResult)]
        media = any(not isinstance(part, Text) for part in parts)
        if not (media or content.text.strip(_NO_WORDS)):
            continue
        if content.role is Role.MODEL:
            pending = ""
        elif pending:
            parts.insert(0, Text(pending))
            pending = ""
        kept.append(replace(content, parts=tuple(parts)))
    if pending:
        kept.append(Content(Role.USER, (Text(pending.strip()),)))
    return tuple(kept) or tuple(history[-1:])
