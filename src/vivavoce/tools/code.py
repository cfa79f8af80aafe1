"""The tool `code_execution`: the model writes Python, a sandbox runs it."""

from __future__ import annotations

from vivavoce.domain.content import Json, ServerTool, ToolDeclaration, ToolKind
from vivavoce.domain.evidence import Outcome
from vivavoce.engines.tool_ports import Sandbox
from vivavoce.errors import ToolError

NAME = "code_execution"
MAX_CODE = 32 * 1024

_DESCRIPTION = (
    "Runs Python code and returns what it printed. Use it to calculate. There is no network and"
    " there are no files; print what you want to know."
)
_PARAMETERS: Json = {
    "type": "object",
    "properties": {"code": {"type": "string", "description": "A whole Python program."}},
    "required": ["code"],
}


class CodeTool:
    """Runs code for one conversation, in a sandbox that all share."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.about = ServerTool(ToolDeclaration(NAME, _DESCRIPTION, _PARAMETERS), ToolKind.CODE)
        self._sandbox = sandbox

    async def run(self, args: Json) -> Outcome:
        """Run `args["code"]`. Raises `ToolError`."""
        code = args.get("code")
        if not isinstance(code, str) or not code.strip():
            raise ToolError("code", "There was no code to run.")
        if len(code.encode()) > MAX_CODE:
            raise ToolError("code", f"The code is longer than {MAX_CODE} bytes.")
        result = await self._sandbox.run(code)
        return Outcome({"outcome": result.outcome, "output": result.output}, code=result)
