"""When a session is written down, and what its client knows of that.

Whenever both sides rest and something is new, a checkpoint is asked for, one at a time; the
client is told the handle under which it was kept. Where it could not be kept the client is told
that the session is not resumable, and it is tried again until it is.
"""

from __future__ import annotations

from collections.abc import Hashable

from vivavoce.core.messages import ResumptionUpdate
from vivavoce.core.step import Step

RETRY_S = 2.0
"""How long after a failure it is tried again."""


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
