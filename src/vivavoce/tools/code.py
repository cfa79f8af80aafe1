"""Tool `code_execution`: run the Python that the model writes, in a sandbox.

Code that fails is no failure of the tool: the model reads the error, and may write better code.
"""

from __future__ import annotations

from vivavoce.domain.content import Json, ServerTool, ToolDeclaration, ToolKind, ToolOutcome
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.ports import Sandbox
from vivavoce.errors import ToolError

NAME = "code_execution"
TOOL = "code"
MAX_CODE = 32 * 1024
"""Bytes of UTF-8: the size of a long module written by hand."""

_DESCRIPTION = (
    "Runs a Python program and returns what it prints, or the value of its last line. Use it to"
    " calculate, to count, and for dates and texts. It has no network, no files and no input, and"
    " keeps nothing from one program to the next."
)
_PARAMETERS: Json = {
    "type": "object",
    "properties": {"code": {"type": "string", "description": "The whole Python program."}},
    "required": ["code"],
}


class CodeTool:
    """Runs code for one conversation, in the sandbox that all conversations share."""

    def __init__(self, sandbox: Sandbox) -> None:
        description = f"{_DESCRIPTION} {sandbox.abilities}".strip()
        self.spec = ServerTool(ToolDeclaration(NAME, description, _PARAMETERS), ToolKind.CODE)
        self._sandbox = sandbox

    async def run(self, args: Json, request: GenerationRequest) -> ToolOutcome:
        """Run `args["code"]`. Raises `ToolError` if there is none, and what the sandbox raises."""
        code = args.get("code")
        if not isinstance(code, str) or not code.strip():
            raise ToolError(TOOL, "There was no code to run.")
        if (size := len(code.encode(errors="replace"))) > MAX_CODE:
            raise ToolError(TOOL, f"The code has {size} bytes, and may have {MAX_CODE}.")
        result = await self._sandbox.run(code)
        return ToolOutcome({"outcome": result.outcome, "output": result.output}, code=result)
