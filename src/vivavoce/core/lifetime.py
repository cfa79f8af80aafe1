"""Planned ends of a connection, and timeouts of a stalled microphone or recognizer.

Several ends may be planned at once; the earliest counts. It is announced by `goAway`, `notice_s`
before it or as soon as it is known, and the connection is closed at the announced time. An end that
is put off or comes nearer is announced again.
"""

from __future__ import annotations

from enum import Enum

RESUMABLE_CODE = 1011
"""Close code after which every client that supports resumption resumes."""

FINAL = 1008


class CloseReason(Enum):
    """Reason for the end of a connection: close code and text."""

    DRAIN = (RESUMABLE_CODE, "The server is going away; resume the session on a new connection.")
    CONNECTION = (
        RESUMABLE_CODE,
        "The connection has reached its lifetime; resume the session on a new connection.",
    )
    IDLE = (RESUMABLE_CODE, "The client sent nothing for too long; resume the session when needed.")
    SESSION = (FINAL, "The session has reached its time limit.")
    TOKEN = (RESUMABLE_CODE, "auth token has expired")
    QUOTA = (
        RESUMABLE_CODE,
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
        """True if the session ends, too."""
        return self is CloseReason.SESSION


class Lifetime:
    """Planned ends of one connection: the earliest is announced, then closes it."""

    def __init__(self, notice_s: float, idle_s: float = 0.0) -> None:
        self._notice_s = notice_s
        self._idle_s = idle_s
        self._ends: dict[CloseReason, float] = {}
        self._announced: float | None = None

    def plan_close(self, reason: CloseReason, at: float) -> None:
        """Plan an end; of several times for one reason the earliest counts."""
        self._ends[reason] = min(at, self._ends.get(reason, at))

    def note_activity(self, now: float) -> None:
        """Note that the client sent something."""
        if self._idle_s > 0:
            self._ends[CloseReason.IDLE] = now + self._idle_s
            if self._announced is not None and self._announced < self._end:
                self._announced = None

    @property
    def _end(self) -> float:
        return min(self._ends.values(), default=float("inf"))

    def announce_end(self, now: float) -> float | None:
        """Return the seconds left if they are to be announced now; once for each end."""
        end = self._end
        if now < end - self._notice_s or (self._announced is not None and self._announced <= end):
            return None
        if end == float("inf"):
            return None
        self._announced = end
        return max(0.0, end - now)

    def closed_by(self, now: float) -> CloseReason | None:
        """Return the reason for which the connection ends now, if it does."""
        due = [reason for reason, at in self._ends.items() if at <= now]
        return min(due, key=self._ends.__getitem__, default=None)

    def deadline(self) -> float | None:
        """Return the time at which an announcement or an end is due."""
        end = self._end
        if end == float("inf"):
            return None
        announced = self._announced is not None and self._announced <= end
        return end if announced else end - self._notice_s


class StallTimers:
    """Deadlines of the microphone and of the recognizer."""

    def __init__(self, stall_s: float, transcript_s: float) -> None:
        self._stall_s = stall_s
        self._transcript_s = transcript_s
        self._last_audio = 0.0
        self._last_progress = 0.0
        self._paused = False

    def note_audio(self, now: float) -> None:
        """Note that audio arrived or was scored."""
        self._last_audio = now

    def pause_timers(self, paused: bool, now: float) -> None:
        """Note that the host stopped reading from the client, or began again."""
        self._paused = paused
        self._last_audio = now

    def stall_at(self) -> float | None:
        """Return the time at which ongoing speech is over without more audio."""
        return None if self._paused else self._last_audio + self._stall_s

    def note_progress(self, now: float) -> None:
        """Note progress of the recognizer on an ended turn."""
        self._last_progress = now

    def transcript_at(self, ended_at: float) -> float:
        """Return the time at which the transcript of a turn that ended at `ended_at` is overdue.

        Progress counts for all turns: they are recognized one after the other.
        """
        return max(ended_at, self._last_progress) + self._transcript_s
