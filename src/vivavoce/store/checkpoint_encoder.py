"""Checkpoints as bytes, for a session that is written down again and again.

A checkpoint is versioned JSON in which every value says what it is (`codec.py` reads it); media
stands beside it, under its SHA-256. What stays the same from one checkpoint to the next is encoded
and hashed once, so that writing a session down costs what is new in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from hashlib import sha256
from typing import Any, NamedTuple

from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.content import Blob, Content, Text, ToolDeclaration

QUICK_CHARS = 16_384
"""Characters of new text that are encoded in less than a millisecond."""

QUICK_CONTENTS = 64

QUICK_BYTES = 256 * 1024
"""Of a checkpoint as JSON, old and new: joined in about a millisecond."""


class EncodedCheckpoint(NamedTuple):
    """A checkpoint as JSON, and the media that it refers to, by digest."""

    data: bytes
    media: Mapping[str, bytes]


class _Piece(NamedTuple):
    """A value as JSON. It is held so that its identity stays its own."""

    value: object
    data: bytes
    media: Mapping[str, bytes]


class CheckpointEncoder:
    """Encodes the checkpoints of one session. Contributions, media, declarations and instructions
    are never mutated, and are known again by their identity."""

    def __init__(self) -> None:
        self._pieces: dict[int, _Piece] = {}
        self._before: dict[int, _Piece] = {}
        self._size = 0

    def is_quick(self, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint is so small, and so little of it new, that it needs no thread."""
        if self._size > QUICK_BYTES:
            return False
        heavy: tuple[Iterable[object], ...] = (
            checkpoint.tools.functions,
            checkpoint.asked.tools.functions,
            (frame for _, frame in checkpoint.frames),
        )
        if checkpoint.calls or any(id(each) not in self._pieces for part in heavy for each in part):
            return False
        new = [each for each in checkpoint.history if id(each) not in self._pieces]
        if len(new) > QUICK_CONTENTS:
            return False
        parts = [part for content in new for part in content.parts]
        texts = [part.text for part in parts if isinstance(part, Text)]
        if len(texts) != len(parts):
            return False
        instructions = (checkpoint.instruction, checkpoint.asked.instruction)
        texts += [each for each in instructions if id(each) not in self._pieces]
        return sum(map(len, texts)) <= QUICK_CHARS

    def encode(self, checkpoint: Checkpoint) -> EncodedCheckpoint:
        """The checkpoint, without `consumed`, which belongs to the handle."""
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
        for field in fields(value):
            if field.init and field.name != leave_out:
                write = self._piece if field.name == "instruction" else self._write
                member = write(getattr(value, field.name), media)
                members.append(_json(field.name) + b":" + member)
        return b"{" + b",".join(members) + b"}"


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def encode_checkpoint(checkpoint: Checkpoint) -> EncodedCheckpoint:
    """A single checkpoint."""
    return CheckpointEncoder().encode(checkpoint)
