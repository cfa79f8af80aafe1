"""The flight recorder (placeholder until its codec stands)."""

from __future__ import annotations

from collections import deque

from vivavoce.core.events import Event


class FlightRecorder:
    """The last few hundred events."""

    def __init__(self, events: int, texts: bool) -> None:
        self._ring: deque[tuple[float, Event | None]] = deque(maxlen=events)
        self._texts = texts

    def note(self, now: float, event: Event | None) -> None:
        """`None` is the passing of time."""
