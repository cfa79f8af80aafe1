"""Checkpoint of a session from which it can be resumed: transcript and content, no audio."""

from __future__ import annotations

from dataclasses import dataclass, field

from vivavoce.domain.audio import Position
from vivavoce.domain.content import Blob, BuiltinTool, Content, ToolCall, ToolResult, Tools
from vivavoce.domain.ids import SessionId
from vivavoce.domain.setup import SessionSetup

CHECKPOINT_VERSION = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """Instruction and tools of a client's setup, before `contextUpdate` changed them.

    Tools are as `strip_server_tools` returns them. A client that resumes with the same setup
    continues the conversation as it was; with another one, the new setup counts.
    """

    instruction: str = ""
    tools: Tools = field(default_factory=Tools)

    @classmethod
    def from_setup(cls, setup: SessionSetup) -> Asked:
        """Return the instruction and tools of a setup."""
        return cls(setup.instruction, strip_server_tools(setup.tools))

    def merge_over(self, earlier: Asked) -> Asked:
        """Fill what is empty here from an `earlier` setup."""
        silent = self.tools == Tools()
        tools = earlier.tools if silent else self.tools
        return Asked(self.instruction or earlier.instruction, tools)


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A tool call that is still open; `left_s` until it is overdue.

    A `blocking` one was open when its connection ended within a turn, which waits for it; `result`
    is its result, if others of the turn are still missing.
    """

    call: ToolCall
    left_s: float | None
    blocking: bool = False
    result: ToolResult | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State of a conversation, from which another connection continues it.

    Taken while both sides are idle, or when the connection ends; then it holds what was heard of
    the answer in progress. Tools are as `strip_server_tools` returns them. `position` is where the
    audio continues, `frames` are video frames that wait for a turn, `seeding`: the history is still
    being seeded, `spent_s` is how long the session has lasted. `consumed` is the index of the last
    message of the client that is contained, if known; it is stored with the handle, not here.
    """

    session: SessionId
    model: str
    instruction: str
    tools: Tools
    history: tuple[Content, ...]
    position: Position
    asked: Asked = field(default_factory=Asked)
    calls: tuple[OpenCall, ...] = ()
    frames: tuple[tuple[Position, Blob], ...] = ()
    seeding: bool = False
    spent_s: float = 0.0
    consumed: int | None = None
    version: int = CHECKPOINT_VERSION

    def merge_setup(self, setup: SessionSetup) -> tuple[str, Tools]:
        """Return the unresolved instruction and tools with which a new setup resumes.

        The new setup counts. Where it is empty, or equal to the one before, the conversation's own
        do, so that what `contextUpdate` changed stays changed.
        """
        requested = Asked.from_setup(setup)
        keep_instruction = requested.instruction in ("", self.asked.instruction)
        instruction = self.instruction if keep_instruction else setup.instruction
        mine = self.tools
        if requested.tools not in (Tools(), self.asked.tools) or mine == requested.tools:
            return instruction, Tools(setup.tools.functions, setup.tools.builtin)
        given = {tool.kind: tool for tool in setup.tools.builtin}
        builtin = tuple(given.get(tool.kind, tool) for tool in mine.builtin)
        return instruction, Tools(mine.functions, builtin)


def strip_server_tools(tools: Tools) -> Tools:
    """Return a setup's own tools, without the server's functions and without options.

    Options are not stored: they may hold secrets of the client.
    """
    return Tools(tools.functions, tuple(BuiltinTool(tool.kind) for tool in tools.builtin))
