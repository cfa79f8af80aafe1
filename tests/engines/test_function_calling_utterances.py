"""Where an utterance is cut into requests, and where it must stay whole."""

from __future__ import annotations

import pytest

from vivavoce.engines.function_calling.utterances import asks_for_answer, split, strip_request

KNOWN = {
    "lights on": ("lights on", "lights off", "on the lights", "off the lights", "lamp"),
    "music": ("jazz", "play ", "radio"),
    "stop music": ("music off",),
    "timer": ("timer", "countdown"),
    "message": ("message", "text "),
    "door": ("lock the door", "door"),
    "list": ("shopping list",),
    "search": ("search for", "look up", "who ", "when ", "https://"),
}


def wanted(piece: str) -> str:
    """A choice by words alone; of several the one that is named first."""
    plain = f"{piece.lower()} "
    places = {
        name: min(plain.find(word) for word in said if word in plain)
        for name, said in KNOWN.items()
        if any(word in plain for word in said)
    }
    return min(places, key=lambda name: places[name], default="")


@pytest.mark.parametrize(
    ("said", "pieces"),
    [
        ("lights on and play jazz", ["lights on", "play jazz"]),
        (
            "turn on the lights, play some jazz and set a timer for five minutes",
            ["turn on the lights", "play some jazz", "set a timer for five minutes"],
        ),
        ("turn on the lights and then lock the door", ["turn on the lights", "lock the door"]),
        ("turn on the lights then lock the door", ["turn on the lights", "lock the door"]),
        ("Lock the door. After that, play jazz.", ["Lock the door.", "play jazz."]),
        ("turn the lights on and the music off", ["turn the lights on", "the music off"]),
        ("turn on the lights and tell me a joke", ["turn on the lights", "tell me a joke"]),
        ("tell me a joke and turn on the lights", ["tell me a joke", "turn on the lights"]),
        ("who wrote hamlet and turn off the lights", ["who wrote hamlet", "turn off the lights"]),
        (
            "send a message to anna that i am late and turn on the lights",
            ["send a message to anna that i am late", "turn on the lights"],
        ),
        ("Hello! Please lock the door. Thank you very much!", ["lock the door."]),
    ],
)
def test_requests_are_cut_apart(said: str, pieces: list[str]) -> None:
    assert split(said, wanted) == pieces


@pytest.mark.parametrize(
    "said",
    [
        "play rock and roll",
        "play simon and garfunkel",
        "play salt and pepper, and nothing else",
        "send a message to anna and bob",
        "send a message to anna and bob that i am late, and call me",
        "add salt and pepper to the shopping list",
        "set a timer for ten minutes and twenty seconds",
        "turn on the lights in the kitchen and the bedroom",
        "who wrote hamlet and when was it played",
        "remind me to turn off the lights and lock the door",
        "tell anna to lock the door and turn off the lights",
        'text anna "lights on and play jazz"',
        "send a message to anna: I am late. See you soon.",
        "read https://example.com/a and tell me who wrote it",
        "It is dark. I can't see a thing.",
        "run this:\n```python\nprint(1)\nprint(2)\n```",
        "",
    ],
)
def test_what_belongs_together_stays_whole(said: str) -> None:
    assert split(said, wanted) == [said]


@pytest.mark.parametrize(
    "opening",
    [
        "Hey, I need you to do two things for me.",
        "Could you please do the following:",
        "Hi there!",
        "Here is what I need:",
    ],
)
@pytest.mark.parametrize("marks", [("1.", "2."), ("1)", "2)"), ("-", "-")])
def test_the_items_of_a_list_are_requests_and_politeness_is_none(
    opening: str, marks: tuple[str, str]
) -> None:
    said = f"""
    {opening}

    {marks[0]} Look up the largest earthquake
       in California?
    {marks[1]} Then turn on the lights

    Thanks!
    """
    assert split(said, wanted) == [
        "Look up the largest earthquake in California?",
        "turn on the lights",
    ]


def test_a_text_without_end_is_not_cut() -> None:
    assert len(split("lights on and play jazz. " * 1000, wanted)) == 1


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("Hey, can you please lock the Door", "lock the Door"),
        ("okay so i would like you to play U2 please", "play U2"),
        ("And then turn it off!", "turn it off!"),
        ("please", "please"),
    ],
)
def test_politeness_goes_and_spelling_stays(said: str, left: str) -> None:
    assert strip_request(said) == left


def test_what_wants_words_is_told_from_what_wants_deeds() -> None:
    assert asks_for_answer("tell me a joke")
    assert asks_for_answer("could you say something nice")
    assert asks_for_answer("why is the sky blue")
    assert not asks_for_answer("can you lock the door")
    assert not asks_for_answer("it is dark")
