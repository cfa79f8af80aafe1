"""When a connection ends by the clock, and when the client is told.

Several ends may be planned at once; the earliest counts. It is announced by `goAway`, `notice_s`
before it or as soon as it is known, and the connection is closed at the very time that was
announced: what a client does with the time that it has left is its own affair. An end that is put
off is announced again; one that comes nearer, too.
"""

from __future__ import annotations

from enum import Enum

RESUMABLE = 1011
"""The one code from which every client that resumes does resume."""

FINAL = 1008


class CloseReason(Enum):
    """Why a connection ends, with the close code and the sentence that say so."""

    DRAIN = (RESUMABLE, "The server is going away; resume the session on a new connection.")
    CONNECTION = (
        RESUMABLE,
        "The connection has reached its lifetime; resume the session on a new connection.",
    )
    IDLE = (RESUMABLE, "The client sent nothing for too long; resume the session when needed.")
    SESSION = (FINAL, "The session has reached its time limit.")
    TOKEN = (RESUMABLE, "auth token has expired")
    QUOTA = (
        RESUMABLE,
        "You exceeded your current quota, please check your plan and billing details.",
    )

    @property
    def code(self) -> int:
        return self.value[0]

    @property
    def reason(self) -> str:
        return self.value[1]

    @property
    def final(self) -> bool:
        """Whether the session is over with it, too."""
        return self is CloseReason.SESSION


class Lifetime:
    """The planned ends of one connection. Times are the host's; `notice_s` is in seconds."""

    def __init__(self, notice_s: float, idle_s: float = 0.0) -> None:
        self._notice_s = notice_s
        self._idle_s = idle_s
        self._ends: dict[CloseReason, float] = {}
        self._announced: float | None = None

    def plan_close(self, reason: CloseReason, at: float) -> None:
        """The connection ends then for this reason; of several times the earliest counts."""
        self._ends[reason] = min(at, self._ends.get(reason, at))

    def note_activity(self, now: float) -> None:
        """The client sent something."""
        if self._idle_s > 0:
            self._ends[CloseReason.IDLE] = now + self._idle_s
            if self._announced is not None and self._announced < self._end:
                self._announced = None

    @property
    def _end(self) -> float:
        return min(self._ends.values(), default=float("inf"))

    def announcement(self, now: float) -> float | None:
        """The seconds left, where the client has to be told of them now; once for each end."""
        end = self._end
        if now < end - self._notice_s or (self._announced is not None and self._announced <= end):
            return None
        if end == float("inf"):
            return None
        self._announced = end
        return max(0.0, end - now)

    def closed_by(self, now: float) -> CloseReason | None:
        """Why the connection ends now, if it does."""
        due = [reason for reason, at in self._ends.items() if at <= now]
        return min(due, key=self._ends.__getitem__, default=None)

    def deadline(self) -> float | None:
        """When there is something to be said or done."""
        end = self._end
        if end == float("inf"):
            return None
        announced = self._announced is not None and self._announced <= end
        return end if announced else end - self._notice_s
