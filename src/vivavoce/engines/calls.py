"""Whether a model's call is one that was declared.

A call fits when its name was offered and its arguments are an object of plain JSON that the
declaration's schema allows, as far as `engines.validators` looks. Two readings are so common and
so safe that they are mended instead of refused: a whole number written as `10.0` where an
integer is wanted becomes `10`, and a `null` for an argument that is neither required nor may be
null is left out. Nothing else is bent: `"10"` is no number, and defaults are the client's affair.

A schema that no arguments can satisfy makes every call unfit; one that is no schema at all, which
only a tool of the server's own can bring (a client's are refused), lets every call pass.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import orjson
import structlog
from referencing.exceptions import Unresolvable

from vivavoce.domain.content import Json, ToolCall, ToolDeclaration, Tools
from vivavoce.engines.validators import Allowance, Exhausted, errors

_log = structlog.get_logger(__name__)

MAX_BYTES = 65_536
"""Of one call's arguments as JSON. A model that writes more has lost its way."""
MAX_DEPTH = 64
"""The same as for messages: `protocol.reading` refuses what nests deeper."""

_NAMED = 40
_TOLD_ERRORS = 4
_TOLD_SIGNS = 300
_TOLD_SCHEMA = 4000


class Misfit(Exception):  # not of the tree: the model is asked again before it is given up
    """A call that was not declared so. Its text is for the model: what is wrong, what is wanted."""


def check_calls(calls: Iterable[ToolCall], tools: Tools) -> list[ToolCall | Misfit]:
    """Each call as it may be made, or what is wrong with it.

    Takes up to a tenth of a second for all of them together: not for an event loop.
    """
    declared = {tool.name: tool for tool in tools.offered}
    allowance = Allowance()
    checked: list[ToolCall | Misfit] = []
    for call in calls:
        try:
            checked.append(_fitted(call, declared, allowance))
        except Misfit as misfit:
            checked.append(misfit)
    return checked


def _fitted(
    call: ToolCall, declared: Mapping[str, ToolDeclaration], allowance: Allowance
) -> ToolCall:
    """The call as it may be made. Raises `Misfit`."""
    if (tool := declared.get(call.name)) is None:
        raise Misfit(_unknown(call.name, list(declared)))
    if problem := unwieldy(call.args):
        raise Misfit(f"The arguments of {call.name} {problem}.")
    schema = tool.parameters or {}
    args = _mended(call.args, schema)
    if problems := _problems(tool, schema, args, allowance):
        wanted = _cut(json.dumps(schema, ensure_ascii=False), _TOLD_SCHEMA)
        raise Misfit(
            f"The arguments of {call.name} are wrong: {'; '.join(problems)}. "
            f"They must fit this JSON Schema: {wanted}"
        )
    return replace(call, args=args)


def _unknown(name: str, known: list[str]) -> str:
    more = ", …" if len(known) > _NAMED else ""
    listed = f"There are: {', '.join(known[:_NAMED])}{more}." if known else "There are none."
    return f"There is no function {_cut(name, 128)!r}. {listed}"


def unwieldy(args: object) -> str:
    """What keeps arguments from travelling, whatever the schema says; empty if nothing does."""
    if not isinstance(args, dict):
        return "are no object"
    try:
        size = len(orjson.dumps(args))
    except TypeError as problem:
        return f"can't be sent: {problem}"
    if size > MAX_BYTES:
        return f"are {size:,} bytes long; at most {MAX_BYTES:,} are allowed"
    level: list[object] = [args]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inner(outer)]
        if any(isinstance(value, float) and not math.isfinite(value) for value in level):
            return "hold a number that is not finite"
    return f"are nested more than {MAX_DEPTH} levels deep" if level else ""


def _inner(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _mended(value: Any, schema: object) -> Any:
    """See the module. Only where the schema says it plainly: no `$ref`, no `anyOf` is followed."""
    if not isinstance(schema, dict):
        return value
    if isinstance(value, float) and value.is_integer() and schema.get("type") == "integer":
        return int(value)
    if isinstance(value, list):
        return [_mended(item, schema.get("items")) for item in value]
    if not isinstance(value, dict):
        return value
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return value
    needed = required if isinstance(required, list) else ()
    return {
        name: _mended(one, properties.get(name))
        for name, one in value.items()
        if one is not None or name in needed or not _plainly_not_null(properties.get(name))
    }


def _plainly_not_null(schema: object) -> bool:
    return (
        isinstance(schema, dict)
        and isinstance(schema.get("type"), str)
        and schema["type"] != "null"
    )


def _problems(tool: ToolDeclaration, schema: Json, args: object, allowance: Allowance) -> list[str]:
    try:
        found = errors(schema, args, allowance)
        return [_told(error) for error in islice(found, _TOLD_ERRORS)]
    except Exhausted:
        return ["they are too intricate to be checked"]
    except (RecursionError, Unresolvable):
        return ["the schema leads nowhere"]
    except Exception as fault:
        # The library trusts schemas to be well formed.
        _log.warning("schema_unusable", function=tool.name, problem=repr(fault)[:_TOLD_SIGNS])
        return []


def _told(error: Any) -> str:
    where = str(error.json_path).removeprefix("$.")
    place = "" if where == "$" else f"{where}: "
    return place + _cut(str(error.message), _TOLD_SIGNS)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
