"""Which of the client's messages a checkpoint contains: `lastConsumedClientMessageIndex`.

Messages are counted from 0, which is the first after the setup of this connection. Sound counts
as contained when a turn that begins later would no longer reach back to it; whatever was typed,
as soon as it was taken. What is contained is always a beginning of the messages: sound before a
contained text counts as contained itself, for to hear it again would be to read that text again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from vivavoce.domain.audio import Position, samples

GRAIN = samples(0.02)
"""Sound that comes in smaller pieces is looked at in pieces of this length."""


@dataclass(slots=True)
class _Sound:
    first: int
    begin: Position
    end: Position


class ConsumedIndex:
    """Counts messages; `index_at` says how far a checkpoint reaches."""

    def __init__(self) -> None:
        self._last = -1
        self._sounds: deque[_Sound] = deque()

    def count_audio(self, begin: Position, end: Position) -> None:
        """The next message was sound of this span."""
        self._last += 1
        newest = self._sounds[-1] if self._sounds else None
        if newest is not None and end - newest.begin <= GRAIN:
            newest.end = end
        else:
            self._sounds.append(_Sound(self._last, begin, end))

    def count_message(self) -> None:
        """The next message was something else."""
        self._last += 1
        self._sounds.clear()

    def index_at(self, safe: Position) -> int | None:
        """The last message that is contained, where sound before `safe` is; `None` if none is."""
        while self._sounds and self._sounds[0].end <= safe:
            self._sounds.popleft()
        last = self._sounds[0].first - 1 if self._sounds else self._last
        return last if last >= 0 else None
