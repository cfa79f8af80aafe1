"""One tool of an MCP server, as the rest of the house sees it."""

from __future__ import annotations

from vivavoce.domain.content import Json, ServerTool, ToolDeclaration, ToolKind
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.tool_outcome import ToolOutcome
from vivavoce.errors import EngineBusy, ToolError
from vivavoce.tools.mcp.connection import McpConnection
from vivavoce.tools.mcp.listing import RemoteTool
from vivavoce.tools.mcp.results import is_work, outcome_of

TOOL = "mcp"


class McpTool:
    """A `RunnableTool`. `name` is what the model calls it by; the server may call it otherwise."""

    def __init__(self, name: str, remote: RemoteTool, connection: McpConnection) -> None:
        declaration = ToolDeclaration(name, remote.description, remote.parameters)
        self.about = ServerTool(declaration, ToolKind.MCP)
        self._remote = remote
        self._connection = connection

    async def run(self, args: Json, request: GenerationRequest) -> ToolOutcome:
        """Run it once. Raises `ToolError`, also where the server can't be reached."""
        result = await self._connection.call(self._remote.name, args)
        if not is_work(result):
            return outcome_of(result)
        try:
            return await self._connection.workers.run(lambda token: outcome_of(result))
        except EngineBusy:
            raise ToolError(TOOL, "Too many answers of tool servers are being read.") from None
