"""A session written down at a resumable point: transcript and content, no sound."""

from __future__ import annotations

from dataclasses import dataclass, field

from vivavoce.domain.audio import Position
from vivavoce.domain.content import Blob, BuiltinTool, Content, ToolCall, ToolResult, Tools
from vivavoce.domain.ids import SessionId
from vivavoce.domain.setup import SessionSetup

CHECKPOINT_VERSION = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client's setup asked for, before `contextUpdate` changed any of it.

    Tools are as `strip_server_tools` leaves them. A client that comes back and asks for the same
    means the conversation as it stood; what it asks for otherwise counts.
    """

    instruction: str = ""
    tools: Tools = field(default_factory=Tools)

    @classmethod
    def from_setup(cls, setup: SessionSetup) -> Asked:
        """The wishes of a setup."""
        return cls(setup.instruction, strip_server_tools(setup.tools))

    def merge_over(self, before: Asked) -> Asked:
        """These wishes, and where they are silent those from before."""
        silent = self.tools == Tools()
        tools = before.tools if silent else self.tools
        return Asked(self.instruction or before.instruction, tools)


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call that is still open; `left_s` until it is overdue.

    A `blocking` one was left open when its connection ended in the midst of a turn, which waits
    for it; `result` is its answer, where others of the same turn are still waited for.
    """

    call: ToolCall
    left_s: float | None
    blocking: bool = False
    result: ToolResult | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What it takes to continue a conversation on another connection.

    Taken while both sides rest, or when the connection ends: of an answer that was being given it
    then holds what was heard. Tools are as `strip_server_tools` leaves them. `position` is where
    the count of heard samples goes on. `frames` are video frames that wait for a turn, `seeding`
    says that the history is still being seeded, and `spent_s` is how long the session had lasted.
    `consumed` is the index of the last message of the client that is contained, where known; it
    travels with the handle and not with the state.
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
        """Instruction and tools with which a new setup goes on; tools not yet made the server's.

        The new setup counts; where it is silent, or asks for just what was asked for before, the
        conversation's own do, so that what `contextUpdate` changed stays changed.
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
    """What a client asked for, without what the server made of it, and without options.

    Options are not written down: they may hold secrets of the client's.
    """
    return Tools(tools.functions, tuple(BuiltinTool(tool.kind) for tool in tools.builtin))
