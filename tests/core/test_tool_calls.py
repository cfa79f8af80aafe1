"""The tool ledger: every call is answered or canceled, once."""

from __future__ import annotations

import pytest

from vivavoce.core.tool_calls import (
    CANCELLED,
    INVALID,
    LATE,
    MAX_OPEN_CALLS,
    MAX_WAITING_RESULTS,
    NOT_FOUND,
    ResultStatus,
    ToolLedger,
    ToolTimeouts,
)
from vivavoce.domain.content import (
    Behavior,
    Scheduling,
    ToolCall,
    ToolDeclaration,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId, CountingIds

TOOLS = Tools(
    (
        ToolDeclaration("wait", behavior=Behavior.BLOCKING),
        ToolDeclaration("go", behavior=Behavior.NON_BLOCKING),
        ToolDeclaration("open"),
    )
)
SILENT, IDLE, URGENT = Scheduling.SILENT, Scheduling.WHEN_IDLE, Scheduling.INTERRUPT


def ledger(*names: str, default: Behavior = Behavior.BLOCKING, deadline_s: float = 0) -> ToolLedger:
    made = ToolLedger(CountingIds(), default, ToolTimeouts(deadline_s, deadline_s, deadline_s))
    made.open_calls(tuple(ToolCall(CallId(""), name, {}) for name in names), TOOLS, now=10.0)
    return made


def result(number: int | str, name: str = "", scheduling: Scheduling = IDLE, more: bool = False
           ) -> ToolResult:  # fmt: skip
    id = CallId(f"function-call-{number}" if isinstance(number, int) else number)
    return ToolResult(id, name, {"n": 1}, scheduling, more)


@pytest.mark.parametrize(
    ("name", "default", "blocked"),
    [
        ("wait", Behavior.NON_BLOCKING, True),
        ("go", Behavior.BLOCKING, False),
        ("open", Behavior.BLOCKING, True),
        ("open", Behavior.NON_BLOCKING, False),
    ],
)
def test_the_declaration_decides_and_the_family_where_it_does_not(
    name: str, default: Behavior, blocked: bool
) -> None:
    assert ledger(name, default=default).blocked is blocked


def test_the_batch_is_complete_when_its_last_call_is_answered_in_any_order() -> None:
    book = ledger("wait", "open", "go")
    assert book.add_result(result(2), 10.0)[0] is ResultStatus.KEPT
    assert book.blocked
    assert book.add_result(result(1), 10.0)[0] is ResultStatus.UNBLOCKED
    assert [r.id for r in book.take_batch()] == ["function-call-1", "function-call-2"]
    assert book.open_ids == ("function-call-3",)


@pytest.mark.parametrize(
    ("given", "sentence", "code"),
    [
        (result("nonsense"), "Requested entity was not found", NOT_FOUND),
        (result("", "nobody"), "Requested entity was not found", NOT_FOUND),
        (result(1), "answered already", INVALID),
    ],
)
def test_what_answers_no_open_call_is_ignored_and_reported(
    given: ToolResult, sentence: str, code: int
) -> None:
    book = ledger("wait")
    book.add_result(result(1), 10.0)
    assert book.add_result(given, 10.0)[0] is ResultStatus.IGNORED
    (problem,) = book.problems
    assert sentence in problem.sentence
    assert problem.code == code


def test_what_may_be_words_in_the_place_of_a_name_is_personal() -> None:
    book = ledger("wait")
    book.add_result(result("my id"), 10.0)
    book.add_result(result("", "my name"), 10.0)
    book.add_result(result(1, "other name"), 10.0)
    assert [problem.quoted for problem in book.problems] == ["my id", "my name", "other name"]
    for problem in book.problems:
        assert problem.quoted not in problem.sentence


def test_answers_that_come_after_the_end_of_their_call_are_nobodys_fault() -> None:
    withdrawn = ledger("wait")
    withdrawn.take_all()
    overdue = ledger("wait", deadline_s=1.0)
    ours, _ = overdue.expire_calls(100.0)
    overdue.add_result(ours[0], 100.0)
    overdue.take_batch()
    for book in (withdrawn, overdue):
        for given in (result(1), result("", "wait")):
            assert book.add_result(given, 100.0)[0] is ResultStatus.IGNORED
        assert [problem.code for problem in book.problems] == [0, 0]


def test_an_answer_that_is_taken_may_hold_what_has_no_effect() -> None:
    book = ledger("wait")
    given = result(1, "other", SILENT, more=True)
    assert book.add_result(given, 10.0)[0] is ResultStatus.UNBLOCKED
    assert [problem.code for problem in book.problems] == [INVALID, 0, 0]


def test_without_an_id_the_oldest_open_call_of_that_name_is_meant() -> None:
    book = ledger("wait", "wait")
    assert book.add_result(result("", "wait"), 10.0)[1].id == "function-call-1"
    assert book.add_result(result("", "wait"), 10.0)[1].id == "function-call-2"
    assert book.add_result(result("", "wait"), 10.0)[0] is ResultStatus.IGNORED


def test_the_call_gives_the_result_its_name() -> None:
    assert ledger("wait").add_result(result(1, "misspelt"), 10.0)[1].name == "wait"


def test_an_interruption_closes_the_blocking_calls_only() -> None:
    book = ledger("wait", "wait", "go")
    book.add_result(result(1), 10.0)
    assert book.unanswered() == ("function-call-2",)
    first, second = book.take_batch()
    assert (first.response, second.response) == ({"n": 1}, CANCELLED)
    assert book.add_result(result(2), 10.0)[0] is ResultStatus.IGNORED
    assert book.add_result(result(3), 10.0)[0] is ResultStatus.WAITING


def test_scheduling_decides_when_a_result_is_taken_up() -> None:
    book = ledger("go", "go", "go")
    assert book.add_result(result(1, scheduling=SILENT), 10.0)[0] is ResultStatus.SILENT
    assert book.add_result(result(2, scheduling=IDLE), 10.0)[0] is ResultStatus.WAITING
    assert (book.urgent, book.take_urgent()) == (False, ())
    assert book.add_result(result(3, scheduling=URGENT), 10.0)[0] is ResultStatus.WAITING
    assert book.urgent
    assert len(book.take_urgent()) == 2
    assert book.idle


def test_a_result_that_continues_leaves_the_call_open_unless_it_blocks() -> None:
    book = ledger("go", "wait")
    assert book.add_result(result(1, more=True), 10.0)[0] is ResultStatus.WAITING
    assert book.add_result(result(1), 10.0)[0] is ResultStatus.WAITING
    assert book.add_result(result(1), 10.0)[0] is ResultStatus.IGNORED
    assert book.add_result(result(2, more=True), 10.0)[0] is ResultStatus.UNBLOCKED


def test_an_overdue_call_is_answered_by_us() -> None:
    book = ledger("wait", "go", deadline_s=5)
    assert book.deadline() == 15.0
    assert book.expire_calls(14.9) == ([], [])
    (late, later), served = book.expire_calls(15.0)
    assert (late.id, late.response, served) == ("function-call-1", LATE, [])
    assert book.add_result(late, 15.0)[0] is ResultStatus.UNBLOCKED
    assert book.add_result(later, 15.0)[0] is ResultStatus.WAITING
    assert book.deadline() is None


def test_a_result_that_continues_gives_its_call_time_anew() -> None:
    book = ledger("go", deadline_s=5)
    book.add_result(result(1, more=True), 14.0)
    assert book.deadline() == 19.0


def test_results_that_wait_are_bounded() -> None:
    book = ledger(*["go"] * MAX_OPEN_CALLS)
    for number in range(1, MAX_OPEN_CALLS + 1):
        assert book.add_result(result(number), 10.0)[0] is ResultStatus.WAITING
    assert len(book.waiting) == MAX_WAITING_RESULTS
    book.open_calls((ToolCall(CallId(""), "go", {}),), TOOLS, 0.0)
    assert book.add_result(result(MAX_OPEN_CALLS + 1), 10.0)[0] is ResultStatus.SILENT
    assert len(book.waiting) == MAX_WAITING_RESULTS


def test_open_calls_are_bounded() -> None:
    book = ledger(*["go"] * MAX_OPEN_CALLS)
    book.open_calls((ToolCall(CallId(""), "wait", {}),), TOOLS, 0.0)
    assert len(book.open_ids) == MAX_OPEN_CALLS
    call = ToolCall(CallId(""), "wait", {})
    assert book.room_for((call,) * (MAX_OPEN_CALLS - 1))
    assert not book.room_for((call,) * MAX_OPEN_CALLS)
    assert book.add_result(result(1), 10.0)[0] is ResultStatus.IGNORED
    assert book.blocked
