"""An estimate of what the client has played of one model turn.

Sound is sent faster than it is played. The client is taken to start playing when the first
piece is sent and to play on as long as it has something; a gap in production is a gap in
playing. The estimate is one-sided: a real client may start a little later, never earlier.
"""

from __future__ import annotations


class Playout:
    """Counts sound sent and, given the time, sound heard; all in seconds."""

    __slots__ = ("_ends_at", "sent_s")

    def __init__(self) -> None:
        self.sent_s = 0.0
        self._ends_at: float | None = None

    def add_audio(self, duration_s: float, now: float) -> tuple[float, float]:
        """A piece was sent: its span within the sound of this turn."""
        begin = self.sent_s
        self.sent_s += duration_s
        self._ends_at = max(now, self._ends_at or now) + duration_s
        return begin, self.sent_s

    @property
    def ends_at(self) -> float | None:
        """When everything sent so far will have been played; `None` if nothing was sent."""
        return self._ends_at

    def over(self, now: float) -> bool:
        """Whether nothing is left to be played."""
        return self._ends_at is None or now >= self._ends_at

    def heard_s(self, now: float) -> float:
        """How much of the turn's sound has been played."""
        if self._ends_at is None:
            return 0.0
        return max(0.0, self.sent_s - max(0.0, self._ends_at - now))
