"""What a model without tools gets to read of a conversation with tools."""

from __future__ import annotations

import pytest

from engines.talk import said, user
from vivavoce.domain.content import Blob, Content, ToolCall, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.engines.function_calling import turns

CALL = said(ToolCall(CallId("c"), "get_time", {}))
RESULT = user(ToolResult(CallId("c"), "get_time", {"time": "noon"}))
PICTURE = Blob(b"\x89PNG", "image/png")


@pytest.mark.parametrize(
    ("history", "texts"),
    [
        ((user("Hello."), said("Hi.")), ["Hello.", "Hi."]),
        ((user("The time?"), CALL, RESULT, said("Noon.")), ["The time?", "Noon."]),
        (
            (user("The time?"), CALL, RESULT, user("And the day?")),
            ["The time?", "(get time: The time is noon.) And the day?"],
        ),
        ((user("The time?"), CALL, RESULT), ["The time?", "(get time: The time is noon.)"]),
        ((user("Say hello."), user(".")), ["Say hello."]),
        ((user("Be kind."), said("I am."), user(" . ")), ["Be kind.", "I am."]),
        ((user("."),), ["."]),
    ],
)
def test_calls_vanish_and_results_become_words(
    history: tuple[Content, ...], texts: list[str]
) -> None:
    assert [content.text for content in turns.as_text(history)] == texts


def test_an_image_is_kept_without_words() -> None:
    history = (user("Look."), user(PICTURE, "."))
    assert turns.as_text(history) == history


def test_the_last_words_are_the_last_that_hold_a_word() -> None:
    history = (user("Turn on the lights."), user("."), CALL, RESULT, user(" ?! "))
    assert turns.last_words(history) == 0
