"""Flight recorder: keep the last few hundred events of a session, to replay after an incident.

The core is deterministic, so its events are its history. An entry is a time and an event, or a
time alone for a deadline. Audio and images are recorded as their sizes, words as their lengths
unless the operator wants words. Text without letters and digits is recorded as it is: "." has a
meaning in the core.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, get_args

from vivavoce.core.events import AudioArrived, Event, MessageRead, VoiceScored
from vivavoce.core.lifetime import CloseReason
from vivavoce.domain.content import (
    Behavior,
    BuiltinTool,
    CodeResult,
    Content,
    Page,
    Part,
    RetrievalStatus,
    Role,
    Scheduling,
    ServerTool,
    Source,
    ToolDeclaration,
    ToolKind,
    ToolOutcome,
    Tools,
    Usage,
)
from vivavoce.domain.request import EndReason
from vivavoce.domain.serialization import index_kinds, read_tagged

Entry = tuple[float, Event | None]

_KINDS = index_kinds(
    *get_args(Event),
    *get_args(Part),
    *(Content, ToolDeclaration, Tools, BuiltinTool, ServerTool, Usage, CodeResult),
    *(ToolOutcome, Source, Page),
    *(Role, Behavior, Scheduling, EndReason, ToolKind, RetrievalStatus, CloseReason),
)
_WORDS = frozenset({
    "text", "instruction", "description", "problem", "code", "output", "uri", "url", "title",
    "queries", "failed", "stable",
})  # fmt: skip
_FREE_FORM = frozenset({"args", "response", "parameters", "returns", "options"})
_FILLER = "x"
_MAX_ITEMS = 50
"""Items recorded of a sequence: a message with thousands of turns would block the event loop."""
_MAX_SEARCHED_CHARS = 64
"""Longer texts are not searched for words, but hidden."""


class FlightRecorder:
    """Ring buffer of recorded events, the oldest of which is dropped."""

    def __init__(self, events: int, texts: bool) -> None:
        self._ring: deque[tuple[float, object]] = deque(maxlen=events)
        self._texts = texts

    def record(self, now: float, event: Event | None) -> None:
        """Record an event, or a deadline as `None`.

        Events that may hold audio or words are written at once, so that the ring never keeps these
        alive; frequent others as they are.
        """
        plain = event is None or isinstance(event, AudioArrived | VoiceScored | MessageRead)
        self._ring.append((now, event if plain else _write(event, self._texts)))

    def lines(self) -> Iterator[str]:
        """Yield the entries as JSON lines, oldest first."""
        for now, noted in self._ring:
            written = noted if isinstance(noted, dict) else _write(noted, self._texts)
            yield json.dumps({"now": now, "event": written}, separators=(",", ":"))


def read_trace(lines: Iterable[str]) -> list[Entry]:
    """Return the entries of such lines, with filler of the same size for what was left out."""
    entries = []
    for line in lines:
        entry = json.loads(line)
        entries.append((float(entry["now"]), _read(entry["event"])))
    return entries


def _write(value: object, texts: bool, name: str = "") -> object:
    if is_dataclass(value) and not isinstance(value, type):
        written: dict[str, object] = {"is": type(value).__name__}
        for field in fields(value):
            if field.init:
                written[field.name] = _write(getattr(value, field.name), texts, field.name)
        return written
    if isinstance(value, Enum):
        return {"is": type(value).__name__, "name": value.name}
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    if isinstance(value, tuple | list):
        kept = [_write(item, texts, name) for item in value[:_MAX_ITEMS]]
        more = len(value) - len(kept)
        return {"items": kept, "more": more} if more else kept
    if isinstance(value, Mapping):
        return {"json": dict(value) if texts or name not in _FREE_FORM else {}}
    if isinstance(value, str) and name in _WORDS and not texts:
        hidden = len(value) > _MAX_SEARCHED_CHARS or any(char.isalnum() for char in value)
        return {"text": len(value)} if hidden else value
    return value


def _read(written: object) -> Any:
    return read_tagged(written, _KINDS, _read_other)


def _read_other(written: dict[str, Any]) -> object:
    match written:
        case {"bytes": int(size)}:
            return bytes(size)
        case {"text": int(size)}:
            return _FILLER * size
        case {"items": items}:
            return _read(items)
        case _:
            return written["json"]
