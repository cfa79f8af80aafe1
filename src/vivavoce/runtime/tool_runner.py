"""Run the server's tools for one conversation.

A tool gets the snapshot of the conversation that its call was made from. Whatever it does, the core
learns exactly once what came of it, unless it has stopped the call; a tool's bug is a failed call,
never a dead session.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from vivavoce.core.events import ContextUpdated, Event, ToolRan
from vivavoce.domain.content import BuiltinTool, ToolCall, ToolOutcome, Tools
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.serialization import find_mismatch
from vivavoce.runtime.tasks import EngineTasks, is_end
from vivavoce.tools.ports import OnUnserved, Toolset

log = logging.getLogger(__name__)

BROKEN = "The tool broke down."


class NoTools:
    """Toolset of a server that runs no tools itself: every tool is reported as unserved."""

    def __init__(self, on_unserved: OnUnserved = lambda kind, name: None) -> None:
        self._on_unserved = on_unserved

    async def resolve(self, tools: Tools) -> Tools:
        for tool in tools.builtin:
            self._on_unserved("tool", tool.kind)
        # Options are not kept: they may hold a client's secrets.
        return replace(tools, builtin=tuple(BuiltinTool(tool.kind) for tool in tools.builtin))

    async def run(self, call: ToolCall, request: GenerationRequest) -> ToolOutcome:
        raise LookupError(call.name)

    async def aclose(self) -> None:
        return None


class ToolRunner:
    """Runner of the server-side tool calls of one conversation."""

    def __init__(self, toolset: Toolset, tasks: EngineTasks, post: Callable[[Event], None]) -> None:
        self.toolset = toolset
        self._tasks = tasks
        self._post = post
        self._running: dict[CallId, asyncio.Task[None]] = {}
        self._request: GenerationRequest | None = None

    async def resolve_update(self, update: ContextUpdated) -> ContextUpdated:
        """Resolve the tools of a `contextUpdate`; later input waits. Raises `ClientFault`."""
        if update.tools is None:
            return update
        return replace(update, tools=await self.toolset.resolve(update.tools))

    def note_request(self, request: GenerationRequest) -> None:
        """Remember the request of a generation, for the calls that follow."""
        self._request = request

    def start_call(self, call: ToolCall) -> None:
        """Start a call; post `ToolRan` when it ends."""
        assert self._request is not None, "calls come from generations"
        work = self._run(call, self._request)
        self._running[call.id] = self._tasks.start_task(f"tool {call.name}", work)

    def stop_call(self, call: CallId) -> None:
        """Cancel a call."""
        if (task := self._running.pop(call, None)) is not None:
            self._tasks.cancel_task(task)

    def close(self) -> None:
        """Cancel all calls."""
        for call in tuple(self._running):
            self.stop_call(call)

    async def _run(self, call: ToolCall, request: GenerationRequest) -> None:
        try:
            outcome = await self.toolset.run(call, request)
            if mismatch := find_mismatch(outcome, ToolOutcome, "outcome"):
                raise TypeError(mismatch)
        except BaseException as failure:
            if is_end(failure):
                raise
            log.exception("tool broke down", extra={"tool": call.name})
            outcome = ToolOutcome({"error": BROKEN}, failed=BROKEN)
        if self._running.pop(call.id, None) is not None:
            self._post(ToolRan(call.id, outcome))
