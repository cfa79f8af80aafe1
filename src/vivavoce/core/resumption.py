"""Session resumption: when checkpoints are saved, what they contain, and how a connection ends.

A checkpoint is requested whenever both sides are idle and something is new, one at a time, and the
client gets the handle under which it was saved. If saving fails, the client learns that the session
is not resumable, and it is tried again.
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
"""Nothing is announced before it: a client that is told to go resumes, and would take it back."""

RETRY_S = 2.0
"""How long after a failure it is tried again."""

GRAIN = samples(0.02)
"""Sound that comes in smaller pieces is looked at in pieces of this length."""


class SessionLifecycle:
    """`before` is the checkpoint from which the session goes on, if it does."""

    def __init__(
        self, setup: SessionSetup, settings: SessionSettings, before: Checkpoint | None = None
    ) -> None:
        resumption = setup.resumption
        self._settings = settings
        self._lifetime = Lifetime(settings.go_away_s, settings.idle_s)
        self._schedule = CheckpointSchedule(settings.resumable and resumption is not None)
        self._consumed = (
            ConsumedIndex() if resumption is not None and resumption.transparent else None
        )
        self._spent_s = before.spent_s if before is not None else 0.0
        self._read = before.position if before is not None else 0
        self._began = 0.0

    def start_clock(self, now: float) -> None:
        """The connection begins."""
        self._began = now
        if self._settings.connection_s > 0:
            self._lifetime.plan_close(CloseReason.CONNECTION, now + self._settings.connection_s)
        if self._settings.total_s > 0:
            self._lifetime.plan_close(
                CloseReason.SESSION, now + self._settings.total_s - self._spent_s
            )
        self._lifetime.note_activity(now)

    def note_activity(self, now: float) -> None:
        """The client sent something."""
        self._lifetime.note_activity(now)

    def handle_event(
        self, event: LifecycleEvent, position: Position, step: Step
    ) -> CloseConnection | None:
        """What follows from it; `position` is how far sound has arrived."""
        match event:
            case MessageRead():
                self._count(event.sound, position)
            case CheckpointSaved():
                self._schedule.handle_saved(event.handle, step)
            case CheckpointLost():
                self._schedule.handle_lost(step)
            case CloseRequested():
                self._lifetime.plan_close(event.reason, step.now + max(0.0, event.time_left_s))
                self._announce(step)
            case SessionSuperseded():
                if not event.handover:
                    self.abandon_saving()
                return SUPERSEDED
            case _:
                assert_never(event)
        return None

    def handle_deadline(self, step: Step) -> CloseConnection | None:
        """What follows from the passing of time."""
        reason = self._lifetime.closed_by(step.now)
        if reason is None:
            self._announce(step)
            return None
        if reason.final:
            self.abandon_saving()
            step.emit(ForgetSession())
        return CloseConnection(reason.code, reason.reason)

    def deadline(self, resting: bool) -> float | None:
        """When `handle_deadline` is due."""
        retry_at = self._schedule.deadline() if resting else None
        deadlines = (self._lifetime.deadline(), retry_at)
        return min((at for at in deadlines if at is not None), default=None)

    @property
    def is_resumable(self) -> bool:
        """Whether the end of the connection is worth writing down.

        Not for a client that counts its messages: what it was not told of it sends again. Nor
        where the session goes on elsewhere, or not at all.
        """
        return self._schedule.wanted and self._consumed is None

    def is_unsaved(self, state: tuple[int, bool]) -> bool:
        """Whether `state` is not written down yet."""
        return self._schedule.is_unsaved(state)

    def abandon_saving(self) -> None:
        """The session is no longer this connection's to write down."""
        self._schedule.wanted = False

    def save_checkpoint(self, state: tuple[int, bool], checkpoint: Checkpoint, step: Step) -> None:
        """Have the session written down. Ask `due` first."""
        self._schedule.begin_save(state, checkpoint.consumed)
        step.emit(SaveCheckpoint(checkpoint))

    def is_save_due(self, state: tuple[int, bool], now: float) -> bool:
        """Whether `state` is new and has to be written down."""
        return self._schedule.is_due(state, now)

    def spent_s(self, now: float) -> float:
        """How long the session has lasted, over all its connections."""
        return self._spent_s + now - self._began

    def consumed(self, safe: Position) -> int | None:
        """The last message of the client that is contained, where sound before `safe` is."""
        return None if self._consumed is None else self._consumed.index_at(safe)

    def _announce(self, step: Step) -> None:
        if (left_s := self._lifetime.announcement(step.now)) is not None:
            step.send(GoAway(left_s))

    def _count(self, sound: bool, position: Position) -> None:
        if self._consumed is None:
            return
        if sound:
            self._consumed.count_audio(self._read, position)
        else:
            self._consumed.count_message()
        self._read = position


class CheckpointSchedule:
    """`wanted`: the client asked for handles, and there is a store."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self._saved_state: Hashable = None
        self._saving = False
        self._resumable: bool | None = None
        self._retry_at = 0.0
        self._consumed: int | None = None

    def is_due(self, state: Hashable, now: float) -> bool:
        """Whether `state`, which names everything that is kept, has to be written down now."""
        return (
            self.wanted
            and not self._saving
            and state != self._saved_state
            and now >= self._retry_at
        )

    def is_unsaved(self, state: Hashable) -> bool:
        """Whether `state` is not written down yet, nor about to be."""
        return state != self._saved_state

    def begin_save(self, state: Hashable, consumed: int | None) -> None:
        """It is being written down, with the client's messages up to `consumed`."""
        self._saving, self._saved_state, self._consumed = True, state, consumed

    def handle_saved(self, handle: str | None, step: Step) -> None:
        """It was written down under this handle; `None` where the store failed."""
        self._saving = False
        if handle is None:
            self.handle_lost(step)
            return
        self._resumable = True
        step.send(ResumptionUpdate(handle, self._consumed))

    def handle_lost(self, step: Step) -> None:
        """What was written down cannot be had any longer."""
        if not self.wanted:
            return
        self._saved_state = None
        self._retry_at = step.now + RETRY_S
        if self._resumable is not False:
            self._resumable = False
            step.send(ResumptionUpdate(None))

    def deadline(self) -> float | None:
        """When it is to be tried again; `None` if nothing has failed."""
        return self._retry_at if self._resumable is False and not self._saving else None


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


@dataclass(slots=True)
class _Sound:
    first: int
    begin: Position
    end: Position
