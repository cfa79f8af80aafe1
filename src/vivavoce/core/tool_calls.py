"""The ledger of tool calls: every call is answered or cancelled, once.

A call is *served* by the server itself, or it is the client's. A client's call is *blocking*
or not by its declaration; where that leaves it open, by the model family. Served calls always
block. The blocking calls of one answer are a batch: the model goes on when all of them are
answered, and an interruption withdraws them. An answer that is given while a batch is open makes a
batch of its own, which is closed first. A non-blocking call stays open through
interruptions until its last result, which is taken up as its `scheduling` says:

    SILENT      into the history, nothing more
    WHEN_IDLE   waits until both sides rest, then the model reacts
    INTERRUPT   as WHEN_IDLE, but the model's own answer is interrupted for it

Blocking calls have no scheduling and never continue. An answer to a call that is unknown,
closed, cancelled, already answered or not the client's changes nothing; `problems` says why.

A call may be overdue. A blocking one is then answered by us, with an error, and its turn goes
on; so is a non-blocking one, whose time begins anew with every result that continues: the
model is told when both sides rest, and the call is closed.
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

MAX_OPEN = 128
"""Calls open at once. Beyond it non-blocking ones are forgotten, the oldest first; a model that
asks for more blocking ones is out of its mind, and its call malformed."""

MAX_CLOSED = 1024
"""Calls that are over and of which it is still known how."""

INVALID, NOT_FOUND = 1007, 1008
"""Close codes of a strict server."""

MAX_WAITING = 128
"""Results waiting for rest; beyond it a further one is taken as silent."""

CANCELLED: Json = {"error": "Cancelled: the user interrupted."}
FAILED: Json = {"error": "Cancelled: the answer failed."}
LATE: Json = {"error": "The function did not answer in time."}


@dataclass(frozen=True, slots=True)
class ToolTimeouts:
    """Seconds until a call is overdue, by its kind; 0 is never."""

    blocking_s: float = 0.0
    non_blocking_s: float = 0.0
    served_s: float = 0.0


class ResultStatus(Enum):
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
    served: ServerTool | None
    blocking: bool
    deadline: float | None
    result: ToolResult | None = None
    batch: int = 0


class ToolLedger:
    """Open calls in the order of their making, and results that wait for rest."""

    def __init__(self, ids: IdSource, default: Behavior, timeouts: ToolTimeouts) -> None:
        self._ids = ids
        self._default = default
        self._timeouts = timeouts
        self._open: dict[CallId, _Open] = {}
        self.waiting: list[ToolResult] = []
        self.urgent = False
        self.problems: list[ReportMismatch] = []
        self._closed: dict[CallId, tuple[str, bool]] = {}
        self._late: set[CallId] = set()
        self._batch = 0

    # --- questions ------------------------------------------------------------------------

    @property
    def blocked(self) -> bool:
        """Whether a call of the newest batch is unanswered."""
        return any(entry.result is None for entry in self._newest())

    @property
    def waits(self) -> bool:
        """Whether a batch is open: unanswered, or answered and not yet taken."""
        return any(entry.blocking for entry in self._open.values())

    @property
    def resting(self) -> bool:
        """Whether nobody waits for a call, and no result for rest."""
        return not self.waiting and not self.waits

    def snapshot(self, now: float) -> tuple[OpenCall, ...]:
        """The client's calls that are open, to be restored elsewhere."""
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
        """Enter the calls of a session that is continued, under their old names."""
        for each in calls:
            deadline = None if each.left_s is None else now + each.left_s
            self._open[each.call.id] = _Open(each.call, None, each.blocking, deadline, each.result)

    @property
    def open_ids(self) -> tuple[CallId, ...]:
        """The calls that may still be answered."""
        return tuple(id for id, entry in self._open.items() if entry.result is None)

    def deadline(self) -> float | None:
        """When the first call is overdue."""
        return min((d for e in self._open.values() if (d := _due(e)) is not None), default=None)

    # --- calls ----------------------------------------------------------------------------

    def begin_batch(self) -> None:
        """What is called from now on is a batch of its own, closed before those that are open."""
        self._batch += 1

    def open_calls(
        self, calls: tuple[ToolCall, ...], tools: Tools, now: float
    ) -> tuple[ToolCall, ...]:
        """Enter calls and give them their names. The caller has checked that they are offered."""
        declared = {function.name: function for function in tools.functions}
        named = tuple(replace(call, id=self._ids.call()) for call in calls)
        for call in named:
            served = None if call.name in declared else tools.find_server_tool(call.name)
            blocking = served is not None or self.blocks(declared.get(call.name))
            entry = _Open(call, served, blocking, None, batch=self._batch)
            entry.deadline = self._overdue_at(entry, now)
            self._open[call.id] = entry
        self._forget_oldest()
        return named

    def _overdue_at(self, entry: _Open, now: float) -> float | None:
        patience = self._timeouts
        if entry.served is not None:
            wait_s = patience.served_s
        else:
            wait_s = patience.blocking_s if entry.blocking else patience.non_blocking_s
        return now + wait_s if wait_s > 0 else None

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
        oldest = [entry for entry in self._open.values() if not entry.blocking]
        for entry in oldest[: max(0, surplus)]:
            self._forget(entry, answered=False)

    # --- results --------------------------------------------------------------------------

    def add_result(self, result: ToolResult, now: float) -> tuple[ResultStatus, ToolResult]:
        """Enter a client's result; returned with the id and name of the call it belongs to."""
        entry = self._match(result)
        if entry is None or entry.result is not None or entry.served is not None:
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
            self._forget(entry, answered=True)
        if len(self.waiting) >= MAX_WAITING:
            self.problems.append(ReportMismatch("too many results wait: one is only remembered"))
        if result.scheduling is Scheduling.SILENT or len(self.waiting) >= MAX_WAITING:
            return ResultStatus.SILENT, result
        self.waiting.append(result)
        self.urgent = self.urgent or result.scheduling is Scheduling.INTERRUPT
        return ResultStatus.WAITING, result

    def add_outcome(
        self, id: CallId, response: Json, parts: tuple[Blob | FileRef, ...] = ()
    ) -> bool:
        """Enter what a served call gave; false if nobody waits for it any longer."""
        entry = self._open.get(id)
        if entry is None or entry.served is None or entry.result is not None:
            return False
        entry.result = ToolResult(id, entry.call.name, response, parts=parts)
        return True

    def expire_calls(self, now: float) -> tuple[list[ToolResult], list[CallId]]:
        """What is overdue: results that we give ourselves for the client, and served calls."""
        overdue = [e for e in self._open.values() if (due := _due(e)) is not None and due <= now]
        self._late.update(entry.call.id for entry in overdue)
        ours = [entry.call.id for entry in overdue if entry.served is not None]
        theirs = [
            ToolResult(entry.call.id, entry.call.name, LATE)
            for entry in overdue
            if entry.served is None
        ]
        return theirs, ours

    def take_batch(self, instead: Json = CANCELLED) -> tuple[ToolResult, ...]:
        """Close the newest batch: its results, and `instead` for calls without one."""
        return self._close(self._newest(), instead)

    def take_all(self, instead: Json = CANCELLED) -> tuple[ToolResult, ...]:
        """Close every batch: the results, and `instead` for calls without one."""
        return self._close([entry for entry in self._open.values() if entry.blocking], instead)

    def unanswered(self) -> tuple[CallId, ...]:
        """The client's blocking calls that it has not answered yet."""
        return tuple(
            id
            for id, entry in self._open.items()
            if entry.blocking and entry.served is None and entry.result is None
        )

    def running(self) -> tuple[CallId, ...]:
        """The served calls that have given nothing yet."""
        return tuple(
            id
            for id, entry in self._open.items()
            if entry.served is not None and entry.result is None
        )

    def take_waiting(self) -> tuple[ToolResult, ...]:
        """The results that were waiting for rest."""
        waiting, self.waiting, self.urgent = tuple(self.waiting), [], False
        return waiting

    def take_urgent(self) -> tuple[ToolResult, ...]:
        """The same, if one of them does not want to wait for rest."""
        return self.take_waiting() if self.urgent else ()

    def _newest(self) -> list[_Open]:
        blocking = [entry for entry in self._open.values() if entry.blocking]
        newest = max((entry.batch for entry in blocking), default=0)
        return [entry for entry in blocking if entry.batch == newest]

    def _close(self, entries: list[_Open], instead: Json) -> tuple[ToolResult, ...]:
        for entry in entries:
            self._forget(entry, answered=entry.result is not None)
        return tuple(e.result or ToolResult(e.call.id, e.call.name, instead) for e in entries)

    def _forget(self, entry: _Open, answered: bool) -> None:
        id, name = entry.call.id, entry.call.name
        del self._open[id]
        self._closed[id] = (name, answered and id not in self._late)
        self._late.discard(id)
        if len(self._closed) > MAX_CLOSED:
            del self._closed[next(iter(self._closed))]

    def _problem(self, result: ToolResult, entry: _Open | None) -> ReportMismatch:
        """Why an answer is ignored, and the code with which a strict server says so."""
        quoted = result.id or result.name
        shown = loggable_name(quoted)
        name, answered = self._closed.get(result.id, ("", False))
        if answered or (entry is not None and entry.served is None):
            sentence = f"Invalid answer: the call {shown} is answered already."
            return ReportMismatch(sentence, INVALID, quoted)
        if not result.id and any(name == result.name for name, _ in self._closed.values()):
            return ReportMismatch(f"no call of {shown} is open any more", 0, quoted)
        if name:
            sentence = f"the call {shown} is not open any more: its answer is ignored"
            return ReportMismatch(sentence, 0, quoted)
        sentence = f"no open call has the {'id' if result.id else 'name'} {shown}."
        return ReportMismatch(f"Requested entity was not found: {sentence}", NOT_FOUND, quoted)

    def _check(self, result: ToolResult, entry: _Open) -> None:
        """What of an answer that is taken has no effect."""
        if result.name and result.name != entry.call.name:
            given, name = loggable_name(result.name), entry.call.name
            sentence = f"Invalid answer: {entry.call.id} is a call of {name}, not of {given}."
            self.problems.append(ReportMismatch(sentence, INVALID, result.name))
        if entry.blocking and result.will_continue:
            self.problems.append(ReportMismatch("willContinue has no effect on a blocking call"))
        if entry.blocking and result.scheduling is not Scheduling.WHEN_IDLE:
            self.problems.append(ReportMismatch("scheduling has no effect on a blocking call"))

    def _match(self, result: ToolResult) -> _Open | None:
        if result.id:
            return self._open.get(result.id)
        return next(
            (
                entry
                for entry in self._open.values()
                if entry.call.name == result.name and entry.result is None and entry.served is None
            ),
            None,
        )


def _due(entry: _Open) -> float | None:
    return entry.deadline if entry.result is None else None
