"""What the small model is given to read, and which sentences about an outcome are believed."""

from __future__ import annotations

from typing import Any

import pytest

from vivavoce.domain.content import Blob, Content, Part, Role, Text, ToolCall, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.engines.chat import sight
from vivavoce.engines.function_calling import outcome
from vivavoce.engines.llamacpp import prompt

# --- outcomes --------------------------------------------------------------------------------


def result(response: dict[str, Any], name: str = "get_weather") -> ToolResult:
    return ToolResult(CallId("c"), name, response)


@pytest.mark.parametrize(
    "response", [{"result": "ok"}, {"output": {"success": True}}, {"status": "done"}, {}]
)
def test_a_bare_success_tells_nothing(response: dict[str, Any]) -> None:
    assert outcome.findings(result(response)) == ""
    assert outcome.failure(result(response)) == ""


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        ({"result": "It's 21 degrees and sunny"}, "It's 21 degrees and sunny."),
        ({"temperature": 21.0, "sky": "cloudy"}, "The temperature is 21 and the sky is cloudy."),
        ({"output": {"windSpeed": 4}}, "The wind speed is 4."),
        ({"result": 7}, "The weather is 7."),
        ({"result": ["one", "two", "three"]}, "One, two and three."),
        ({"result": []}, "There are none."),
        ({"status": "ok", "message": "Three eggs left."}, "Three eggs left."),
    ],
)
def test_findings_are_told_as_they_came(response: dict[str, Any], sentence: str) -> None:
    assert outcome.findings(result(response)) == sentence


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        ({"error": "no such city"}, "Sorry, that did not work: no such city."),
        ({"error": {"code": 5}}, "Sorry, that did not work: code 5."),
        ({"success": False}, "Sorry, that did not work."),
        (
            {"success": False, "reason": "no power"},
            "Sorry, that did not work: the reason is no power.",
        ),
    ],
)
def test_failures_are_said(response: dict[str, Any], sentence: str) -> None:
    assert outcome.failure(result(response)) == sentence


@pytest.mark.parametrize(
    ("response", "line"),
    [
        ({"results": [{"text": ""}, {"text": "Whales  breathe air."}]}, "Whales breathe air."),
        ({"results": []}, "nothing"),
        ({"pages": [{"status": "SUCCESS", "text": "w" * 900}]}, "w" * 200),
        ({"outcome": "OUTCOME_OK", "output": "391\n"}, "391"),
        ({"error": "no answer came"}, "Sorry, that did not work: no answer came."),
        ({}, "ok"),
    ],
)
def test_what_a_tool_of_the_server_gave_is_read_in_short(
    response: dict[str, Any], line: str
) -> None:
    assert outcome.told(result(response, "google_search")) == f"google search: {line}"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("The temperature is 21.", "So far: the temperature is 21."),
        ("NASA answered.", "So far: NASA answered."),
        ("", "It is still under way."),
    ],
)
def test_a_part_of_a_result_is_told_as_a_part(found: str, told: str) -> None:
    assert outcome.progress(found) == told


def test_an_error_that_is_a_sentence_is_told_as_one() -> None:
    late = result({"error": "The function did not answer in time."})
    told = "Sorry, that did not work: the function did not answer in time."
    assert outcome.failure(late) == told


def test_a_sentence_with_a_number_from_nowhere_is_not_believed() -> None:
    assert outcome.is_grounded("Set to 21 degrees.", "set it to 21", "set (degrees 21)")
    assert not outcome.is_grounded("Set to 25 degrees.", "set it to 21", "set (degrees 21)")


@pytest.mark.parametrize(
    ("request_", "done", "sentence", "grounded"),
    [
        ("Set a timer. seven", "set timer (minutes 7)", "I'm calling Tom.", False),
        ("Set a timer. seven", "set timer (minutes 7)", "I'm setting a timer for 7.", True),
        ("set it for ten minutes", "set timer (minutes 10)", "The timer is set for nine.", False),
        ("switch the lights off", "set lights (on no)", "The lights are on.", False),
        ("switch the lights off", "set lights (on no)", "The lights are off.", True),
        ("please close the window", "close window", "The window is closed.", True),
        ("please close the window", "close window", "The garage door is closed.", False),
    ],
)
def test_a_sentence_is_believed_if_all_it_says_was_asked_for(
    request_: str, done: str, sentence: str, grounded: bool
) -> None:
    assert outcome.is_grounded(sentence, request_, done) is grounded


# --- the prompt ------------------------------------------------------------------------------


def test_what_was_heard_is_written_as_it_would_be_typed() -> None:
    assert prompt.tidy("what is the capital of france") == "What is the capital of france?"
    assert prompt.tidy("tell me a joke ") == "Tell me a joke."
    assert prompt.tidy("Really?!") == "Really?!"


@pytest.mark.parametrize(
    ("instruction", "said"),
    [
        ("Your name is Ada. You are a pirate.", "I'm Ada, a small voice assistant."),
        ("You are Bob, who sells lamps.", "I'm Bob, a small voice assistant."),
        ("You are a helpful assistant.", "I'm a small voice assistant."),
    ],
)
def test_a_name_from_the_instruction_stands_in_the_examples(instruction: str, said: str) -> None:
    assert said in [message["content"] for message in prompt.opening(instruction)]


PICTURE = Blob(b"\x89PNG", "image/png")


def test_images_reach_a_prompt_as_one_note() -> None:
    asked = Content(Role.USER, (PICTURE, PICTURE, Text("what is this")))
    (*_, last) = prompt.chat("Rules.", sight.noted([asked]))
    assert last["content"] == f"{sight.UNSEEN} what is this."
    words_first = Content(Role.USER, (Text("what is this"), PICTURE))
    (*_, last) = prompt.chat("Rules.", sight.noted([words_first]))
    assert f"what is this {sight.UNSEEN}" in last["content"].lower()
    plain = Content(Role.USER, (Text("hello"), Blob(b"", "audio/wav")))
    assert sight.noted([plain]) == (plain,)


@pytest.mark.parametrize(
    ("parts", "excused"),
    [
        ((PICTURE, Text("What do you see?")), True),
        ((Text("What colour is it?"), PICTURE), True),
        ((PICTURE,), True),
        ((PICTURE, Text("Hello.")), False),
        ((PICTURE, Text("What is the capital of France?")), False),
        ((Text("What do you see?"),), True),
        ((Text("Do you see what I mean?"),), False),
        ((Text("What is this?"),), False),
    ],
)
def test_who_asks_about_an_image_is_told_that_it_is_not_seen(
    parts: tuple[Part, ...], excused: bool
) -> None:
    assert sight.excuse([Content(Role.USER, parts)]) == (sight.EXCUSE if excused else "")


def test_an_earlier_image_is_meant_where_it_is_named() -> None:
    before = (
        Content(Role.USER, (PICTURE, Text("Hello."))),
        Content(Role.MODEL, (Text("Hello!"),)),
    )
    named = Content(Role.USER, (Text("Who is in the photo?"),))
    unnamed = Content(Role.USER, (Text("What colour is the sky?"),))
    assert sight.excuse([*before, named]) == sight.EXCUSE
    assert sight.excuse([*before, unnamed]) == ""
    sent_before_the_words = (Content(Role.USER, (PICTURE,)), unnamed)
    assert sight.excuse(sent_before_the_words) == sight.EXCUSE


def test_a_prompt_grows_only_at_its_end() -> None:
    first = (Content(Role.USER, (Text("hello"),)),)
    more = (*first, Content(Role.MODEL, (Text("Hi!"),)), Content(Role.USER, (Text("joke"),)))
    before, after = prompt.chat("Rules.", first), prompt.chat("Rules.", more)
    assert after[: len(before)] == before


def test_a_result_nobody_spoke_of_is_told_with_the_next_words() -> None:
    call = ToolCall(CallId("c"), "get_weather", {})
    history = (
        Content(Role.USER, (Text("weather"),)),
        Content(Role.MODEL, (call,)),
        Content(Role.USER, (result({"sky": "grey"}),)),
        Content(Role.USER, (Text("and"),)),
    )
    assert "grey" in prompt.chat("Rules.", history)[-1]["content"]
    spoken = (*history[:3], Content(Role.MODEL, (Text("It's grey."),)), history[3])
    assert "(get weather" not in str(prompt.chat("Rules.", spoken))
