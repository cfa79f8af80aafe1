"""Wire tools as domain tools: declarations checked, schemas in one form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic.alias_generators import to_camel

from vivavoce.domain.content import Behavior, BuiltinTool, Json, ToolDeclaration, Tools
from vivavoce.protocol import close
from vivavoce.protocol.json_schema import checked
from vivavoce.protocol.schema import json_schema
from vivavoce.protocol.wire import OnUnknown
from vivavoce.protocol.wire_base import OnMismatch, Wire
from vivavoce.protocol.wire_tools import FunctionDeclaration, Tool

MAX_DECLARATIONS = 512
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")


def tools_of(
    tools: Sequence[Tool],
    path: str,
    report: OnUnknown,
    on_mismatch: OnMismatch | None = None,
) -> Tools:
    """All tools of a message, which stand at `path` in it. Raises `ClientFault`.

    A lenient reader gives `on_mismatch`, which gets to know how schemas are read.
    """
    reader = _Functions(report, on_mismatch)
    functions: dict[str, ToolDeclaration] = {}
    builtin: list[BuiltinTool] = []
    for index, tool in enumerate(tools):
        for number, wire in enumerate(tool.function_declarations):
            at = f"{path}[{index}].function_declarations[{number}]"
            function = reader.declaration(wire, at)
            if function.name in functions:
                raise close.invalid("Duplicate function declaration found: {}", function.name)
            functions[function.name] = function
        builtin.extend(_builtin(tool))
    if len(functions) > MAX_DECLARATIONS:
        raise close.invalid(
            f"{len(functions)} function declarations; at most {MAX_DECLARATIONS} are allowed."
        )
    return Tools(tuple(functions.values()), tuple(builtin))


class _Functions:
    """Reads declarations, each at its path."""

    def __init__(self, report: OnUnknown, on_mismatch: OnMismatch | None) -> None:
        self._report = report
        self._on_mismatch = on_mismatch

    def declaration(self, wire: FunctionDeclaration, path: str) -> ToolDeclaration:
        """The function that is declared. Raises `ClientFault`."""
        if not _NAME.fullmatch(wire.name):
            raise close.invalid(f"Invalid function name at '{path}.name': use {_NAME.pattern}.")
        return ToolDeclaration(
            name=wire.name,
            description=wire.description,
            parameters=self._parameters(wire, path),
            behavior=Behavior(wire.behavior or "UNSPECIFIED"),
            returns=self._returns(wire, path),
        )

    def _returns(self, wire: FunctionDeclaration, path: str) -> Json | None:
        """The schema of a function's result, of which nothing is asked but that it is JSON."""
        given, other = wire.response, wire.response_json_schema
        plain: Json | None = other if isinstance(other, dict) else None
        if given is None:
            return plain
        converted = json_schema(given, f"{path}.response", self._report, self._on_mismatch)
        if plain is None:
            return converted
        self._insist_on_one("response", converted, plain, path)
        return plain

    def _parameters(self, wire: FunctionDeclaration, path: str) -> Json | None:
        given, other = wire.parameters, wire.parameters_json_schema
        if other is not None and not isinstance(other, dict):
            raise close.invalid(f"Invalid value at '{path}.parameters_json_schema': use an object.")
        plain: Json | None = None
        if other is not None:
            plain = checked(other, wire.name, self._on_mismatch)
        if given is None:
            return plain
        converted: Json = json_schema(given, f"{path}.parameters", self._report, self._on_mismatch)
        if plain is not None:
            self._insist_on_one("parameters", converted, plain, path)
            return plain
        converted = {"type": "object", **converted}
        if converted["type"] != "object":
            raise close.invalid(
                f"Invalid value at '{path}.parameters.type' (TYPE_ENUM): use OBJECT."
            )
        return checked(converted, wire.name, self._on_mismatch)

    def _insist_on_one(self, field: str, converted: Json, plain: Json, path: str) -> None:
        """Report two schemas in two fields that are not the same; refuse them when strict."""
        says = {key: value for key, value in converted.items() if key != "type" and value}
        if not says or converted == plain:
            return
        if self._on_mismatch is None:
            raise close.invalid(
                f"Invalid value at '{path}': {field} and {field}_json_schema differ; give one."
            )
        self._on_mismatch(f"{field} and {field}JsonSchema of a function differ: the second counts")


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
