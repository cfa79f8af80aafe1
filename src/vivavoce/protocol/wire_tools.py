"""Wire models of tools: functions that the client runs, and kinds that a server might."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from vivavoce.protocol import other_apis
from vivavoce.protocol.values import BEHAVIOR, CALLING_MODE, Duration, Flag, Int32, Timestamp
from vivavoce.protocol.wire_base import NOT_SERVED, NotServed, Repeated, Wire
from vivavoce.protocol.wire_content import Ignored


class FunctionDeclaration(Wire):
    """A function. Its schemas stay plain JSON: their keys are partly the user's own words."""

    name: str = ""
    description: str = ""
    parameters: dict[str, Any] | None = None
    parameters_json_schema: Any = None
    response: dict[str, Any] | None = None
    response_json_schema: Any = None
    behavior: Annotated[str, BeforeValidator(BEHAVIOR.read)] = ""

    @classmethod
    def lift(cls, value: Any) -> Any:
        return other_apis.function(value)


class Interval(Wire):
    """A span of time."""

    start_time: Timestamp | None = None
    end_time: Timestamp | None = None


class GoogleSearch(Wire):
    """Search, with what to search for and what to leave out."""

    search_types: Annotated[Ignored | None, NOT_SERVED] = None
    time_range_filter: Interval | None = None
    exclude_domains: Repeated[str] = Field(default_factory=list)
    blocking_confidence: Annotated[Any, NOT_SERVED] = None


class GoogleSearchRetrieval(Wire):
    """Search, as it was called before."""

    dynamic_retrieval_config: Annotated[Any, NOT_SERVED] = None


class FileSearch(Wire):
    """Retrieval from stores of files."""

    file_search_store_names: Repeated[str] = Field(default_factory=list)
    top_k: Int32 | None = None
    metadata_filter: str = ""


class ComputerUse(Wire):
    """Work on a screen."""

    environment: Any = None
    excluded_predefined_functions: Repeated[str] = Field(default_factory=list)
    enable_prompt_injection_detection: Any = None
    disabled_safety_policies: Any = None


class StreamableHttpTransport(Wire):
    """How to reach an MCP server. Header names are the user's own."""

    url: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    timeout: Duration | None = None
    sse_read_timeout: Duration | None = None
    terminate_on_close: Flag = False


class McpServer(Wire):
    """A server whose tools the model may use."""

    name: str = ""
    streamable_http_transport: StreamableHttpTransport | None = None


_BY_TOOLS = NotServed(by_tools=True)


class Tool(Wire):
    """Normally one key, but several are taken."""

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
        return other_apis.tool(value)


class FunctionCallingConfig(Wire):
    """Whether functions may be called, and which."""

    mode: Annotated[
        str, BeforeValidator(CALLING_MODE.read), NotServed(harmless=frozenset({"AUTO", "NONE"}))
    ] = ""
    allowed_function_names: Annotated[Repeated[str], NOT_SERVED] = Field(default_factory=list)


class ToolConfig(Wire):
    """No documented Live field, but some clients send it."""

    function_calling_config: FunctionCallingConfig | None = None
    include_server_side_tool_invocations: Flag = False
    retrieval_config: Annotated[Any, NOT_SERVED] = None
