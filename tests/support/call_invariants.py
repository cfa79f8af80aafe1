"""Check the invariants of tool calls: of the client's functions and of the server's tools.

It reads the same events and effects as the oracle that it belongs to, and is asked by it who is
waited for. A call is named by what was seen of it: a `toolCall` makes it the client's, a `RunTool`
the server's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vivavoce.core.effects import Effect, RunTool, StopTool
from vivavoce.core.events import ContentReceived, Event, ToolRan, ToolResponsesReceived
from vivavoce.core.messages import (
    Grounding,
    Message,
    ModelCode,
    ModelCodeResult,
    ServerCall,
    ServerResponse,
    ToolCallCancellation,
    ToolCallRequest,
    UrlContext,
)
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.content import Behavior, ToolCall, ToolResult, Tools
from vivavoce.domain.ids import CallId
from vivavoce.domain.model_family import FamilyBehavior
from vivavoce.domain.setup import SessionSetup

SERVED = (ModelCode, ModelCodeResult, ServerCall, ServerResponse, UrlContext)
"""What a client is told of the server's tools while a turn goes on."""

ASKED = (ModelCode, ServerCall)


@dataclass
class _ClientCall:
    """A call that the client was asked for."""

    name: str
    blocking: bool
    due: float | None
    level: int
    open: bool = True


@dataclass
class _ServerCall:
    """A run of one of the server's tools: running, then ran, late or stopped."""

    due: float
    level: int
    state: str = "running"


@dataclass
class CallInvariants:
    """`expect(holds, rule)` raises where a rule does not hold."""

    setup: SessionSetup
    behavior: FamilyBehavior
    settings: SessionSettings
    expect: Callable[[bool, str], None]
    theirs: dict[CallId, _ClientCall] = field(default_factory=dict)
    ours: dict[CallId, _ServerCall] = field(default_factory=dict)
    shown: set[tuple[CallId, type[Message]]] = field(default_factory=set)
    level: int = 0
    """How many answers are given while calls of earlier ones are open."""
    ignored: bool = False
    """Whether what has just happened was an answer that nobody waits for."""

    @property
    def unanswered(self) -> bool:
        """Whether the client owes an answer that the conversation waits for."""
        return any(call.open and call.blocking for call in self.theirs.values())

    @property
    def unanswered_here(self) -> bool:
        """Whether it owes one that the answer which is given now waits for."""
        owed = (call for call in self.theirs.values() if call.open and call.blocking)
        return any(call.level == self.level for call in owed)

    @property
    def waiting(self) -> bool:
        """Whether the conversation waits for anybody."""
        return self.unanswered or any(run.state == "running" for run in self.ours.values())

    @property
    def waiting_here(self) -> bool:
        """Whether the answer that is given now waits for a call."""
        running = (run for run in self.ours.values() if run.state == "running")
        return self.unanswered_here or any(run.level == self.level for run in running)

    # --- before the effects of a step -----------------------------------------------------

    def before(self, event: Event | None, now: float) -> None:
        """What happened, as far as it concerns calls."""
        self.ignored = False
        match event:
            case None:
                self._overdue(now)
            case ToolResponsesReceived(results):
                taken = [self._answered(result, now) for result in results]
                self.ignored = not any(taken)
            case ContentReceived(turns):
                for part in (part for turn in turns for part in turn.parts):
                    if isinstance(part, ToolResult) and part.id:
                        self._answered(part, now)
            case ToolRan(id, _):
                run = self.ours.get(id)
                self.ignored = run is None or run.state != "running"
                if run is not None and run.state == "running":
                    run.state = "ran"
            case _:
                pass

    def _overdue(self, now: float) -> None:
        """Calls that took too long are answered by the core itself."""
        for call in self.theirs.values():
            if call.open and call.due is not None and now >= call.due:
                call.open = False
        for run in self.ours.values():
            if run.state == "running" and now >= run.due:
                run.state = "late"

    def _answered(self, result: ToolResult, now: float) -> bool:
        """Whether the client's answer is one that is waited for."""
        id = result.id or next(
            (id for id, call in self.theirs.items() if call.open and call.name == result.name),
            CallId(""),
        )
        call = self.theirs.get(id)
        if call is None or not call.open:
            return False
        if call.blocking or not result.will_continue:
            call.open = False
        else:
            call.due = self._due(call.blocking, now)
        return True

    # --- effects --------------------------------------------------------------------------

    def effect(self, effect: Effect, now: float) -> None:
        """A tool is started or stopped."""
        match effect:
            case RunTool(call, _):
                self.expect(self._new(call), "every call has its own id")
                self.ours[call.id] = _ServerCall(
                    now + self.settings.server_tool_deadline_s, self.level
                )
            case StopTool(id):
                run = self.ours.get(id)
                stoppable = run is not None and run.state in ("running", "late")
                self.expect(stoppable, "only what runs is stopped, once")
                assert run is not None
                run.state = "stopped" if run.state == "running" else "stopped late"
            case _:
                pass

    def asked(self, message: ToolCallRequest, tools: Tools, now: float) -> bool:
        """The client is asked; whether the conversation waits for it."""
        self.expect(bool(message.calls), "a toolCall asks for something")
        blocks = False
        for call in message.calls:
            self.expect(self._new(call), "every call has its own id")
            blocking = self._blocks(call.name, tools)
            due = self._due(blocking, now)
            self.theirs[call.id] = _ClientCall(call.name, blocking, due, self.level)
            blocks = blocks or blocking
        return blocks

    def withdrawn(self, message: ToolCallCancellation) -> None:
        """Calls are withdrawn."""
        for id in message.ids:
            self.expect(id not in self.ours, "the server's own calls are not withdrawn")
            call = self.theirs.get(id)
            open_and_blocking = call is not None and call.open and call.blocking
            self.expect(open_and_blocking, "only open blocking calls are withdrawn")
            assert call is not None
            call.open = False

    def served(self, message: Message) -> None:
        """The client is told something of the server's tools."""
        if not isinstance(message, (ModelCode, ModelCodeResult, ServerCall, ServerResponse)):
            return
        shown = isinstance(message, (ServerCall, ServerResponse))
        self.expect(self.setup.shows_server_calls or not shown, "calls are shown if asked for")
        id = message.call.id if isinstance(message, (ServerCall, ServerResponse)) else message.id
        self.expect((id, type(message)) not in self.shown, "everything is told once")
        self.shown.add((id, type(message)))
        run = self.ours.get(id)
        if not isinstance(message, ASKED):
            ended = run is not None and run.state in ("ran", "stopped late")
            self.expect(ended, "nothing is told of what runs, or was stopped")

    def over(self) -> None:
        """The conversation is over."""
        running = [run for run in self.ours.values() if run.state in ("running", "late")]
        self.expect(not running, "no tool runs on after the end")

    def _new(self, call: ToolCall) -> bool:
        return bool(call.id) and call.id not in self.theirs and call.id not in self.ours

    def _due(self, blocking: bool, now: float) -> float | None:
        settings = self.settings
        interrupts = self.setup.realtime.interrupts
        wait_s = settings.tool_deadline(interrupts) if blocking else settings.tool_deadline_s
        return now + wait_s if wait_s > 0 else None

    def _blocks(self, name: str, tools: Tools) -> bool:
        self.expect(
            tools.find_server_tool(name) is None, "clients are not asked for the server's tools"
        )
        declared = [function for function in tools.functions if function.name == name]
        self.expect(bool(declared), "only what was offered is called")
        behavior = declared[0].behavior
        if behavior is Behavior.UNSPECIFIED:
            behavior = self.behavior.function_behavior
        return behavior is not Behavior.NON_BLOCKING


def delimits(message: Grounding, words: str) -> bool:
    """Whether the offsets of all supports stand for their text in the words of the turn."""
    written = words.encode()
    return all(
        written[support.start : support.end] == support.text.encode()
        and all(0 <= place < len(message.sources) for place in support.sources)
        for support in message.supports
    )
