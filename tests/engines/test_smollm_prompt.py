"""What the small model is given to read."""

from __future__ import annotations

import pytest

from vivavoce.domain.content import Blob, Content, Part, Role, Text, ToolCall, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.engines.chat import sight
from vivavoce.engines.llamacpp import prompt


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
        Content(Role.USER, (ToolResult(CallId("c"), "get_weather", {"sky": "grey"}),)),
        Content(Role.USER, (Text("and"),)),
    )
    assert "grey" in prompt.chat("Rules.", history)[-1]["content"]
    spoken = (*history[:3], Content(Role.MODEL, (Text("It's grey."),)), history[3])
    assert "(get weather" not in str(prompt.chat("Rules.", spoken))
