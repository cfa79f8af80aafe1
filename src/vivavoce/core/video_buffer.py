"""Video frames waiting for the turn that they belong to, as `turnCoverage` says."""

from __future__ import annotations

from collections import deque

from vivavoce.domain.audio import Position
from vivavoce.domain.content import Blob
from vivavoce.domain.setup import TurnCoverage

MAX_FRAMES = 8
"""Frames that one turn carries at most; the newest are kept. Eight seconds at one a second."""


class VideoBuffer:
    """The newest frames since the last turn."""

    def __init__(self, coverage: TurnCoverage) -> None:
        self._only_activity = coverage is TurnCoverage.ONLY_ACTIVITY
        self._waiting: deque[tuple[Position, Blob]] = deque(maxlen=MAX_FRAMES)

    def add_frame(self, position: Position, frame: Blob) -> bool:
        """A frame came while sound stood at `position`; whether the oldest had to go for it."""
        full = len(self._waiting) == MAX_FRAMES
        self._waiting.append((position, frame))
        return full

    def snapshot(self) -> tuple[tuple[Position, Blob], ...]:
        """The frames that wait, with their positions."""
        return tuple(self._waiting)

    def within(self, start: Position, end: Position) -> tuple[Blob, ...]:
        """The frames of a spoken turn with this span.

        Where only activity counts, they begin with the one that was in view when it began: cameras
        send one in a second or two, and a short question falls between two of them.
        """
        seen = [(position, frame) for position, frame in self._waiting if position <= end]
        before = sum(position < start for position, _ in seen) if self._only_activity else 0
        return tuple(frame for _, frame in seen[max(0, before - 1) :])

    def take_frames(self, start: Position, end: Position) -> tuple[Blob, ...]:
        """The same, and they and all older ones stop waiting."""
        taken = self.within(start, end)
        while self._waiting and self._waiting[0][0] <= end:
            self._waiting.popleft()
        return taken

    def take_all(self) -> tuple[Blob, ...]:
        """The frames of typed words. As activity those last a moment: what is seen in it counts."""
        taken = tuple(frame for _, frame in self._waiting)
        self._waiting.clear()
        return taken[-1:] if self._only_activity else taken
