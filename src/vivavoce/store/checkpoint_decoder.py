"""Checkpoints read from bytes: versioned JSON in which every value says what it is.

Objects of the user's own (arguments, results, schemas) are kept as they are, with integers of any
length and unpaired surrogates. A reader that does not know the version, or finds something else
than a checkpoint, gives nothing: the session cannot be continued by this server, and its handle is
as good as any old one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
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


def decode_checkpoint(data: bytes, media: Mapping[str, bytes]) -> Checkpoint | None:
    """The checkpoint that `encoder.py` wrote, or `None` if it cannot be read.

    `media` is what it refers to, by digest.
    """
    try:
        written = json.loads(data)
        if written.get("version") == CHECKPOINT_VERSION:
            read = _read(written, media)
            if not (mismatch := find_mismatch(read, Checkpoint, "checkpoint")):
                return cast(Checkpoint, read)
            log.warning("checkpoint has wrong types", extra={"place": mismatch})
            return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    log.warning("checkpoint cannot be read", extra={"bytes": len(data)})
    return None


def _read(written: Any, media: Mapping[str, bytes]) -> Any:
    if isinstance(written, list):
        return tuple(_read(item, media) for item in written)
    if not isinstance(written, dict):
        return written
    if "media" in written:
        return media[written["media"]]
    if "json" in written:
        return written["json"]
    kind = _KINDS[written["is"]]
    if issubclass(kind, Enum):
        return kind(written["value"])
    return kind(**{name: _read(value, media) for name, value in written.items() if name != "is"})
