"""What the clock ends within a conversation: a microphone or a recognizer that fell silent."""

from __future__ import annotations


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
