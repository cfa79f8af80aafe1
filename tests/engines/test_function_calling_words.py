"""Words and numbers as people say them to the small model, without its weights."""

from __future__ import annotations

import pytest

from vivavoce.engines.function_calling import words

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
    assert words.split_identifier(name) == expected


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
    [
        "don't turn on the lights",
        "i turned the lights on already",
        "never play jazz again",
        "we just lost the key",
        "not now",
        "no help needed",
        "no they are fine as they are",
        "leave the gate open, do not close it",
    ],
)
def test_what_is_forbidden_or_narrated_is_no_request(spoken: str) -> None:
    assert words.is_prohibition(spoken) or words.is_statement(spoken)
    assert not words.is_prohibition("turn on the lights")
    assert not words.is_statement("turn on the lights")
    assert not words.is_prohibition("no more lemons")
    assert not words.is_prohibition("leave a note for ben that i don't need the car")


def test_a_condition_makes_a_request_hypothetical() -> None:
    assert words.is_hypothetical("what would you do if it rained")
    assert words.is_hypothetical("i would open it if it were warm")
    assert not words.is_hypothetical("i would like to open it")


def test_functions_that_write_something_down_are_known_by_name() -> None:
    assert words.names_record("report_damage")
    assert not words.names_record("get_report")


def test_asking_for_information_is_a_request_for_knowledge() -> None:
    assert words.asks_for_information("can you tell me about light")
    assert words.asks_for_information("who invented the light bulb")
    assert not words.asks_for_information("tell john i am late")
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
    assert [
        words.names_action(name) for name in ("set_timer", "openDoor", "get_time", "stock_price")
    ] == [
        True,
        True,
        False,
        False,
    ]


def test_off_is_understood_where_a_recognizer_hears_of() -> None:
    assert "off" in words.tokenize_request("turn of the lights please")
    assert "off" not in words.tokenize_request("turn on one of the lights")


@pytest.mark.parametrize("spoken", ["kill the dishwasher", "light up the tree", "lights out"])
def test_no_word_is_given_a_meaning_that_it_has_of_lamps_only(spoken: str) -> None:
    assert words.tokenize_request(spoken) == spoken.split()


def test_words_that_a_recognizer_confuses_are_alike() -> None:
    assert words.is_similar("light", "lights")
    assert words.is_similar("thermostat", "thermostats")
    assert words.is_similar("kitchen", "kitchin")
    assert not words.is_similar("on", "off")
    assert not words.is_similar("music", "message")


def test_what_was_heard_is_written_as_it_would_be_typed() -> None:
    assert words.punctuate("what is the capital of france") == "What is the capital of france?"
    assert words.punctuate("tell me a joke ") == "Tell me a joke."
    assert words.punctuate("Really?!") == "Really?!"
