"""Interfaces of the tools that the server runs, and of the tools of one conversation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vivavoce.domain.content import Json, ServerTool, ToolCall, ToolOutcome, Tools
from vivavoce.domain.request import GenerationRequest


class RunnableTool(Protocol):
    """A tool that the server runs when the model asks for it."""

    spec: ServerTool
    """Its declaration for the model, and its kind."""

    async def run(self, args: Json, request: GenerationRequest) -> ToolOutcome:
        """Run one call. Calls may overlap; cancelling the task stops the work.

        `args` fit the declaration; `request` is the conversation as it was when the model made
        the call. Raises `ToolError`, whose sentence becomes the result for the model.
        """
        ...


class Toolset(Protocol):
    """The tools of one conversation."""

    async def resolve(self, tools: Tools) -> Tools:
        """Return `tools` with those of the server added that its built-in kinds ask for.

        Called for the setup and for every `contextUpdate`; may connect to MCP servers, within a
        bounded time. Raises `ClientFault` for what is refused.
        """
        ...

    async def run(self, call: ToolCall, request: GenerationRequest) -> ToolOutcome:
        """Run a call of one of the server's tools, made in response to `request`.

        Failures of the tool are outcomes; only bugs and cancellation are raised.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections that were made for the conversation."""
        ...


OnUnserved = Callable[[str, str], None]
"""Called with `tool` and the API's name of a kind that is not run here; may raise `ClientFault`."""


class Tooling(Protocol):
    """All tools of the server."""

    def open(self, on_unserved: OnUnserved) -> Toolset:
        """Return the tools of one conversation, before any is resolved."""
        ...
