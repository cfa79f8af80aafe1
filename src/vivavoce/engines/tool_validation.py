"""Check the calls of a model against their declarations.

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
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice, repeat
from typing import Any

import orjson
from referencing.exceptions import Unresolvable

from vivavoce.domain import parameter_schema
from vivavoce.domain.content import (
    Json,
    ToolCall,
    ToolDeclaration,
    Tools,
)
from vivavoce.domain.parameter_schema import ParameterSchema
from vivavoce.engines.validators import Allowance, Exhausted, errors

# --- checks ------------------------------------------------------------------------------

log = logging.getLogger(__name__)

MAX_BYTES = 65_536
"""Of one call's arguments as JSON. A model that writes more has lost its way."""
MAX_DEPTH = 64
"""The same as for messages: `protocol.json_frames` refuses what nests deeper."""

_NAMED = 40
_TOLD_ERRORS = 4
_TOLD_CHARS = 300
_TOLD_SCHEMA = 4000
_WHOLE = ({"integer"}, {"integer", "null"})


class InvalidCall(Exception):  # not of the tree: the model is asked again before it is given up
    """A call that was not declared so. Its text is for the model: what is wrong, what is wanted."""


def check_calls(calls: Iterable[ToolCall], tools: Tools) -> list[ToolCall | InvalidCall]:
    """Each call as it may be made, or what is wrong with it.

    Takes up to a tenth of a second for all of them together: not for an event loop.
    """
    declared = {tool.name: tool for tool in tools.declarations}
    allowance = Allowance()
    checked: list[ToolCall | InvalidCall] = []
    for call in calls:
        try:
            checked.append(_fitted(call, declared, allowance))
        except InvalidCall as invalid:
            checked.append(invalid)
    return checked


def _fitted(
    call: ToolCall, declared: Mapping[str, ToolDeclaration], allowance: Allowance
) -> ToolCall:
    """The call as it may be made. Raises `InvalidCall`."""
    if (tool := declared.get(call.name)) is None:
        raise InvalidCall(_unknown(call.name, list(declared)))
    if problem := unwieldy(call.args):
        raise InvalidCall(f"The arguments of {call.name} {problem}.")
    schema = tool.parameters or {}
    try:
        args = _mended(call.args, tool.schema, tool.schema.arguments)
    except Exception:  # what is no schema at all can't be read
        args = call.args
    if problems := _problems(tool, schema, args, allowance):
        wanted = _cut(json.dumps(schema, ensure_ascii=False), _TOLD_SCHEMA)
        raise InvalidCall(
            f"The arguments of {call.name} are wrong: {'; '.join(problems)}. "
            f"They must fit this JSON Schema: {wanted}"
        )
    return replace(call, args=args)


def _unknown(name: str, known: list[str]) -> str:
    more = ", …" if len(known) > _NAMED else ""
    listed = f"There are: {', '.join(known[:_NAMED])}{more}." if known else "There are none."
    return f"There is no function {_cut(name, 128)!r}. {listed}"


def unwieldy(args: object) -> str:
    """Return why arguments can't be sent, whatever the schema says; empty if they can."""
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
        if not level:
            return ""
        if any(isinstance(value, float) and not math.isfinite(value) for value in level):
            return "hold a number that is not finite"
    return f"are nested more than {MAX_DEPTH} levels deep"


def _inner(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _mended(value: Any, schema: ParameterSchema, place: object) -> Any:
    """See the module. Only where all readings of the schema agree."""
    readings = schema.readings(place)
    types = {one.get("type") for one in readings}
    if isinstance(value, float) and value.is_integer() and types in _WHOLE:
        return int(value)
    if len(of_kind := [one for one in readings if _is_for(value, one)]) != 1:
        return value
    [plain] = of_kind
    if isinstance(value, list):
        first = plain.get("prefixItems", [])[: len(value)]
        places = [*first, *[plain.get("items", True)] * (len(value) - len(first))]
        return [_mended(*one) for one in zip(value, repeat(schema), places, strict=False)]
    named, needed = parameter_schema.properties(plain), parameter_schema.required(plain)
    return {
        name: _mended(one, schema, named.get(name, True))
        for name, one in value.items()
        if one is not None or name in needed or _may_be_null(schema, named.get(name, True))
    }


def _is_for(value: object, plain: Json) -> bool:
    kind = parameter_schema.kind(plain)
    return isinstance(value, dict if kind == "object" else list if kind == "array" else ())


def _may_be_null(schema: ParameterSchema, place: object) -> bool:
    return any(one.get("type") in (None, "null") for one in schema.readings(place))


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
        problem = repr(fault)[:_TOLD_CHARS]
        log.warning("schema is unusable", extra={"function": tool.name, "problem": problem})
        return []


def _told(error: Any) -> str:
    where = str(error.json_path).removeprefix("$.")
    place = "" if where == "$" else f"{where}: "
    return place + _cut(str(error.message), _TOLD_CHARS)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
