"""The conversation, and how much of it was heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.world import model, user
from support.budget import budget
from vivavoce.core import history as module
from vivavoce.core import token_counts
from vivavoce.core.history import (
    MAX_DRAFT_ENTRIES,
    MIN_RECENT_CONTENTS,
    OMITTED_RESPONSE,
    History,
    Piece,
    played_words,
)
from vivavoce.domain.content import Blob, Content, Role, Text, ToolCall, ToolResult
from vivavoce.domain.ids import CallId

CALL = ToolCall(CallId("1"), "lights", {})
RESULT = ToolResult(CallId("1"), "lights", {"ok": True})


def spoken() -> History:
    history = History([user("hello")])
    history.add_words("It is", 0.0, 1.0)
    history.add_words(" sunny and", 1.0, 2.0)
    history.add_words(" warm.", 2.0, 3.0)
    return history


@pytest.mark.parametrize(
    ("heard_s", "text"),
    [
        (0.0, ""),
        (0.2, "It"),
        (1.0, "It is"),
        (1.5, "It is sunny"),
        (2.0, "It is sunny and"),
        (2.1, "It is sunny and warm."),
        (9.0, "It is sunny and warm."),
    ],
)
def test_a_cut_keeps_the_words_that_had_begun(heard_s: float, text: str) -> None:
    history = spoken()
    history.cut_to_heard(heard_s)
    kept = [model(text, cut=True)] if text else []
    assert list(history.snapshot()) == [user("hello"), *kept]


def test_a_turn_that_was_heard_is_kept_whole() -> None:
    history = spoken()
    assert history.snapshot()[-1] == model("It is sunny and warm.")
    history.commit_draft()
    assert history.snapshot()[-1] == model("It is sunny and warm.")
    history.commit_draft()
    assert len(history.snapshot()) == 2


def test_typed_words_last_no_time_and_are_always_heard() -> None:
    history = History()
    history.add_words("typed")
    history.cut_to_heard(0.0)
    assert history.snapshot() == (model("typed", cut=True),)


def test_a_contribution_ends_with_its_calls_and_results_follow() -> None:
    history = History([user("go")])
    history.add_words("One moment.", 0.0, 1.0)
    history.add_calls((CALL,))
    history.add_results((RESULT,))
    history.add_words("Done.", 1.0, 2.0)
    history.cut_to_heard(1.2)
    assert history.snapshot() == (
        user("go"),
        Content(Role.MODEL, (Text("One moment."), CALL)),
        Content(Role.USER, (RESULT,)),
        model("Done.", cut=True),
    )


def test_the_version_changes_with_whatever_an_answer_would_see() -> None:
    history = History()
    versions = [history.version]
    changes: list[Callable[[], None]] = [
        lambda: history.add_contents([user("a")]),
        lambda: history.add_words("b"),
        lambda: history.add_calls((CALL,)),
        lambda: history.add_results((RESULT,)),
        lambda: history.cut_to_heard(0.0),
    ]
    for change in changes:
        change()
        versions.append(history.version)
    assert len(set(versions)) == len(versions)
    history.add_contents([])
    history.add_results(())
    history.add_words("")
    assert history.version == versions[-1]


def test_the_oldest_go_first_and_the_rest_begins_with_the_users_words() -> None:
    history = History(limit=3)
    history.add_contents([user("a"), Content(Role.MODEL, (CALL,)), Content(Role.USER, (RESULT,))])
    history.add_contents([model("b")])
    assert len(history.snapshot()) == 4, "the user's last words and what followed them stay"
    history.add_contents([user("c"), model("d"), user("e"), model("f")])
    assert history.snapshot() == (user("e"), model("f"))


def test_media_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    history = History()
    for _ in range(4):
        history.add_contents([Content(Role.USER, (Blob(bytes(400), "image/png"),))])
    assert len(history.snapshot()) == 2


def called(number: int) -> Content:
    return Content(Role.MODEL, (ToolCall(CallId(str(number)), "photo", {}),))


def answered(number: int, size: int = 0, words: str = "") -> Content:
    media = (Blob(bytes(size), "image/png"),) if size else ()
    response = {"said": words} if words else {"ok": True}
    return Content(Role.USER, (ToolResult(CallId(str(number)), "photo", response, parts=media),))


def rounds(history: History, count: int, size: int = 0, words: str = "") -> None:
    for number in range(count):
        history.add_calls(called(number).parts)  # type: ignore[arg-type]
        history.add_results(answered(number, size, words).parts)  # type: ignore[arg-type]


def media(history: History) -> list[int]:
    return [
        sum(len(blob.data) for blob in part.parts if isinstance(blob, Blob))
        for content in history.snapshot()
        for part in content.parts
        if isinstance(part, ToolResult)
    ]


def test_the_question_outlives_the_calls_that_it_led_to() -> None:
    history = History(limit=10)
    history.add_contents([user("My name is Ann."), model("Hello, Ann."), user("Take six photos.")])
    rounds(history, 6)
    history.add_words("Done.")
    history.commit_draft()
    assert history.snapshot()[0] == user("Take six photos.")
    assert len(history.snapshot()) == 1 + 12 + 1


def test_media_of_older_results_goes_before_anything_that_was_said() -> None:
    history = History()
    history.add_contents(
        [user("My name is Ann."), model("Hello, Ann."), user("Look at my photos.")]
    )
    rounds(history, 3, size=6 << 20)
    assert media(history) == [0, 6 << 20, 6 << 20], "an open turn is weighed, too"
    assert history.bytes <= token_counts.MAX_BYTES
    history.commit_draft()
    assert history.snapshot()[0] == user("My name is Ann.")
    assert media(history) == [0, 6 << 20, 6 << 20]


def test_a_result_heavier_than_all_bounds_leaves_the_question_and_itself() -> None:
    history = History([user("hello"), model("hi"), user("a photo, please"), called(1)])
    history.add_contents([answered(1, size=17 << 20)])
    assert [content.text for content in history.snapshot()[:1]] == ["a photo, please"]
    assert media(history) == [17 << 20]


def test_what_results_say_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 20_000)
    history = History([user("go")])
    rounds(history, 30, words="x" * 2000)
    assert history.bytes <= 20_000
    results = [p for c in history.snapshot() for p in c.parts if isinstance(p, ToolResult)]
    assert len(results) == 30
    assert results[0].response == OMITTED_RESPONSE
    assert results[-1].response == {"said": "x" * 2000}


OPERATIONS: dict[str, Callable[[History], object]] = {
    "ask": lambda history: history.add_contents([user("a question of some words")]),
    "photo": lambda history: history.add_contents(
        [Content(Role.USER, (Blob(bytes(300), "image/png"),))]
    ),
    "say": lambda history: history.add_words("some words of an answer"),
    "call": lambda history: history.add_calls((CALL,)),
    "answer": lambda history: history.add_results((replace(RESULT, response={"W": [0.5] * 100}),)),
    "close": lambda history: history.commit_draft(),
    "cut": lambda history: history.cut_to_heard(0.0),
    "slide": lambda history: history.drop_oldest(min(2, len(history.droppable()))),
}


@settings(max_examples=budget(20, 100))
@given(st.lists(st.sampled_from(sorted(OPERATIONS)), max_size=100))
def test_what_is_held_is_exact_whatever_is_added_cut_or_dropped(operations: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_BYTES", 2000)
        history = History(limit=10)
        for operation in operations:
            OPERATIONS[operation](history)
        history.commit_draft()
        assert history.bytes == sum(map(token_counts.size_bytes, history.snapshot()))


def test_results_that_answer_nothing_and_are_too_heavy_leave_nothing() -> None:
    history = History()
    history.add_contents([Content(Role.USER, (RESULT,)), answered(1, size=17 << 20)])
    assert history.snapshot() == ()


def test_what_follows_the_question_is_bounded_by_count() -> None:
    history = History([user("go")], limit=10)
    for number in range(300):
        history.add_contents([called(number), answered(number)])
    assert history.snapshot()[0] == user("go")
    assert len(history.snapshot()) <= MIN_RECENT_CONTENTS
    assert history.snapshot()[-1] == answered(299)


def test_no_late_result_is_left_without_its_call() -> None:
    history = History([user("a"), called(1), model("b")], limit=4)
    history.add_contents([user("c"), model("d"), answered(1), user("e")])
    history.add_contents([model("f")])
    assert history.snapshot() == (user("c"), model("d"), user("e"), model("f"))


def test_a_history_of_the_models_words_alone_is_not_wiped() -> None:
    history = History([model(str(number)) for number in range(5)], limit=3)
    assert [content.text for content in history.snapshot()] == ["2", "3", "4"]


def test_an_endless_turn_forgets_its_first_words_and_no_call() -> None:
    history = History([user("go")])
    history.add_calls((CALL,))
    history.add_results((RESULT,))
    for number in range(MAX_DRAFT_ENTRIES):
        history.add_words(f"{number} ", float(number), number + 1.0)
    history.commit_draft()
    contents = history.snapshot()
    assert [type(content.parts[0]) for content in contents[1:3]] == [ToolCall, ToolResult]
    assert contents[3].text.startswith("2 3 ")


def test_words_are_spread_evenly_over_their_piece() -> None:
    piece = Piece(" one two three", 0.0, 4.0)
    assert [played_words(piece, at) for at in (0.0, 1.4, 2.6, 4.0)] == [
        "", " one two", " one two", " one two three",
    ]  # fmt: skip


@pytest.mark.parametrize("limit", [4, 5, 6])
def test_of_too_many_at_once_the_last_stay_that_begin_with_the_users_words(limit: int) -> None:
    one_by_one, at_once = History([user("old")], limit), History([user("old")], limit)
    said = [each for number in range(50) for each in (user(f"q{number}"), model(f"a{number}"))]
    for content in said:
        one_by_one.add_contents([content])
    at_once.add_contents(said)
    assert at_once.snapshot() == one_by_one.snapshot() == tuple(said[-(limit // 2 * 2) :])
    assert (at_once.bytes, at_once.version) == (one_by_one.bytes, one_by_one.version)


def test_of_too_many_at_once_no_result_stays_without_its_call() -> None:
    history = History(limit=4)
    call, result = Content(Role.MODEL, (CALL,)), Content(Role.USER, (RESULT,))
    history.add_contents([user("a"), call, user("b"), result, model("c"), user("d")])
    assert history.snapshot() == (user("b"), model("c"), user("d"))
