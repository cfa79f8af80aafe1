"""Writes one session down for its connection, under handles that only its client gets to know."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from hashlib import sha256

from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.ids import SessionId
from vivavoce.store.checkpoint_encoder import CheckpointEncoder
from vivavoce.store.port import SavedSession, SessionStore


def digest_secret(secret: str) -> str:
    """What a store gets to see of a secret: its SHA-256 in hexadecimal."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


class SessionCheckpointStore:
    """`lease` is the number under which this connection holds the session.

    `handle` is the one that the client presented, if it resumed. A handle is 256 random bits.
    """

    def __init__(
        self,
        store: SessionStore,
        session: SessionId,
        owner: str,
        model: str,
        lease: int,
        resume_s: float,
        handle: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._session, self._owner, self._model = session, owner, model
        self._lease = lease
        self._resume_s = resume_s
        self._handle = handle
        self._now = now
        self._encoder = CheckpointEncoder()

    async def save_checkpoint(self, checkpoint: Checkpoint, new_handle: bool) -> str | None:
        """Save under a new handle, or in the place of the last state without one."""
        if self._encoder.is_quick(checkpoint):
            encoded = self._encoder.encode(checkpoint)
        else:
            encoded = await asyncio.to_thread(self._encoder.encode, checkpoint)
        saved = SavedSession(self._session, self._owner, self._model, self._lease, *encoded)
        handle = self._handle if self._handle and not new_handle else secrets.token_urlsafe(32)
        now = self._now()
        if not await self._store.save_session(
            saved, digest_secret(handle), now, now + self._resume_s
        ):
            return None
        self._handle = handle
        return handle

    async def forget_session(self) -> None:
        """Drop what is on record."""
        await self._store.forget_session(self._session, self._lease)
