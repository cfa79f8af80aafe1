"""A checkpoint as bytes: versioned JSON in which every value says what it is.

Objects of the user's own (arguments, results, schemas) are kept as they are, with integers of any
length and unpaired surrogates. A reader that does not know the version, or finds something else
than a checkpoint, gives nothing: the session cannot be continued by this server, and its handle is
as good as any old one.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, cast, get_args

from vivavoce.domain.checkpoint import CHECKPOINT_VERSION, Asked, Checkpoint, OpenCall
from vivavoce.domain.content import (
    Behavior,
    BuiltinTool,
    Content,
    Part,
    Role,
    Scheduling,
    ServerTool,
    ToolDeclaration,
    ToolKind,
    Tools,
)
from vivavoce.domain.typed import find_mismatch

log = logging.getLogger(__name__)

_KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *get_args(Part),
        *(Checkpoint, Asked, OpenCall, Content, Tools, ToolDeclaration, BuiltinTool, ServerTool),
        *(Role, Scheduling, Behavior, ToolKind),
    )
}


def encode(checkpoint: Checkpoint) -> bytes:
    """The checkpoint as JSON. `consumed` belongs to the handle and is left out."""
    written = _written(checkpoint)
    del written["consumed"]
    return json.dumps(written, separators=(",", ":")).encode()


def decode(data: bytes) -> Checkpoint | None:
    """The checkpoint that `encode` wrote, or `None` if it cannot be read."""
    try:
        written = json.loads(data)
        if written.get("version") == CHECKPOINT_VERSION:
            read = _read(written)
            if not (mismatch := find_mismatch(read, Checkpoint, "checkpoint")):
                return cast(Checkpoint, read)
            log.warning("checkpoint has wrong types", extra={"place": mismatch})
            return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    log.warning("checkpoint cannot be read", extra={"bytes": len(data)})
    return None


def _written(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        named = {field.name: _written(getattr(value, field.name)) for field in fields(value)}
        return {"is": type(value).__name__} | named
    if isinstance(value, Enum):
        return {"is": type(value).__name__, "value": value.value}
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, tuple):
        return [_written(item) for item in value]
    if isinstance(value, Mapping):
        return {"json": dict(value)}
    return value


def _read(written: Any) -> Any:
    if isinstance(written, list):
        return tuple(_read(item) for item in written)
    if not isinstance(written, dict):
        return written
    if "base64" in written:
        return base64.b64decode(written["base64"], validate=True)
    if "json" in written:
        return written["json"]
    kind = _KINDS[written["is"]]
    if issubclass(kind, Enum):
        return kind(written["value"])
    return kind(**{name: _read(value) for name, value in written.items() if name != "is"})
