"""Session resumption: save checkpoints, restore them, and end connections.

A checkpoint is saved whenever both sides are idle and something is new, one at a time, and the
client gets the handle under which it was saved. If saving fails, the client learns that the session
is not resumable, and it is tried again.

`lastConsumedClientMessageIndex` says which messages of the client a checkpoint contains. Messages
are counted from 0, the first after the setup of this connection. Audio is contained when no later
turn can reach back to it, anything else as soon as it was received. What is contained is always a
beginning of the messages: audio before a contained text counts as contained, since replaying it
would replay the text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import assert_never

from vivavoce.core.effects import CloseConnection, ForgetSession, SaveCheckpoint, Step
from vivavoce.core.events import (
    CheckpointLost,
    CheckpointSaved,
    CloseRequested,
    LifecycleEvent,
    MessageRead,
    SessionSuperseded,
)
from vivavoce.core.lifetime import FINAL, CloseReason, Lifetime
from vivavoce.core.messages import GoAway, ResumptionUpdate
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.audio import Position, samples
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.setup import SessionSetup

SUPERSEDED = CloseConnection(FINAL, "The session was resumed on another connection.")
"""Not announced: a client resumes on `goAway`, and would take the session back."""

SAVE_RETRY_S = 2.0
"""Seconds from a failed save to the next."""

MIN_SPAN_SAMPLES = samples(0.02)
"""Audio in smaller chunks is tracked in spans of this length."""


class SessionLifecycle:
    """Lifetime of one connection, and the checkpoints saved during it.

    `before` is the checkpoint from which the session was resumed. `saves`: the client asked for
    handles, and there is a store.
    """

    def __init__(
        self, setup: SessionSetup, settings: SessionSettings, before: Checkpoint | None = None
    ) -> None:
        resumption = setup.resumption
        self.saves = settings.resumable and resumption is not None
        self._settings = settings
        self._lifetime = Lifetime(settings.go_away_s, settings.idle_s)
        self._messages = (
            ConsumedIndex() if resumption is not None and resumption.transparent else None
        )
        self._spent_s = before.spent_s if before is not None else 0.0
        self._read = before.position if before is not None else 0
        self._began = 0.0
        self._saving: Checkpoint | None = None
        self._saved_state: Hashable = None
        self._resumable: bool | None = None
        self._retry_at = 0.0

    # --- the connection -------------------------------------------------------------------

    def start_clock(self, now: float) -> None:
        """Begin to count the time of the connection."""
        self._began = now
        if self._settings.connection_s > 0:
            self._lifetime.plan_close(CloseReason.CONNECTION, now + self._settings.connection_s)
        if self._settings.total_s > 0:
            self._lifetime.plan_close(
                CloseReason.SESSION, now + self._settings.total_s - self._spent_s
            )
        self._lifetime.note_activity(now)

    def note_activity(self, now: float) -> None:
        """Note that the client sent something."""
        self._lifetime.note_activity(now)

    def handle_event(
        self, event: LifecycleEvent, position: Position, step: Step
    ) -> CloseConnection | None:
        """Process an event, with audio up to `position`; return how the connection ends, if so."""
        match event:
            case MessageRead():
                self._count_message(event.audio_only, position)
            case CheckpointSaved():
                self._report_saved(event.handle, step)
            case CheckpointLost():
                self._report_lost(step)
            case CloseRequested():
                self._lifetime.plan_close(event.reason, step.now + max(0.0, event.time_left_s))
                self._announce_end(step)
            case SessionSuperseded():
                self.saves = self.saves and event.handover
                return SUPERSEDED
            case _:
                assert_never(event)
        return None

    def handle_deadline(self, step: Step) -> CloseConnection | None:
        """Announce or return the end of the connection, if it is due."""
        reason = self._lifetime.closed_by(step.now)
        if reason is None:
            self._announce_end(step)
            return None
        if reason.final:
            self.saves = False
            step.emit(ForgetSession())
        return CloseConnection(reason.code, reason.reason)

    def deadline(self, idle: bool) -> float | None:
        """Return the time at which `handle_deadline` or the retry of a failed save is due."""
        end = self._lifetime.deadline()
        if not idle or self._resumable is not False or self._saving is not None:
            return end
        return self._retry_at if end is None else min(end, self._retry_at)

    def spent_s(self, now: float) -> float:
        """Return the duration of the session so far, over all its connections."""
        return self._spent_s + now - self._began

    def _announce_end(self, step: Step) -> None:
        if (left_s := self._lifetime.announce_end(step.now)) is not None:
            step.send(GoAway(left_s))

    # --- checkpoints ----------------------------------------------------------------------

    @property
    def saves_at_end(self) -> bool:
        """True if the session is saved when the connection ends.

        A client that counts its messages sends again what no checkpoint contains. Nor is it saved
        when it continues elsewhere, or has ended.
        """
        return self.saves and self._messages is None

    def is_unsaved(self, state: Hashable) -> bool:
        """Return whether `state` of the session is neither saved nor being saved."""
        return state != self._saved_state

    def is_save_due(self, state: Hashable, now: float) -> bool:
        """Return whether `state` has to be saved now."""
        ready = self.saves and self._saving is None and now >= self._retry_at
        return ready and self.is_unsaved(state)

    def save_checkpoint(self, state: Hashable, checkpoint: Checkpoint, step: Step) -> None:
        """Request that a checkpoint be saved. Ask `is_save_due` first."""
        self._saving, self._saved_state = checkpoint, state
        step.emit(SaveCheckpoint(checkpoint))

    def _report_saved(self, handle: str | None, step: Step) -> None:
        saved, self._saving = self._saving, None
        if handle is None:
            self._report_lost(step)
            return
        self._resumable = True
        step.send(ResumptionUpdate(handle, saved.consumed if saved else None))

    def _report_lost(self, step: Step) -> None:
        if not self.saves:
            return
        self._saved_state = None
        self._retry_at = step.now + SAVE_RETRY_S
        if self._resumable is not False:
            self._resumable = False
            step.send(ResumptionUpdate(None))

    def consumed(self, safe: Position) -> int | None:
        """Return the last client message in a checkpoint that contains audio up to `safe`."""
        return None if self._messages is None else self._messages.index_at(safe)

    def _count_message(self, audio_only: bool, position: Position) -> None:
        if self._messages is None:
            return
        if audio_only:
            self._messages.count_audio(self._read, position)
        else:
            self._messages.count_other()
        self._read = position


class ConsumedIndex:
    """Index of client messages: counts them, and finds the last one in a checkpoint."""

    def __init__(self) -> None:
        self._last = -1
        self._spans: deque[_AudioSpan] = deque()

    def count_audio(self, begin: Position, end: Position) -> None:
        """Count a message of audio with this span."""
        self._last += 1
        newest = self._spans[-1] if self._spans else None
        if newest is not None and end - newest.begin <= MIN_SPAN_SAMPLES:
            newest.end = end
        else:
            self._spans.append(_AudioSpan(self._last, begin, end))

    def count_other(self) -> None:
        """Count a message of anything else."""
        self._last += 1
        self._spans.clear()

    def index_at(self, safe: Position) -> int | None:
        """Return the last message in a checkpoint that contains audio up to `safe`, if any."""
        while self._spans and self._spans[0].end <= safe:
            self._spans.popleft()
        last = self._spans[0].first - 1 if self._spans else self._last
        return last if last >= 0 else None


@dataclass(slots=True)
class _AudioSpan:
    first: int
    begin: Position
    end: Position
