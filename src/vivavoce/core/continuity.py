"""How a session outlives its connection: its ends, its handles, and what they contain.

The parts are lifetime.py (when a connection ends, and when that is announced), keeping.py (when
the session is written down, and what the client knows of it) and consumed.py (which messages of
the client are contained).
"""

from __future__ import annotations

from typing import assert_never

from vivavoce.core.consumed import Consumed
from vivavoce.core.effects import CloseConnection, ForgetSession, SaveCheckpoint
from vivavoce.core.events import (
    CheckpointLost,
    CheckpointSaved,
    LeaveRequested,
    MessageRead,
    SessionTaken,
)
from vivavoce.core.keeping import Keeping
from vivavoce.core.lifetime import FINAL, Farewell, Lifetime
from vivavoce.core.messages import GoAway
from vivavoce.core.settings import SessionSettings
from vivavoce.core.step import Step
from vivavoce.domain.audio import Position
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.setup import SessionSetup

TAKEN = CloseConnection(FINAL, "The session was resumed on another connection.")
"""Nothing is announced before it: a client that is told to go resumes, and would take it back."""

Concern = MessageRead | CheckpointSaved | CheckpointLost | SessionTaken | LeaveRequested
"""The events that are about nothing else."""


class Continuity:
    """`before` is the checkpoint from which the session goes on, if it does."""

    def __init__(
        self, setup: SessionSetup, settings: SessionSettings, before: Checkpoint | None = None
    ) -> None:
        wishes = setup.resumption
        self._settings = settings
        self._lifetime = Lifetime(settings.go_away_s, settings.idle_s)
        self._keeping = Keeping(settings.resumable and wishes is not None)
        self._consumed = Consumed() if wishes is not None and wishes.transparent else None
        self._spent_s = before.spent_s if before is not None else 0.0
        self._read = before.position if before is not None else 0
        self._began = 0.0

    def open(self, now: float) -> None:
        """The connection begins."""
        self._began = now
        if self._settings.connection_s > 0:
            self._lifetime.plan(Farewell.CONNECTION, now + self._settings.connection_s)
        if self._settings.total_s > 0:
            self._lifetime.plan(Farewell.SESSION, now + self._settings.total_s - self._spent_s)
        self._lifetime.heard(now)

    def heard(self, now: float) -> None:
        """The client sent something."""
        self._lifetime.heard(now)

    def happened(self, event: Concern, position: Position, step: Step) -> CloseConnection | None:
        """What follows from it; `position` is how far sound has arrived."""
        match event:
            case MessageRead():
                self._count(event.sound, position)
            case CheckpointSaved():
                self._keeping.saved(event.handle, step)
            case CheckpointLost():
                self._keeping.lost(step)
            case LeaveRequested():
                self._lifetime.plan(event.farewell, step.now + max(0.0, event.time_left_s))
                self._announce(step)
            case SessionTaken():
                if not event.surrender:
                    self.give_up()
                return TAKEN
            case _:
                assert_never(event)
        return None

    def elapse(self, step: Step) -> CloseConnection | None:
        """What follows from the passing of time."""
        farewell = self._lifetime.over(step.now)
        if farewell is None:
            self._announce(step)
            return None
        if farewell.final:
            self.give_up()
            step.want(ForgetSession())
        return CloseConnection(farewell.code, farewell.reason)

    def deadline(self, resting: bool) -> float | None:
        """When `elapse` is due."""
        retry_at = self._keeping.deadline() if resting else None
        wishes = (self._lifetime.deadline(), retry_at)
        return min((wish for wish in wishes if wish is not None), default=None)

    @property
    def keeps(self) -> bool:
        """Whether the end of the connection is worth writing down.

        Not for a client that counts its messages: what it was not told of it sends again. Nor
        where the session goes on elsewhere, or not at all.
        """
        return self._keeping.wanted and self._consumed is None

    def unkept(self, state: tuple[int, bool]) -> bool:
        """Whether `state` is not written down yet."""
        return self._keeping.unkept(state)

    def give_up(self) -> None:
        """The session is no longer this connection's to write down."""
        self._keeping.wanted = False

    def keep(self, state: tuple[int, bool], checkpoint: Checkpoint, step: Step) -> None:
        """Have the session written down. Ask `due` first."""
        self._keeping.begin(state, checkpoint.consumed)
        step.want(SaveCheckpoint(checkpoint))

    def due(self, state: tuple[int, bool], now: float) -> bool:
        """Whether `state` is new and has to be written down."""
        return self._keeping.due(state, now)

    def spent_s(self, now: float) -> float:
        """How long the session has lasted, over all its connections."""
        return self._spent_s + now - self._began

    def consumed(self, safe: Position) -> int | None:
        """The last message of the client that is contained, where sound before `safe` is."""
        return None if self._consumed is None else self._consumed.upto(safe)

    def _announce(self, step: Step) -> None:
        if (left_s := self._lifetime.announcement(step.now)) is not None:
            step.send(GoAway(left_s))

    def _count(self, sound: bool, position: Position) -> None:
        if self._consumed is None:
            return
        if sound:
            self._consumed.sound(self._read, position)
        else:
            self._consumed.other()
        self._read = position
