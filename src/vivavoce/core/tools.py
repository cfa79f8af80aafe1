"""The ledger of tool calls: every call is answered or cancelled, once.

A call is *blocking* or not by its declaration; where that leaves it open, by the model
family. The blocking calls of a model turn are a batch: the model goes on when all of them
are answered, and an interruption withdraws them. A non-blocking call stays open through
interruptions until its last result, which is taken up as its `scheduling` says:

    SILENT      into the history, nothing more
    WHEN_IDLE   waits until both sides rest, then the model reacts
    INTERRUPT   as WHEN_IDLE, but the model's own answer is interrupted for it

Blocking calls have no scheduling and never continue. An answer to a call that is unknown,
closed, cancelled or already answered changes nothing and is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from vivavoce.domain.content import (
    Behavior,
    Json,
    Scheduling,
    ToolCall,
    ToolDeclaration,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId, IdSource

MAX_OPEN = 128
"""Calls open at once. Beyond it non-blocking ones are forgotten, the oldest first; a model that
asks for more blocking ones is out of its mind, and its call malformed."""

MAX_WAITING = 128
"""Results waiting for rest; beyond it a further one is taken as silent."""

CANCELLED: Json = {"error": "Cancelled: the user interrupted."}
FAILED: Json = {"error": "Cancelled: the answer failed."}
LATE: Json = {"error": "The function did not answer in time."}


class Verdict(Enum):
    """What became of a result."""

    IGNORED = "ignored"
    KEPT = "kept"
    """An answer to a blocking call; others of its batch are still open."""
    UNBLOCKED = "unblocked"
    """The last answer that the batch was waiting for."""
    SILENT = "silent"
    WAITING = "waiting"


@dataclass(slots=True)
class _Open:
    call: ToolCall
    blocking: bool
    deadline: float | None
    result: ToolResult | None = None


class ToolLedger:
    """Open calls in the order of their making, and results that wait for rest."""

    def __init__(self, ids: IdSource, default: Behavior, deadline_s: float) -> None:
        self._ids = ids
        self._default = default
        self._deadline_s = deadline_s
        self._open: dict[CallId, _Open] = {}
        self.waiting: list[ToolResult] = []
        self.urgent = False
        self.ignored = 0

    # --- questions ------------------------------------------------------------------------

    @property
    def blocked(self) -> bool:
        """Whether a blocking call is unanswered."""
        return any(entry.blocking and entry.result is None for entry in self._open.values())

    @property
    def resting(self) -> bool:
        """Whether nothing is open and nothing waits."""
        return not self._open and not self.waiting

    @property
    def open_ids(self) -> tuple[CallId, ...]:
        """The calls that may still be answered."""
        return tuple(id for id, entry in self._open.items() if entry.result is None)

    def deadline(self) -> float | None:
        """When the first blocking call is overdue."""
        return min((d for e in self._open.values() if (d := _due(e)) is not None), default=None)

    # --- calls ----------------------------------------------------------------------------

    def open(self, calls: tuple[ToolCall, ...], tools: Tools, now: float) -> tuple[ToolCall, ...]:
        """Enter calls and give them their names. The caller has checked that they are declared."""
        declared = {function.name: function for function in tools.functions}
        named = tuple(replace(call, id=self._ids.call()) for call in calls)
        for call in named:
            blocking = self.blocks(declared.get(call.name))
            deadline = now + self._deadline_s if blocking and self._deadline_s > 0 else None
            self._open[call.id] = _Open(call, blocking, deadline)
        self._forget_oldest()
        return named

    def blocks(self, declaration: ToolDeclaration | None) -> bool:
        """Whether the conversation waits for this function."""
        behavior = declaration.behavior if declaration else Behavior.UNSPECIFIED
        if behavior is Behavior.UNSPECIFIED:
            behavior = self._default
        return behavior is not Behavior.NON_BLOCKING

    def room_for(self, calls: tuple[ToolCall, ...]) -> bool:
        """Whether so many more calls may be open, were all of them blocking."""
        return sum(entry.blocking for entry in self._open.values()) + len(calls) <= MAX_OPEN

    def _forget_oldest(self) -> None:
        surplus = len(self._open) - MAX_OPEN
        for id in [id for id, entry in self._open.items() if not entry.blocking][: max(0, surplus)]:
            del self._open[id]

    # --- results --------------------------------------------------------------------------

    def answer(self, result: ToolResult) -> tuple[Verdict, ToolResult]:
        """Enter a result; returned with the id and the name of the call it belongs to."""
        entry = self._match(result)
        if entry is None or entry.result is not None:
            self.ignored += 1
            return Verdict.IGNORED, result
        result = replace(result, id=entry.call.id, name=entry.call.name)
        if entry.blocking:
            entry.result = result
            return (Verdict.KEPT if self.blocked else Verdict.UNBLOCKED), result
        if not result.will_continue:
            del self._open[entry.call.id]
        if result.scheduling is Scheduling.SILENT or len(self.waiting) >= MAX_WAITING:
            return Verdict.SILENT, result
        self.waiting.append(result)
        self.urgent = self.urgent or result.scheduling is Scheduling.INTERRUPT
        return Verdict.WAITING, result

    def expire(self, now: float) -> list[ToolResult]:
        """Results that we give ourselves for blocking calls that are overdue."""
        return [
            ToolResult(entry.call.id, entry.call.name, LATE)
            for entry in self._open.values()
            if (due := _due(entry)) is not None and due <= now
        ]

    def take_batch(self, instead: Json = CANCELLED) -> tuple[ToolResult, ...]:
        """Close the blocking calls: their results, and `instead` for those without one."""
        batch = [entry for entry in self._open.values() if entry.blocking]
        for entry in batch:
            del self._open[entry.call.id]
        return tuple(e.result or ToolResult(e.call.id, e.call.name, instead) for e in batch)

    def unanswered(self) -> tuple[CallId, ...]:
        """The blocking calls that nobody has answered yet."""
        return tuple(
            id for id, entry in self._open.items() if entry.blocking and entry.result is None
        )

    def take_waiting(self) -> tuple[ToolResult, ...]:
        """The results that were waiting for rest."""
        waiting, self.waiting, self.urgent = tuple(self.waiting), [], False
        return waiting

    def take_urgent(self) -> tuple[ToolResult, ...]:
        """The same, if one of them does not want to wait for rest."""
        return self.take_waiting() if self.urgent else ()

    def _match(self, result: ToolResult) -> _Open | None:
        if result.id:
            return self._open.get(result.id)
        return next(
            (e for e in self._open.values() if e.call.name == result.name and e.result is None),
            None,
        )


def _due(entry: _Open) -> float | None:
    return entry.deadline if entry.result is None else None
