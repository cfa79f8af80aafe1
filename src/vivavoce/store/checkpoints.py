"""Save session checkpoints under resumption handles, and load them when a client resumes.

A checkpoint is versioned JSON in which every value names its class; media is stored apart, under
its SHA-256. Objects of the user's own (arguments, results, schemas) are kept as they are, with
integers of any length and unpaired surrogates.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from hashlib import sha256
from typing import Any, NamedTuple, cast, get_args

from vivavoce.domain.audio import Position
from vivavoce.domain.checkpoint import CHECKPOINT_VERSION, Asked, Checkpoint, OpenCall
from vivavoce.domain.content import (
    Behavior,
    Blob,
    BuiltinTool,
    Content,
    Part,
    Role,
    Scheduling,
    ServerTool,
    Text,
    ToolDeclaration,
    ToolKind,
    Tools,
)
from vivavoce.domain.ids import IdSource, SessionId
from vivavoce.domain.model_family import model_id
from vivavoce.domain.serialization import find_mismatch, index_kinds, read_tagged
from vivavoce.domain.setup import SessionSetup
from vivavoce.store.port import Refusal, SavedSession, SessionStore, digest_secret

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionStart:
    """Start of a connection's session: a new one, or a resumed `checkpoint`.

    `setup` is the client's, without the handle that it presented, which is a secret and goes no
    further than this module. `lease` is the number under which the connection holds the session.
    """

    session: SessionId
    setup: SessionSetup
    lease: int = 1
    checkpoint: Checkpoint | None = None
    handle: str = field(default="", repr=False)

    @property
    def position(self) -> Position:
        """Position from which audio is counted: the checkpoint's, or 0."""
        return 0 if self.checkpoint is None else self.checkpoint.position

    def merge_tools(self) -> Tools:
        """Return the unresolved tools with which the session begins."""
        setup = self.setup
        return setup.tools if self.checkpoint is None else self.checkpoint.merge_setup(setup)[1]


class CheckpointRepository:
    """Repository of checkpoints: starts or resumes sessions, and opens their checkpoint stores."""

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

    async def start_session(self, setup: SessionSetup, owner: str) -> SessionStart | Refusal:
        """Start a new session, or load and lease the one of the presented handle."""
        resumption = setup.resumption
        if resumption is None or not resumption.handle:
            return SessionStart(self._ids.session(), setup)
        taken = await self._store.take_session(
            digest_secret(resumption.handle),
            owner,
            model_id(setup.model),
            self._now(),
            resumption.transparent,
        )
        if isinstance(taken, Refusal):
            return taken
        checkpoint = await asyncio.to_thread(decode_checkpoint, taken.data, taken.media)
        if checkpoint is None:
            return Refusal.UNKNOWN
        setup = replace(setup, resumption=replace(resumption, handle=""))
        return SessionStart(taken.session, setup, taken.lease, checkpoint, resumption.handle)

    def open_store(self, start: SessionStart, owner: str) -> SessionCheckpointStore | None:
        """Return the checkpoint store of a session; `None` if its client asks for no handles."""
        if start.setup.resumption is None:
            return None
        model = model_id(start.setup.model)
        return SessionCheckpointStore(self._store, start, owner, model, self._resume_s, self._now)


class SessionCheckpointStore:
    """Checkpoint store of one session, under handles that only its client receives.

    A handle is 256 random bits.
    """

    def __init__(
        self,
        store: SessionStore,
        start: SessionStart,
        owner: str,
        model: str,
        resume_s: float,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._session, self._lease, self._handle = start.session, start.lease, start.handle
        self._owner, self._model = owner, model
        self._resume_s = resume_s
        self._now = now
        self._encoder = CheckpointEncoder()

    async def save_checkpoint(self, checkpoint: Checkpoint, new_handle: bool) -> str | None:
        """Save under a new handle, or over the last state; `None` where a newer lease exists."""
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
        """Delete the session and its handles."""
        await self._store.forget_session(self._session, self._lease)


# --- encoding ---------------------------------------------------------------------------------

MAX_QUICK_CHARS = 16_384
"""Characters of new text that are encoded in less than a millisecond."""

MAX_QUICK_CONTENTS = 64

MAX_QUICK_BYTES = 256 * 1024
"""Size of a checkpoint as JSON that is joined in about a millisecond."""


class EncodedCheckpoint(NamedTuple):
    """A checkpoint as JSON, and the media that it refers to, by digest."""

    data: bytes
    media: Mapping[str, bytes]


class _Piece(NamedTuple):
    """A value as JSON. Keeps a reference so that `id()` is not reused."""

    value: object
    data: bytes
    media: Mapping[str, bytes]


class CheckpointEncoder:
    """Incremental encoder of one session's checkpoints: encodes and hashes only new contents.

    Contributions, media, declarations and instructions are never mutated, and are recognized
    by `id()`.
    """

    def __init__(self) -> None:
        self._pieces: dict[int, _Piece] = {}
        self._before: dict[int, _Piece] = {}
        self._size = 0

    def is_quick(self, checkpoint: Checkpoint) -> bool:
        """Return whether a checkpoint is small enough to be encoded on the event loop."""
        if self._size > MAX_QUICK_BYTES:
            return False
        heavy: tuple[Iterable[object], ...] = (
            checkpoint.tools.functions,
            checkpoint.asked.tools.functions,
            (frame for _, frame in checkpoint.frames),
        )
        if checkpoint.calls or any(id(each) not in self._pieces for part in heavy for each in part):
            return False
        new = [each for each in checkpoint.history if id(each) not in self._pieces]
        if len(new) > MAX_QUICK_CONTENTS:
            return False
        parts = [part for content in new for part in content.parts]
        texts = [part.text for part in parts if isinstance(part, Text)]
        if len(texts) != len(parts):
            return False
        instructions = (checkpoint.instruction, checkpoint.asked.instruction)
        texts += [each for each in instructions if id(each) not in self._pieces]
        return sum(map(len, texts)) <= MAX_QUICK_CHARS

    def encode(self, checkpoint: Checkpoint) -> EncodedCheckpoint:
        """Encode a checkpoint without `consumed`, which belongs to the handle."""
        self._before, self._pieces = self._pieces, {}
        media: dict[str, bytes] = {}
        data = self._object(checkpoint, media, leave_out="consumed")
        self._before, self._size = {}, len(data)
        return EncodedCheckpoint(data, media)

    def _write(self, value: Any, media: dict[str, bytes]) -> bytes:
        if isinstance(value, Content | Blob | ToolDeclaration):
            return self._piece(value, media)
        if is_dataclass(value) and not isinstance(value, type):
            return self._object(value, media)
        if isinstance(value, Enum):
            return _json({"is": type(value).__name__, "value": value.value})
        if isinstance(value, bytes):
            digest = sha256(value).hexdigest()
            media[digest] = value
            return _json({"media": digest})
        if isinstance(value, tuple):
            return b"[" + b",".join([self._write(item, media) for item in value]) + b"]"
        if isinstance(value, Mapping):
            return _json({"json": dict(value)})
        return _json(value)

    def _piece(self, value: object, media: dict[str, bytes]) -> bytes:
        key = id(value)
        piece = self._pieces.get(key) or self._before.get(key)
        if piece is None:
            own: dict[str, bytes] = {}
            data = _json(value) if isinstance(value, str) else self._object(value, own)
            piece = _Piece(value, data, own)
        self._pieces[key] = piece
        media.update(piece.media)
        return piece.data

    def _object(self, value: Any, media: dict[str, bytes], leave_out: str = "") -> bytes:
        members = [b'"is":' + _json(type(value).__name__)]
        for each in fields(value):
            if each.init and each.name != leave_out:
                write = self._piece if each.name == "instruction" else self._write
                member = write(getattr(value, each.name), media)
                members.append(_json(each.name) + b":" + member)
        return b"{" + b",".join(members) + b"}"


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


_KINDS = index_kinds(
    *get_args(Part),
    *(Checkpoint, Asked, OpenCall, Content, Tools, ToolDeclaration, BuiltinTool, ServerTool),
    *(Role, Scheduling, Behavior, ToolKind),
)


def decode_checkpoint(data: bytes, media: Mapping[str, bytes]) -> Checkpoint | None:
    """Decode a checkpoint; `None` if its version is unknown or its data is broken.

    `media` is what it refers to, by digest.
    """
    try:
        written = json.loads(data)
        if written.get("version") == CHECKPOINT_VERSION:

            def read_other(found: dict[str, Any]) -> object:
                return media[found["media"]] if "media" in found else found["json"]

            read = read_tagged(written, _KINDS, read_other)
            if not (mismatch := find_mismatch(read, Checkpoint, "checkpoint")):
                return cast(Checkpoint, read)
            log.warning("checkpoint has wrong types", extra={"place": mismatch})
            return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    log.warning("checkpoint cannot be read", extra={"bytes": len(data)})
    return None
