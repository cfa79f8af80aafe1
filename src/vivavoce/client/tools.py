"""Python functions as tools: declared by their annotations, called for the model."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vivavoce.domain.content import Json, ToolCall, ToolDeclaration, ToolResult
from vivavoce.errors import ConfigError

JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array",
              dict: "object"}  # fmt: skip


class ToolModule:
    """Functions that are declared to the server and answer its calls."""

    def __init__(self, functions: Sequence[Callable[..., Any]] = ()) -> None:
        self._functions = {function.__name__: function for function in functions}
        self.declarations = tuple(declare_function(function) for function in functions)

    @classmethod
    def load_file(cls, path: Path) -> ToolModule:
        """Load the public functions that a Python file defines. Raises `ConfigError`."""
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise ConfigError(f"{path} is not a Python file.", "Name a module, such as tools.py.")
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".rstrip(".: ")
            raise ConfigError(
                f"{path} can't be imported: {reason}.", "Correct it first."
            ) from error
        functions = [
            value
            for name, value in vars(module).items()
            if inspect.isfunction(value)
            and value.__module__ == module.__name__
            and not name.startswith("_")
        ]
        if not functions:
            raise ConfigError(f"{path} defines no public function.", "Define at least one.")
        return cls(functions)

    async def answer_calls(self, calls: Sequence[ToolCall]) -> list[ToolResult]:
        """Run the functions concurrently; a failure becomes the result `{"error": …}`."""
        return list(await asyncio.gather(*(self._run_call(call) for call in calls)))

    async def _run_call(self, call: ToolCall) -> ToolResult:
        function = self._functions.get(call.name)
        response: Json
        if function is None:
            response = {"error": f"There is no function {call.name}."}
        else:
            try:
                if inspect.iscoroutinefunction(function):
                    value = await function(**call.args)
                else:
                    value = await asyncio.to_thread(function, **call.args)
                response = value if isinstance(value, dict) else {"result": value}
            except Exception as error:  # of the user's own code, for the model
                response = {"error": str(error) or type(error).__name__}
        return ToolResult(call.id, call.name, response)


def declare_function(function: Callable[..., Any]) -> ToolDeclaration:
    """Declare a function by its name, docstring and annotations."""
    hints = typing.get_type_hints(function)
    parameters = inspect.signature(function).parameters
    schema: Json | None = None
    if parameters:
        schema = {
            "type": "object",
            "properties": {name: _parameter_schema(hints.get(name, str)) for name in parameters},
            "required": [n for n, p in parameters.items() if p.default is inspect.Parameter.empty],
        }
    return ToolDeclaration(function.__name__, inspect.getdoc(function) or "", schema)


def _parameter_schema(hint: Any) -> dict[str, Any]:
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return {"type": "string", "enum": list(typing.get_args(hint))}
    if origin is list:
        items = typing.get_args(hint) or (str,)
        return {"type": "array", "items": _parameter_schema(items[0])}
    return {"type": JSON_TYPES.get(origin or hint, "string")}
