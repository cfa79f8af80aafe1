"""Timers: when a connection ends, and when a silent microphone or recognizer has stalled."""

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


class StallTimers:
    """Deadlines that belong to neither side of the conversation."""

    def __init__(self, stall_s: float, transcript_s: float) -> None:
        self._stall_s = stall_s
        self._transcript_s = transcript_s
        self._last_sound = 0.0
        self._last_sign = 0.0
        self._held = False

    def note_audio(self, now: float) -> None:
        """Sound arrived, or was listened to."""
        self._last_sound = now

    def hold_timers(self, held: bool, now: float) -> None:
        """Nobody reads what the microphone sends, or somebody does again."""
        self._held = held
        self._last_sound = now

    def stall_at(self) -> float | None:
        """When speech that goes on must have been followed by sound, to be still going on."""
        return None if self._held else self._last_sound + self._stall_s

    def note_progress(self, now: float) -> None:
        """The recognizer showed that it is at work."""
        self._last_sign = now

    def transcript_at(self, ended_at: float) -> float:
        """When a turn that ended then has waited too long for its last word.

        Any sign counts for all turns: they are recognized one after the other.
        """
        return max(ended_at, self._last_sign) + self._transcript_s
