"""What the clock ends: a microphone that fell silent, and a server that is going away."""

from __future__ import annotations

CLOSE_CODE = 1011
CLOSE_REASON = "The server is going away; resume the session on a new connection."
"""1011 is the one code from which every client that resumes does resume."""


class Limits:
    """Deadlines that belong to neither side of the conversation."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._last_sound = 0.0
        self.close_at: float | None = None

    def sound(self, now: float) -> None:
        """Sound arrived, or was listened to."""
        self._last_sound = now

    def stall_at(self) -> float:
        """When speech that goes on must have been followed by sound, to be still going on."""
        return self._last_sound + self._stall_s

    def drain(self, time_left_s: float, now: float) -> None:
        """The connection is to end; of several wishes the earliest counts."""
        at = now + max(0.0, time_left_s)
        self.close_at = at if self.close_at is None else min(at, self.close_at)
