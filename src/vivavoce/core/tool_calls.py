"""Tool ledger: match results to open tool calls, so that each is answered or canceled once.

A call is of a *server tool*, or the client's. Server tools always block; calls of the client block
as their declaration says or, if that leaves it open, the model family. The blocking calls of one
answer are a batch: the model continues when all have results, and an interruption withdraws them.
An answer given while a batch is open makes a batch of its own, which is closed first. Non-blocking
calls stay open through interruptions until their last result, which is processed by `scheduling`:

    SILENT      added to the history, nothing more
    WHEN_IDLE   waits until both sides are idle; then the model answers it
    INTERRUPT   as WHEN_IDLE, but interrupts the model's answer

Blocking calls have no scheduling and never continue. A result for a call that is unknown, closed,
canceled, already answered or of the server is ignored; `problems` says why.

An overdue blocking call is answered with an error in the client's place, and its turn continues. So
is an overdue non-blocking call, whose time starts again with every result that continues: the model
answers when both sides are idle, and the call is closed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from vivavoce.core.effects import ReportMismatch
from vivavoce.domain.checkpoint import OpenCall
from vivavoce.domain.content import (
    Behavior,
    Blob,
    FileRef,
    Json,
    Scheduling,
    ServerTool,
    ToolCall,
    ToolDeclaration,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId, IdSource
from vivavoce.domain.text import loggable_name

MAX_OPEN_CALLS = 128
"""Calls open at once. Above it the oldest non-blocking ones are closed; an answer with more
blocking ones is malformed."""

MAX_CLOSED_CALLS = 1024
"""Closed calls that are remembered, to say why a late result is ignored."""

INVALID, NOT_FOUND = 1007, 1008
"""Close codes of a strict server."""

MAX_WAITING_RESULTS = 128
"""Results that wait until both sides are idle; further ones are SILENT."""

CANCELLED: Json = {"error": "Cancelled: the user interrupted."}
FAILED: Json = {"error": "Cancelled: the answer failed."}
LATE: Json = {"error": "The function did not answer in time."}


@dataclass(frozen=True, slots=True)
class ToolTimeouts:
    """Seconds until a call is overdue, by its kind; 0 is never."""

    blocking_s: float = 0.0
    non_blocking_s: float = 0.0
    server_tools_s: float = 0.0


class ResultStatus(Enum):
    """Outcome of entering a tool result."""

    IGNORED = "ignored"
    KEPT = "kept"
    """It answers a blocking call; others of its batch are still open."""
    UNBLOCKED = "unblocked"
    """It is the last result of its batch."""
    SILENT = "silent"
    WAITING = "waiting"


@dataclass(slots=True)
class _OpenCall:
    call: ToolCall
    server_tool: ServerTool | None
    blocking: bool
    deadline: float | None
    result: ToolResult | None = None
    batch: int = 0


class ToolLedger:
    """Open calls, oldest first, and results that wait until both sides are idle."""

    def __init__(self, ids: IdSource, default: Behavior, timeouts: ToolTimeouts) -> None:
        self._ids = ids
        self._default = default
        self._timeouts = timeouts
        self._open: dict[CallId, _OpenCall] = {}
        self.waiting: list[ToolResult] = []
        self.urgent = False
        self.problems: list[ReportMismatch] = []
        self._closed: dict[CallId, tuple[str, bool]] = {}
        self._late: set[CallId] = set()
        self._batch = 0

    # --- questions ------------------------------------------------------------------------

    @property
    def blocked(self) -> bool:
        """True if a call of the newest batch is unanswered."""
        return any(entry.result is None for entry in self._newest())

    @property
    def waits(self) -> bool:
        """True if a batch is open: unanswered, or answered and not yet taken."""
        return bool(self._open) and any(entry.blocking for entry in self._open.values())

    @property
    def idle(self) -> bool:
        """True if no result waits and no batch is open."""
        return not self.waiting and not self.waits

    def snapshot(self, now: float) -> tuple[OpenCall, ...]:
        """Return the open calls for a checkpoint."""
        return tuple(
            OpenCall(
                entry.call,
                None if entry.deadline is None else entry.deadline - now,
                entry.blocking,
                entry.result,
            )
            for entry in self._open.values()
        )

    def restore(self, calls: Iterable[OpenCall], now: float) -> None:
        """Enter the calls of a checkpoint, under their old ids."""
        for each in calls:
            deadline = None if each.left_s is None else now + each.left_s
            self._open[each.call.id] = _OpenCall(
                each.call, None, each.blocking, deadline, each.result
            )

    @property
    def open_ids(self) -> tuple[CallId, ...]:
        """Ids of the calls that may still be answered."""
        return tuple(id for id, entry in self._open.items() if entry.result is None)

    def deadline(self) -> float | None:
        """Return the time at which the first call is overdue."""
        return min((d for e in self._open.values() if (d := _due(e)) is not None), default=None)

    # --- calls ----------------------------------------------------------------------------

    def begin_batch(self) -> None:
        """Begin a batch, which is closed before those that are open."""
        self._batch += 1

    def open_calls(
        self, calls: tuple[ToolCall, ...], tools: Tools, now: float
    ) -> tuple[ToolCall, ...]:
        """Enter the model's calls of declared functions; return them with new ids."""
        declared = {function.name: function for function in tools.functions}
        named = tuple(replace(call, id=self._ids.call()) for call in calls)
        for call in named:
            server_tool = None if call.name in declared else tools.find_server_tool(call.name)
            blocking = server_tool is not None or self.blocks(declared.get(call.name))
            entry = _OpenCall(call, server_tool, blocking, None, batch=self._batch)
            entry.deadline = self._overdue_at(entry, now)
            self._open[call.id] = entry
        self._close_oldest()
        return named

    def _overdue_at(self, entry: _OpenCall, now: float) -> float | None:
        timeouts = self._timeouts
        if entry.server_tool is not None:
            wait_s = timeouts.server_tools_s
        else:
            wait_s = timeouts.blocking_s if entry.blocking else timeouts.non_blocking_s
        return now + wait_s if wait_s > 0 else None

    def blocks(self, declaration: ToolDeclaration | None) -> bool:
        """Return whether calls of this function block."""
        behavior = declaration.behavior if declaration else Behavior.UNSPECIFIED
        if behavior is Behavior.UNSPECIFIED:
            behavior = self._default
        return behavior is not Behavior.NON_BLOCKING

    def room_for(self, calls: tuple[ToolCall, ...]) -> bool:
        """Return whether this many more blocking calls may be open."""
        return sum(entry.blocking for entry in self._open.values()) + len(calls) <= MAX_OPEN_CALLS

    def _close_oldest(self) -> None:
        surplus = len(self._open) - MAX_OPEN_CALLS
        oldest = [entry for entry in self._open.values() if not entry.blocking]
        for entry in oldest[: max(0, surplus)]:
            self._close_call(entry, answered=False)

    # --- results --------------------------------------------------------------------------

    def add_result(self, result: ToolResult, now: float) -> tuple[ResultStatus, ToolResult]:
        """Enter a client's result; return it with the id and name of its call."""
        entry = self._match(result)
        if entry is None or entry.result is not None or entry.server_tool is not None:
            self.problems.append(self._problem(result, entry))
            return ResultStatus.IGNORED, result
        self._check(result, entry)
        result = replace(result, id=entry.call.id, name=entry.call.name)
        if entry.blocking:
            entry.result = result
            return (ResultStatus.KEPT if self.blocked else ResultStatus.UNBLOCKED), result
        if result.will_continue:
            entry.deadline = self._overdue_at(entry, now)
        else:
            self._close_call(entry, answered=True)
        if len(self.waiting) >= MAX_WAITING_RESULTS:
            self.problems.append(ReportMismatch("too many results wait: one is only remembered"))
        if result.scheduling is Scheduling.SILENT or len(self.waiting) >= MAX_WAITING_RESULTS:
            return ResultStatus.SILENT, result
        self.waiting.append(result)
        self.urgent = self.urgent or result.scheduling is Scheduling.INTERRUPT
        return ResultStatus.WAITING, result

    def add_outcome(
        self, id: CallId, response: Json, parts: tuple[Blob | FileRef, ...] = ()
    ) -> bool:
        """Enter the outcome of a server tool; false if its call is no longer open."""
        entry = self._open.get(id)
        if entry is None or entry.server_tool is None or entry.result is not None:
            return False
        entry.result = ToolResult(id, entry.call.name, response, parts=parts)
        return True

    def expire_calls(self, now: float) -> tuple[list[ToolResult], list[CallId]]:
        """Return results in place of overdue ones of the client, and overdue server tools."""
        overdue = [e for e in self._open.values() if (due := _due(e)) is not None and due <= now]
        self._late.update(entry.call.id for entry in overdue)
        ours = [entry.call.id for entry in overdue if entry.server_tool is not None]
        theirs = [
            ToolResult(entry.call.id, entry.call.name, LATE)
            for entry in overdue
            if entry.server_tool is None
        ]
        return theirs, ours

    def take_batch(self, instead: Json = CANCELLED) -> tuple[ToolResult, ...]:
        """Close the newest batch; return its results, and `instead` for missing ones."""
        return self._close(self._newest(), instead)

    def take_all(self, instead: Json = CANCELLED) -> tuple[ToolResult, ...]:
        """Close all batches; return their results, and `instead` for missing ones."""
        return self._close([entry for entry in self._open.values() if entry.blocking], instead)

    def unanswered(self) -> tuple[CallId, ...]:
        """Return the blocking calls that the client has not answered yet."""
        return tuple(
            id
            for id, entry in self._open.items()
            if entry.blocking and entry.server_tool is None and entry.result is None
        )

    def running(self) -> tuple[CallId, ...]:
        """Return the calls of server tools without an outcome."""
        return tuple(
            id
            for id, entry in self._open.items()
            if entry.server_tool is not None and entry.result is None
        )

    def take_waiting(self) -> tuple[ToolResult, ...]:
        """Remove and return the results that wait."""
        waiting, self.waiting, self.urgent = tuple(self.waiting), [], False
        return waiting

    def take_urgent(self) -> tuple[ToolResult, ...]:
        """Remove and return the results that wait, if one of them has INTERRUPT."""
        return self.take_waiting() if self.urgent else ()

    def _newest(self) -> list[_OpenCall]:
        blocking = [entry for entry in self._open.values() if entry.blocking]
        newest = max((entry.batch for entry in blocking), default=0)
        return [entry for entry in blocking if entry.batch == newest]

    def _close(self, entries: list[_OpenCall], instead: Json) -> tuple[ToolResult, ...]:
        for entry in entries:
            self._close_call(entry, answered=entry.result is not None)
        return tuple(e.result or ToolResult(e.call.id, e.call.name, instead) for e in entries)

    def _close_call(self, entry: _OpenCall, answered: bool) -> None:
        id, name = entry.call.id, entry.call.name
        del self._open[id]
        self._closed[id] = (name, answered and id not in self._late)
        self._late.discard(id)
        if len(self._closed) > MAX_CLOSED_CALLS:
            del self._closed[next(iter(self._closed))]

    def _problem(self, result: ToolResult, entry: _OpenCall | None) -> ReportMismatch:
        """Return why a result is ignored, and the close code of a strict server."""
        quoted = result.id or result.name
        shown = loggable_name(quoted)
        name, answered = self._closed.get(result.id, ("", False))
        if answered or (entry is not None and entry.server_tool is None):
            sentence = f"Invalid answer: the call {shown} is answered already."
            return ReportMismatch(sentence, INVALID, quoted)
        if not result.id and any(name == result.name for name, _ in self._closed.values()):
            return ReportMismatch(f"no call of {shown} is open any more", 0, quoted)
        if name:
            sentence = f"the call {shown} is not open any more: its answer is ignored"
            return ReportMismatch(sentence, 0, quoted)
        sentence = f"no open call has the {'id' if result.id else 'name'} {shown}."
        return ReportMismatch(f"Requested entity was not found: {sentence}", NOT_FOUND, quoted)

    def _check(self, result: ToolResult, entry: _OpenCall) -> None:
        """Report what has no effect in a result that is accepted."""
        if result.name and result.name != entry.call.name:
            given, name = loggable_name(result.name), entry.call.name
            sentence = f"Invalid answer: {entry.call.id} is a call of {name}, not of {given}."
            self.problems.append(ReportMismatch(sentence, INVALID, result.name))
        if entry.blocking and result.will_continue:
            self.problems.append(ReportMismatch("willContinue has no effect on a blocking call"))
        if entry.blocking and result.scheduling is not Scheduling.WHEN_IDLE:
            self.problems.append(ReportMismatch("scheduling has no effect on a blocking call"))

    def _match(self, result: ToolResult) -> _OpenCall | None:
        if result.id:
            return self._open.get(result.id)
        return next(
            (
                entry
                for entry in self._open.values()
                if entry.call.name == result.name
                and entry.result is None
                and entry.server_tool is None
            ),
            None,
        )


def _due(entry: _OpenCall) -> float | None:
    return entry.deadline if entry.result is None else None
