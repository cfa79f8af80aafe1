"""Save checkpoints of a session while the conversation goes on, and once at its end.

A checkpoint that the core requests is saved although the client has gone meanwhile: it may hold the
turn which the client has just heard. So it is no engine task, which would be cancelled; what ends
it is the store's own time limit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from vivavoce.core.events import CheckpointSaved, Event, SessionSuperseded
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.errors import StoreError
from vivavoce.runtime.ports import CheckpointStore

log = logging.getLogger(__name__)

FINAL_SAVE_TIMEOUT_S = 5.0
"""Timeout of the last save at the end of a connection; the store's own limit is shorter."""


class CheckpointWriter:
    """Writer of one connection's checkpoints, one at a time; without a store it saves none."""

    def __init__(
        self, store: CheckpointStore | None, session: str, post: Callable[[Event], None]
    ) -> None:
        self._store = store
        self._session = session
        self._post = post
        self._last: asyncio.Task[None] | None = None
        self._handover: asyncio.Future[Checkpoint | None] | None = None

    def request_handover(self) -> asyncio.Future[Checkpoint | None]:
        """Return a future of the connection's last checkpoint, for the connection that takes over.

        `None` if there is none, since all is saved.
        """
        if self._handover is None:
            self._handover = asyncio.get_running_loop().create_future()
        return self._handover

    def save_checkpoint(self, checkpoint: Checkpoint, new_handle: bool) -> None:
        """Save a checkpoint in the background; with `new_handle`, post the outcome as an event."""
        if self._handover is not None and not new_handle:
            self._resolve_handover(checkpoint)
            return
        self._then(self._save(checkpoint, new_handle))

    def forget_session(self) -> None:
        """Delete the session from the store, in the background."""
        self._then(self._forget())

    async def aclose(self) -> None:
        """Wait for saves that were started, up to `FINAL_SAVE_TIMEOUT_S`."""
        self._resolve_handover(None)
        if self._last is not None:
            await asyncio.wait({self._last}, timeout=FINAL_SAVE_TIMEOUT_S)

    def _resolve_handover(self, checkpoint: Checkpoint | None) -> None:
        if self._handover is not None and not self._handover.done():
            self._handover.set_result(checkpoint)

    def _then(self, work: Coroutine[Any, Any, None]) -> None:
        before, loop = self._last, asyncio.get_running_loop()

        async def in_order() -> None:
            if before is not None:
                await asyncio.wait({before})
            await work

        self._last = loop.create_task(in_order(), name="checkpoint")

    async def _save(self, checkpoint: Checkpoint, new_handle: bool) -> None:
        handle: str | None = None
        outcome: Event = CheckpointSaved(None)
        if self._store is not None:
            try:
                handle = await self._store.save_checkpoint(checkpoint, new_handle)
                outcome = SessionSuperseded() if handle is None else CheckpointSaved(handle)
            except StoreError as error:
                self._warn("checkpoint was not saved", error)
            except Exception:
                log.exception("checkpoint was not saved", extra={"session": self._session})
        if new_handle:
            self._post(outcome)

    async def _forget(self) -> None:
        if self._store is not None:
            try:
                await self._store.forget_session()
            except StoreError as error:
                self._warn("session was not forgotten", error)

    def _warn(self, sentence: str, error: StoreError) -> None:
        log.warning(sentence, extra={"session": self._session, "problem": str(error)})
