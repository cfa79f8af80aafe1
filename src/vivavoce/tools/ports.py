"""One tool of the server's, whatever it does; and the tools of one conversation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vivavoce.domain.content import Json, ServerTool, ToolCall, ToolOutcome, Tools
from vivavoce.domain.request import GenerationRequest


class RunnableTool(Protocol):
    """A tool that the server runs when the model asks for it."""

    about: ServerTool
    """What the model is told of it, and what kind of tool it is."""

    async def run(self, args: Json, request: GenerationRequest) -> ToolOutcome:
        """Run it once. Called from several turns at once; cancelling the task stops the work.

        `args` fit the declaration; `request` is the conversation as it was when the model made
        the call. Raises `ToolError`, whose sentence the model is told.
        """
        ...


class Toolset(Protocol):
    """The tools of one conversation."""

    async def resolve(self, tools: Tools) -> Tools:
        """`tools` with those of the server filled in that its built-in kinds ask for.

        Called for the setup and for every `contextUpdate`; may connect to MCP servers, within a
        bounded time. Raises `ClientFault` for what is refused.
        """
        ...

    async def run(self, call: ToolCall, request: GenerationRequest) -> ToolOutcome:
        """Run a call of one of the server's tools; `request` is what it was made from.

        Failures of the tool are outcomes; only bugs and cancellation are raised.
        """
        ...

    async def aclose(self) -> None:
        """The conversation is over: connections that were made for it are closed."""
        ...


OnUnserved = Callable[[str, str], None]
"""Told `tool` and the API's name of a kind that nothing here runs; may raise `ClientFault`."""


class Tooling(Protocol):
    """All tools of the server; gives each conversation its own."""

    def open(self, on_unserved: OnUnserved) -> Toolset:
        """The tools of one conversation, none of which has been asked for yet."""
        ...
