"""What surrounds the small model, without its weights: words, numbers, arguments, outcomes."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest

from vivavoce.domain.content import (
    Blob,
    Content,
    Part,
    Role,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolResult,
)
from vivavoce.domain.ids import CallId
from vivavoce.engines.chat import sight
from vivavoce.engines.chat.trim import first_kept
from vivavoce.engines.smollm import arguments, numerals, outcome, prompt, schema, words
from vivavoce.engines.smollm.brevity import Brevity
from vivavoce.engines.smollm.memory import Places
from vivavoce.engines.smollm.settings import read_settings
from vivavoce.errors import ConfigError

TEXT = {"type": "string"}


def function(name: str = "do_it", required: list[str] | None = None, **of: Any) -> ToolDeclaration:
    needed = list(of) if required is None else required
    return ToolDeclaration(name, "", {"type": "object", "properties": of, "required": needed})


class FirstOption:
    """A model that writes the first thing its grammar allows, and remembers the grammar."""

    def __init__(self) -> None:
        self.grammars: list[str] = []

    def __call__(self, question: str, grammar: str) -> str:
        self.grammars.append(grammar)
        root, *rules = grammar.split("\n")
        values = dict(rule.split(" ::= ", 1) for rule in rules)
        written = re.sub(r"\bv\d+\b", lambda m: values[m.group()].split(" | ")[0], root[9:])
        return "".join(json.loads(text) for text in re.findall(r'"(?:\\.|[^"\\])*"', written))


def filled(tool: ToolDeclaration, spoken: str) -> dict[str, Any]:
    return arguments.fill(tool, spoken, FirstOption())


# --- words -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("turn_on_the_lights", ["turn", "on", "the", "lights"]),
        ("turnOnTheLights", ["turn", "on", "the", "lights"]),
        ("getHTTPStatus", ["get", "http", "status"]),
        ("home:lights.on", ["home", "lights", "on"]),
    ],
)
def test_a_name_is_taken_apart(name: str, expected: list[str]) -> None:
    assert words.of_name(name) == expected


@pytest.mark.parametrize(
    ("spoken", "question"),
    [
        ("is the light on", True),
        ("who invented the light bulb?", True),
        ("could you turn on the lights?", False),
        ("would you mind turning on the lights", False),
        ("turn on the lights", False),
        ("can you tell me what time it is", False),
    ],
)
def test_a_polite_request_is_no_question(spoken: str, question: bool) -> None:
    assert words.is_question(spoken) is question


@pytest.mark.parametrize(
    "spoken",
    ["don't turn on the lights", "i turned the lights on already", "never play jazz again"],
)
def test_what_is_forbidden_or_told_is_no_request(spoken: str) -> None:
    assert words.is_no_request(spoken)
    assert not words.is_no_request("turn on the lights")


def test_asking_to_be_told_is_a_wish_for_knowledge() -> None:
    assert words.wants_to_know("can you tell me about light")
    assert words.wants_to_know("who invented the light bulb")
    assert not words.wants_to_know("tell john i am late")
    assert words.is_definition("what is a timer")
    assert not words.is_definition("what is the weather")


@pytest.mark.parametrize(
    ("spoken", "answers"),
    [
        ("seven", True),
        ("to my sister", True),
        ("how about seven", True),
        ("What is a timer?", False),
        ("never mind", False),
        ("no thanks", False),
    ],
)
def test_not_everything_said_after_a_question_answers_it(spoken: str, answers: bool) -> None:
    assert words.is_answer(spoken) is answers


def test_a_name_that_begins_with_a_deed_fetches_no_knowledge() -> None:
    assert [words.acts(name) for name in ("set_timer", "openDoor", "get_time", "stock_price")] == [
        True,
        True,
        False,
        False,
    ]


def test_off_is_understood_where_a_recognizer_hears_of() -> None:
    assert "off" in words.meant("turn of the lights please")
    assert "off" not in words.meant("turn on one of the lights")


@pytest.mark.parametrize("spoken", ["kill the dishwasher", "light up the tree", "lights out"])
def test_no_word_is_given_a_meaning_that_it_has_of_lamps_only(spoken: str) -> None:
    assert words.meant(spoken) == spoken.split()


def test_words_that_a_recognizer_confuses_are_alike() -> None:
    assert words.alike("light", "lights")
    assert words.alike("thermostat", "thermostats")
    assert words.alike("kitchen", "kitchin")
    assert not words.alike("on", "off")
    assert not words.alike("music", "message")


# --- numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoken", "numbers"),
    [
        ("ten minutes", [10]),
        ("twenty one point five degrees", [21.5]),
        ("a hundred and two", [102]),
        ("two thousand and five", [2005]),
        ("one two three", [1, 2, 3]),
        ("minus three", [-3]),
        ("5 minutes and 30 seconds", [5, 30]),
        ("3,5 percent", [3.5]),
        ("2 hundred", [200]),
        ("half an hour", [0.5]),
        ("fifty-five", [55]),
        ("wait a minute", []),
        ("someone and nobody", []),
    ],
)
def test_numbers_are_read_as_they_are_said(spoken: str, numbers: list[float]) -> None:
    assert numerals.spoken(spoken) == numbers


# --- arguments -------------------------------------------------------------------------------


def test_a_function_without_parameters_takes_none() -> None:
    assert filled(ToolDeclaration("lights_on"), "lights on") == {}
    assert filled(function(), "lights on") == {}


@pytest.mark.parametrize(
    ("kind", "spoken", "value"),
    [
        ({"type": "integer"}, "for ten minutes", 10),
        ({"type": "number"}, "to twenty one point five", 21.5),
        ({"type": "integer", "maximum": 20}, "not 30 but 15", 15),
        ({"type": "boolean"}, "switch it off", False),
        ({"type": "boolean"}, "switch it on", True),
        ({"type": "string", "enum": ["red", "dark_blue"]}, "make it dark blue", "dark_blue"),
        ({"type": "integer", "enum": [1, 2, 3]}, "level two", 2),
        ({"type": "array", "items": {"type": "integer"}}, "seven", [7]),
        ({"type": "string", "default": "here"}, "", "here"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, "four", 4),
        ({"type": ["integer", "null"]}, "four", 4),
        (
            {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
            "nine",
            {"n": 9},
        ),
    ],
)
def test_each_kind_of_value_comes_from_what_was_said(
    kind: dict[str, Any], spoken: str, value: Any
) -> None:
    tool = function(value=kind)
    assert filled(tool, spoken) == {"value": value}
    assert schema.accepts(tool.parameters, {"value": value})


@pytest.mark.parametrize(
    "kind",
    [{"type": "integer"}, {"type": "string", "enum": ["red"]}, {"type": "integer", "minimum": 90}],
)
def test_a_value_that_was_not_said_is_asked_for(kind: dict[str, Any]) -> None:
    with pytest.raises(arguments.Unsaid) as caught:
        filled(function(level=kind), "do it 5 times" if "minimum" in kind else "do it please")
    assert caught.value.name == "level"


def test_optional_values_that_were_not_said_are_left_out() -> None:
    tool = function(required=["city"], city=TEXT, days={"type": "integer"}, note=TEXT)
    assert set(filled(tool, "weather in paris")) == {"city"}
    assert filled(tool, "weather in paris for three days")["days"] == 3


def test_strings_are_spans_that_begin_and_end_with_meaning() -> None:
    found = arguments.spans(ToolDeclaration("play_music"), "please play some Miles Davis for me")
    assert "Miles Davis" in found
    for span in found:
        assert span.split()[0].lower() not in {"please", "play", "some", "for"}
        assert span.split()[-1].lower() not in {"some", "for", "me"}


def test_the_grammar_allows_nothing_but_what_was_said() -> None:
    choose = FirstOption()
    arguments.fill(function("tell", to=TEXT, text=TEXT), 'tell bob the "big" news', choose)
    (grammar,) = choose.grammars
    allowed = {
        json.loads(json.loads(o)) for o in grammar.split("\n")[1].split(" ::= ")[1].split(" | ")
    }
    assert "bob" in allowed
    assert all(span in 'tell bob the "big" news' for span in allowed)


def test_a_cut_off_answer_of_the_model_still_gives_a_valid_call() -> None:
    tool = function("tell", to=TEXT, text=TEXT)
    values = arguments.fill(tool, "tell bob hello world", lambda question, grammar: '{"to": "bo')
    assert schema.accepts(tool.parameters, values)


@pytest.mark.parametrize(
    ("of", "value", "good"),
    [
        ({"type": "integer"}, 5, True),
        ({"type": "integer"}, True, False),
        ({"type": "integer"}, 5.5, False),
        ({"type": "number", "minimum": 3}, 2, False),
        ({"type": "string", "maxLength": "2"}, "abc", False),
        ({"type": "string", "enum": ["a"]}, "b", False),
        ({"type": "array", "items": {"type": "string"}}, ["a", 1], False),
        ({"type": "array", "maxItems": 1}, ["a", "b"], False),
        ({"type": "object", "required": ["a"]}, {}, False),
        ({"type": "string", "nullable": True}, None, True),
        (None, "anything", True),
    ],
)
def test_values_are_held_to_the_schema(of: Any, value: Any, good: bool) -> None:
    assert schema.accepts(of, value) is good


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


# --- enough ----------------------------------------------------------------------------------


def fed(text: str, most: int = 100) -> Brevity:
    brevity = Brevity(most)
    for piece in re.findall(r"\s*\S+", text):
        brevity.shown(piece)
    return brevity


def test_an_answer_ends_when_it_is_long_or_goes_round() -> None:
    assert not fed("One sentence. Another one.").enough
    assert fed("I am glad. So are you. I am glad.").enough
    assert fed("a b c d.", most=4).enough
    assert fed('He said: "go on." He said: "go on."').enough
    assert not fed("a b c d", most=4).enough, "not in mid-sentence"
    assert not fed("a b c 1.", most=4).enough, "not after the number of a list"


def test_nothing_is_shown_before_the_first_word() -> None:
    brevity = Brevity(9)
    assert [brevity.shown(piece) for piece in ("\n", " Hi", " you")] == ["", "Hi", " you"]


# --- places and windows ----------------------------------------------------------------------


def test_conversations_keep_their_slot_until_it_is_needed() -> None:
    places = Places(2)
    assert (places.of("a").slot, places.of("b").slot) == (0, 1)
    assert places.of("a").slot == 0
    assert places.of("c").slot == 1, "b was used longest ago"
    places.release("a")
    assert places.of("b").slot == 0
    assert len(places) == 2
    places.release("nobody")


def said(role: Role, text: str) -> Content:
    return Content(role, (Text(text),))


def test_the_kept_part_begins_with_the_user_and_stays_put() -> None:
    history = [said(role, "x" * 10) for _ in range(20) for role in (Role.USER, Role.MODEL)]
    first = first_kept(history, 200, lambda content: len(content.text))
    assert history[first].role is Role.USER
    assert sum(len(content.text) for content in history[first:]) <= 100
    more = [*history, said(Role.USER, "x" * 10)]
    assert first_kept(more, 200, lambda content: len(content.text), first) == first


def test_the_last_content_is_kept_whatever_it_costs() -> None:
    history = [said(Role.USER, "x" * 10), said(Role.USER, "x" * 999)]
    assert first_kept(history, 50, lambda content: len(content.text)) == 1
    assert first_kept([], 50, lambda content: 1) == 0


def test_settings_with_faults_are_refused_as_a_whole() -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings({"slots": True, "context": 10, "colour": "red"})
    for fault in ("slots", "context", "colour"):
        assert fault in str(caught.value)
    assert read_settings({"threads": 3}).thread_count == 3


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (4, 3)])
def test_the_model_leaves_one_core_to_the_rest(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert read_settings({}).thread_count == threads
