"""How a client is told that what it declares is no JSON Schema that may be worked with.

What that is, `domain.json_schema` says. The reason names the function, the place and what is
wrong there. A schema longer than `MAX_BYTES` is refused as well.
"""

from __future__ import annotations

import orjson

from vivavoce.domain.content import Json
from vivavoce.domain.json_schema import TOO_DEEP, SchemaFault, find_fault
from vivavoce.domain.schema_drafts import with_draft_mended
from vivavoce.errors import ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.wire_base import OnMismatch

MAX_BYTES = 65_536
"""Of one schema as JSON."""

_NAME_SHOWN, _PLACE_SHOWN = 32, 40


def checked(schema: Json, name: str, on_mismatch: OnMismatch | None = None) -> Json:
    """Return the schema of the function called `name`. Raises `ClientFault`.

    With `on_mismatch`, which a lenient reader has, one of mixed drafts is read by its meaning.
    """
    if on_mismatch is not None:
        schema = with_draft_mended(schema, on_mismatch)
    check(schema, name)
    return schema


def check(schema: Json, name: str) -> None:
    """Hold the schema of the function called `name` to its draft. Raises `ClientFault`."""
    try:
        size = len(orjson.dumps(schema))
    except orjson.JSONEncodeError:
        # What was read from JSON can be written again, unless it is deeper than is written.
        raise _refused(name, TOO_DEEP) from None
    if size > MAX_BYTES:
        raise _refused(name, SchemaFault((), f"{size:,} bytes; at most {MAX_BYTES:,}."))
    if (fault := find_fault(schema)) is not None:
        raise _refused(name, fault)


def _refused(name: str, fault: SchemaFault) -> ClientFault:
    """A sentence in which the parts that clients choose leave room for what is wrong."""
    where = fault.pointer
    if len(where) > _PLACE_SHOWN:
        where = f"…{where[-_PLACE_SHOWN:]}"
    function = name if len(name) <= _NAME_SHOWN else f"{name[:_NAME_SHOWN]}…"
    return close.invalid("Invalid schema of {} at '{}': {}", function, where, fault.problem)
