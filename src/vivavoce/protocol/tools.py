"""Wire models of tools, and their conversion to checked declarations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic.alias_generators import to_camel

from vivavoce.domain.content import Behavior, BuiltinTool, Json, ToolDeclaration, Tools
from vivavoce.protocol import close, lenient
from vivavoce.protocol.base import (
    BEHAVIOR,
    CALLING_MODE,
    NOT_SERVED,
    Duration,
    Flag,
    Int32,
    NotServed,
    Reading,
    Repeated,
    Timestamp,
    Wire,
)
from vivavoce.protocol.content import Ignored
from vivavoce.protocol.schema import check_schema, convert_schema

# --- wire models ---------------------------------------------------------------------------------


class FunctionDeclaration(Wire):
    """Wire model of a function declaration; its schemas stay plain JSON."""

    name: str = ""
    description: str = ""
    parameters: dict[str, Any] | None = None
    parameters_json_schema: Any = None
    response: dict[str, Any] | None = None
    response_json_schema: Any = None
    behavior: Annotated[str, BeforeValidator(BEHAVIOR.read)] = ""

    @classmethod
    def lift(cls, value: Any) -> Any:
        return lenient.respell_function(value)


class Interval(Wire):
    """Wire model of a time interval."""

    start_time: Timestamp | None = None
    end_time: Timestamp | None = None


class GoogleSearch(Wire):
    """Wire model of `googleSearch`, with search types and excluded domains."""

    search_types: Annotated[Ignored | None, NOT_SERVED] = None
    time_range_filter: Interval | None = None
    exclude_domains: Repeated[str] = Field(default_factory=list)
    blocking_confidence: Annotated[Any, NOT_SERVED] = None


class GoogleSearchRetrieval(Wire):
    """Wire model of search by its former name."""

    dynamic_retrieval_config: Annotated[Any, NOT_SERVED] = None


class FileSearch(Wire):
    """Wire model of `fileSearch`; not served."""

    file_search_store_names: Repeated[str] = Field(default_factory=list)
    top_k: Int32 | None = None
    metadata_filter: str = ""


class ComputerUse(Wire):
    """Wire model of `computerUse`; not served."""

    environment: Any = None
    excluded_predefined_functions: Repeated[str] = Field(default_factory=list)
    enable_prompt_injection_detection: Any = None
    disabled_safety_policies: Any = None


class StreamableHttpTransport(Wire):
    """Wire model of an MCP server's URL, headers and timeouts."""

    url: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    timeout: Duration | None = None
    sse_read_timeout: Duration | None = None
    terminate_on_close: Flag = False


class McpServer(Wire):
    """Wire model of an MCP server whose tools the model may use."""

    name: str = ""
    streamable_http_transport: StreamableHttpTransport | None = None


_BY_TOOLS = NotServed(by_tools=True)


class Tool(Wire):
    """Wire model of a tool: normally one field, but several are accepted."""

    function_declarations: Repeated[FunctionDeclaration] = Field(default_factory=list)
    google_search: GoogleSearch | None = None
    google_search_retrieval: GoogleSearchRetrieval | None = None
    code_execution: Ignored | None = None
    url_context: Ignored | None = None
    google_maps: Annotated[Ignored | None, _BY_TOOLS] = None
    file_search: Annotated[FileSearch | None, _BY_TOOLS] = None
    computer_use: Annotated[ComputerUse | None, _BY_TOOLS] = None
    mcp_servers: Repeated[McpServer] = Field(default_factory=list)
    retrieval: Annotated[Ignored | None, _BY_TOOLS] = None
    enterprise_web_search: Annotated[Ignored | None, _BY_TOOLS] = None
    parallel_ai_search: Annotated[Ignored | None, _BY_TOOLS] = None
    exa_ai_search: Annotated[Ignored | None, _BY_TOOLS] = None

    @classmethod
    def lift(cls, value: Any) -> Any:
        return lenient.respell_tool(value)


class FunctionCallingConfig(Wire):
    """Wire model of the mode of function calling."""

    mode: Annotated[
        str, BeforeValidator(CALLING_MODE.read), NotServed(harmless=frozenset({"AUTO", "NONE"}))
    ] = ""
    allowed_function_names: Annotated[Repeated[str], NOT_SERVED] = Field(default_factory=list)


class ToolConfig(Wire):
    """Wire model of `toolConfig`, undocumented for Live, but sent by some clients."""

    function_calling_config: FunctionCallingConfig | None = None
    include_server_side_tool_invocations: Flag = False
    retrieval_config: Annotated[Any, NOT_SERVED] = None


# --- conversion ----------------------------------------------------------------------------------

MAX_DECLARATIONS = 512
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")


def domain_tools(tools: Sequence[Tool], path: str, reading: Reading) -> Tools:
    """Convert the tools at `path` of a message to checked declarations. Raises `ClientFault`."""
    functions: dict[str, ToolDeclaration] = {}
    builtin: list[BuiltinTool] = []
    for index, tool in enumerate(tools):
        for number, wire in enumerate(tool.function_declarations):
            at = f"{path}[{index}].function_declarations[{number}]"
            function = _declaration(wire, at, reading)
            if function.name in functions:
                raise close.invalid("Duplicate function declaration found: {}", function.name)
            functions[function.name] = function
        builtin.extend(_builtin(tool))
    if len(functions) > MAX_DECLARATIONS:
        raise close.invalid(
            f"{len(functions)} function declarations; at most {MAX_DECLARATIONS} are allowed."
        )
    return Tools(tuple(functions.values()), tuple(builtin))


def _declaration(wire: FunctionDeclaration, path: str, reading: Reading) -> ToolDeclaration:
    if not _NAME.fullmatch(wire.name):
        raise close.invalid(f"Invalid function name at '{path}.name': use {_NAME.pattern}.")
    return ToolDeclaration(
        name=wire.name,
        description=wire.description,
        parameters=_parameters(wire, path, reading),
        behavior=Behavior(wire.behavior or "UNSPECIFIED"),
        returns=_returns(wire, path, reading),
    )


def _returns(wire: FunctionDeclaration, path: str, reading: Reading) -> Json | None:
    """Return the schema of a function's result, which need only be JSON."""
    given, other = wire.response, wire.response_json_schema
    plain: Json | None = other if isinstance(other, dict) else None
    if given is None:
        return plain
    converted = convert_schema(given, f"{path}.response", reading)
    return converted if plain is None else _choose("response", converted, plain, path, reading)


def _parameters(wire: FunctionDeclaration, path: str, reading: Reading) -> Json | None:
    given, other = wire.parameters, wire.parameters_json_schema
    if other is not None and not isinstance(other, dict):
        raise close.invalid(f"Invalid value at '{path}.parameters_json_schema': use an object.")
    plain = None if other is None else check_schema(other, wire.name, reading)
    if given is None:
        return plain
    converted: Json = convert_schema(given, f"{path}.parameters", reading)
    if plain is not None:
        return _choose("parameters", converted, plain, path, reading)
    converted = {"type": "object", **converted}
    if converted["type"] != "object":
        raise close.invalid(f"Invalid value at '{path}.parameters.type' (TYPE_ENUM): use OBJECT.")
    return check_schema(converted, wire.name, reading)


def _choose(field: str, converted: Json, plain: Json, path: str, reading: Reading) -> Json:
    """Choose between two schemas of one function; when strict, refuse two that differ."""
    says = {key: value for key, value in converted.items() if key != "type" and value}
    if says and converted != plain:
        if reading.strict:
            raise close.invalid(
                f"Invalid value at '{path}': {field} and {field}_json_schema differ; give one."
            )
        reading.on_mismatch(
            f"{field} and {field}JsonSchema of a function differ: the second counts"
        )
    return plain


def _builtin(tool: Tool) -> Iterator[BuiltinTool]:
    for name in Tool.model_fields:
        if name == "function_declarations" or name not in tool.model_fields_set:
            continue
        kind, value = to_camel(name), getattr(tool, name)
        yield BuiltinTool(kind, {kind: _plain(value)} if isinstance(value, list) else _plain(value))


def _plain(value: Any) -> Any:
    """Dump a wire model as the API's JSON; free-form JSON stays as it is."""
    if isinstance(value, Wire):
        fields = (name for name in type(value).model_fields if name in value.model_fields_set)
        return {to_camel(name): _plain(getattr(value, name)) for name in fields}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
