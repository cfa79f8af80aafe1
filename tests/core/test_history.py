"""The conversation, and how much of it was heard."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.world import model, user
from vivavoce.core import history as module
from vivavoce.core.history import History, Piece, heard_words
from vivavoce.domain.content import Blob, Content, Role, Text, ToolCall, ToolResult
from vivavoce.domain.ids import CallId

CALL = ToolCall(CallId("1"), "lights", {})
RESULT = ToolResult(CallId("1"), "lights", {"ok": True})


def spoken() -> History:
    history = History([user("hello")])
    history.say("It is", 0.0, 1.0)
    history.say(" sunny and", 1.0, 2.0)
    history.say(" warm.", 2.0, 3.0)
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
    history.cut(heard_s)
    kept = [model(text, cut=True)] if text else []
    assert list(history.snapshot()) == [user("hello"), *kept]


def test_a_turn_that_was_heard_is_kept_whole() -> None:
    history = spoken()
    assert history.snapshot()[-1] == model("It is sunny and warm.")
    history.close()
    assert history.snapshot()[-1] == model("It is sunny and warm.")
    history.close()
    assert len(history.snapshot()) == 2


def test_typed_words_last_no_time_and_are_always_heard() -> None:
    history = History()
    history.say("typed")
    history.cut(0.0)
    assert history.snapshot() == (model("typed", cut=True),)


def test_a_contribution_ends_with_its_calls_and_results_follow() -> None:
    history = History([user("go")])
    history.say("One moment.", 0.0, 1.0)
    history.call((CALL,))
    history.answer((RESULT,))
    history.say("Done.", 1.0, 2.0)
    history.cut(1.2)
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
        lambda: history.add([user("a")]),
        lambda: history.say("b"),
        lambda: history.call((CALL,)),
        lambda: history.answer((RESULT,)),
        lambda: history.cut(0.0),
    ]
    for change in changes:
        change()
        versions.append(history.version)
    assert len(set(versions)) == len(versions)
    history.add([])
    history.answer(())
    history.say("")
    assert history.version == versions[-1]


def test_the_oldest_go_first_and_the_rest_begins_with_the_users_words() -> None:
    history = History(limit=3)
    history.add([user("a"), Content(Role.MODEL, (CALL,)), Content(Role.USER, (RESULT,))])
    history.add([model("b")])
    assert history.snapshot() == ()
    history.add([user("c"), model("d"), user("e"), model("f")])
    assert history.snapshot() == (user("e"), model("f"))


def test_media_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    history = History()
    for _ in range(4):
        history.add([Content(Role.USER, (Blob(bytes(400), "image/png"),))])
    assert history.images == 2


def test_words_are_spread_evenly_over_their_piece() -> None:
    piece = Piece(" one two three", 0.0, 4.0)
    assert [heard_words(piece, at) for at in (0.0, 1.4, 2.6, 4.0)] == [
        "", " one two", " one two", " one two three",
    ]  # fmt: skip
