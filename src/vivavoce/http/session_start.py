"""Sessions at the door: a new one, or one that goes on from what was written down."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from vivavoce.core.context_window import TokenCounter
from vivavoce.core.session import LiveSession
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.audio import Position
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.content import Tools
from vivavoce.domain.ids import IdSource, SessionId
from vivavoce.domain.model_family import family_behavior, model_id
from vivavoce.domain.setup import SessionSetup
from vivavoce.errors import INTERNAL, POLICY, ClientFault, StoreError
from vivavoce.protocol import close
from vivavoce.store.checkpoint_decoder import decode_checkpoint
from vivavoce.store.port import Refusal, SessionStore
from vivavoce.store.session_checkpoints import SessionCheckpointStore, digest_secret

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionStart:
    """How a connection begins: `before` is what its session goes on from, `None` for a new one.

    `lease` is the number under which this connection holds the session, and `handle` the one that
    the client presented.
    """

    session: SessionId
    lease: int = 1
    checkpoint: Checkpoint | None = None
    handle: str = ""

    def with_checkpoint(self, checkpoint: Checkpoint | None) -> SessionStart:
        """The same from what the connection before left, if it had something to leave."""
        return self if checkpoint is None else replace(self, checkpoint=checkpoint)

    @property
    def position(self) -> Position:
        """Where the count of heard samples goes on."""
        return 0 if self.checkpoint is None else self.checkpoint.position

    def merge_tools(self, setup: SessionSetup) -> Tools:
        """The tools with which the session begins or goes on, not yet made the server's."""
        return setup.tools if self.checkpoint is None else self.checkpoint.merge_setup(setup)[1]

    def build_session(
        self,
        setup: SessionSetup,
        tools: Tools,
        settings: SessionSettings,
        ids: IdSource,
        gauge: TokenCounter,
    ) -> LiveSession:
        """The session, with these tools and this context window."""
        behavior = family_behavior(setup.model)
        if self.checkpoint is None:
            setup = replace(setup, tools=tools)
            return LiveSession(self.session, setup, behavior, settings, ids, counter=gauge)
        return LiveSession.resume(self.checkpoint, setup, behavior, settings, ids, tools, gauge)


class CheckpointRepository:
    """Gives sessions to connections, and connections what their sessions are written down with."""

    def __init__(
        self,
        store: SessionStore,
        resume_s: float,
        ids: IdSource,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._resume_s = resume_s
        self._ids = ids
        self._now = now

    async def start_session(self, setup: SessionSetup, owner: str) -> SessionStart:
        """A new session, or the one of the handle that was presented. Raises `ClientFault`."""
        resumption = setup.resumption
        if resumption is None or not resumption.handle:
            return SessionStart(self._ids.session())
        model = model_id(setup.model)
        try:
            taken = await self._store.take_session(
                digest_secret(resumption.handle), owner, model, self._now(), resumption.transparent
            )
        except StoreError as error:
            log.warning("session could not be resumed: why=%s", error)
            raise ClientFault(INTERNAL, close.UNAVAILABLE) from None
        if taken is Refusal.OTHER_MODEL:
            raise close.invalid_argument()
        if isinstance(taken, Refusal):
            raise ClientFault(POLICY, close.SESSION_NOT_FOUND)
        before = await asyncio.to_thread(decode_checkpoint, taken.data, taken.media)
        if before is None:
            raise ClientFault(POLICY, close.SESSION_NOT_FOUND)
        return SessionStart(taken.session, taken.lease, before, resumption.handle)

    def open_store(
        self, start: SessionStart, setup: SessionSetup, owner: str
    ) -> SessionCheckpointStore | None:
        """What the session is written down with; `None` if the client does not ask for handles."""
        if setup.resumption is None:
            return None
        return SessionCheckpointStore(
            self._store,
            start.session,
            owner,
            model_id(setup.model),
            start.lease,
            self._resume_s,
            start.handle,
            self._now,
        )
