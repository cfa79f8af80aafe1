"""What contributions weigh in memory, and how they become lighter without losing their place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vivavoce.domain.content import Blob, Content, Json, Part, Text, ToolCall, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.domain.json_text import json_text

MAX_BYTES = 16 * 1024 * 1024
"""Text and media that are kept at most: by a history, and by the line of turns that wait."""

LEFT_OUT: Json = {"omitted": "Left out: the conversation grew too long."}
"""What stands for a result that was too heavy to be kept."""


def size_bytes(content: Content) -> int:
    """Bytes of a contribution, roughly."""
    return 64 + sum(map(_weigh_part, content.parts))


def strip_media(content: Content, answers: bool) -> Content:
    """The contribution without the media of its results; with `answers`, without those, too."""

    def lighten(part: Part) -> Part:
        if not isinstance(part, ToolResult):
            return part
        return replace(part, parts=(), response=LEFT_OUT if answers else part.response)

    return replace(content, parts=tuple(map(lighten, content.parts)))


def calls_in(contents: Iterable[Content]) -> frozenset[CallId]:
    """The calls that were made in these contributions."""
    parts = (part for content in contents for part in content.parts)
    return frozenset(part.id for part in parts if isinstance(part, ToolCall) and part.id)


def without_results(content: Content, calls: frozenset[CallId]) -> Content:
    """The contribution without its results of these calls; itself, if it has none."""
    parts = tuple(p for p in content.parts if not (isinstance(p, ToolResult) and p.id in calls))
    return content if len(parts) == len(content.parts) else replace(content, parts=parts)


def _weigh_part(part: Part) -> int:
    match part:
        case Text():
            return len(part.text)
        case Blob():
            return len(part.data)
        case ToolCall():
            return len(json_text(part.args))
        case ToolResult():
            media = sum(len(p.data) for p in part.parts if isinstance(p, Blob))
            return len(json_text(part.response)) + media
        case _:
            return 256
