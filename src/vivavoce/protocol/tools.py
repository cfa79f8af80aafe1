"""Wire tools as domain tools: declarations checked, schemas in one form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic.alias_generators import to_camel

from vivavoce.domain.content import Behavior, BuiltinTool, Json, ToolDeclaration, Tools
from vivavoce.errors import ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.json_schema import check
from vivavoce.protocol.schema import json_schema
from vivavoce.protocol.wire import OnUnknown
from vivavoce.protocol.wire_base import Wire
from vivavoce.protocol.wire_tools import FunctionDeclaration, Tool

MAX_DECLARATIONS = 512
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")


def tools_of(tools: Sequence[Tool], path: str, report: OnUnknown) -> Tools:
    """All tools of a message, which stand at `path` in it. Raises `ClientFault`."""
    functions: dict[str, ToolDeclaration] = {}
    builtin: list[BuiltinTool] = []
    for index, tool in enumerate(tools):
        for number, wire in enumerate(tool.function_declarations):
            at = f"{path}[{index}].function_declarations[{number}]"
            function = _declaration(wire, at, report)
            if function.name in functions:
                raise close.invalid("Duplicate function declaration found: {}", function.name)
            functions[function.name] = function
        builtin.extend(_builtin(tool))
    if len(functions) > MAX_DECLARATIONS:
        raise close.invalid(
            f"{len(functions)} function declarations; at most {MAX_DECLARATIONS} are allowed."
        )
    return Tools(tuple(functions.values()), tuple(builtin))


def _declaration(wire: FunctionDeclaration, path: str, report: OnUnknown) -> ToolDeclaration:
    if not _NAME.fullmatch(wire.name):
        raise close.invalid(f"Invalid function name at '{path}.name': use {_NAME.pattern}.")
    return ToolDeclaration(
        name=wire.name,
        description=wire.description,
        parameters=_parameters(wire, path, report),
        behavior=Behavior(wire.behavior or "UNSPECIFIED"),
        returns=_returns(wire, path, report),
    )


def _returns(wire: FunctionDeclaration, path: str, report: OnUnknown) -> Json | None:
    """The schema of a function's result, of which nothing is asked but that it is JSON."""
    plain = wire.response_json_schema
    if wire.response is not None:
        converted = json_schema(wire.response, f"{path}.response", report)
        return plain if isinstance(plain, dict) else converted
    return plain if isinstance(plain, dict) else None


def _parameters(wire: FunctionDeclaration, path: str, report: OnUnknown) -> Json | None:
    plain = wire.parameters_json_schema
    if plain is not None and not isinstance(plain, dict):
        raise _not_an_object(path)
    if wire.parameters is None:
        return _checked(plain, wire.name)
    converted = json_schema(wire.parameters, f"{path}.parameters", report)
    if plain is not None:
        return _checked(plain, wire.name)
    if converted.setdefault("type", "object") != "object":
        raise close.invalid(f"Invalid value at '{path}.parameters.type' (TYPE_ENUM): use OBJECT.")
    return _checked(converted, wire.name)


def _checked(schema: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    if schema is not None:
        check(schema, name)
    return schema


def _not_an_object(path: str) -> ClientFault:
    return close.invalid(f"Invalid value at '{path}.parameters_json_schema': use an object.")


def _builtin(tool: Tool) -> Iterator[BuiltinTool]:
    for name in Tool.model_fields:
        if name == "function_declarations" or name not in tool.model_fields_set:
            continue
        kind, value = to_camel(name), getattr(tool, name)
        yield BuiltinTool(kind, {kind: _plain(value)} if isinstance(value, list) else _plain(value))


def _plain(value: Any) -> Any:
    """A wire model as the API's JSON; what was free JSON stays as it is."""
    if isinstance(value, Wire):
        fields = (name for name in type(value).model_fields if name in value.model_fields_set)
        return {to_camel(name): _plain(getattr(value, name)) for name in fields}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
