"""Where an utterance is cut into requests, and where it must stay whole."""

from __future__ import annotations

import pytest

from vivavoce.engines.function_calling import utterances
from vivavoce.engines.function_calling.utterances import (
    asks_for_answer,
    split_requests,
    strip_request,
)

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
    assert split_requests(said, wanted) == pieces


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
    assert split_requests(said, wanted) == [said]


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
    assert split_requests(said, wanted) == [
        "Look up the largest earthquake in California?",
        "turn on the lights",
    ]


def test_a_text_without_end_is_not_cut() -> None:
    assert len(split_requests("lights on and play jazz. " * 1000, wanted)) == 1


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


def test_requests_for_words_are_distinguished_from_requests_for_deeds() -> None:
    assert asks_for_answer("tell me a joke")
    assert asks_for_answer("could you say something nice")
    assert asks_for_answer("why is the sky blue")
    assert not asks_for_answer("can you lock the door")
    assert not asks_for_answer("it is dark")


QUESTIONS = (
    "How often should I descale the coffee machine",
    "how far can you climb Stromboli without a guide",
    "What should I do when the red light is flashing",
    "what happens when you press the round button twice",
    "Can I reserve the reading room",
    "may a truck cross the bridge at Halden",
    "isn't the library open on Sunday",
    "in which stadium did Argentina play",
    "since when is the bridge open",
    "how many vacation days do i have",
    "how do you boil an egg",
    "is it raining in Paris",
)


@pytest.mark.parametrize(
    ("request_", "query"),
    [
        (
            "Use Google Search to look up information about the largest earthquake in California"
            " the week of Dec 5 2024?",
            "largest earthquake in California the week of Dec 5 2024",
        ),
        ("search for cheap flights to Rome", "cheap flights to Rome"),
        ("Could you please google the capital of Peru?", "capital of Peru"),
        ("find out who won the world cup", "who won the world cup"),
        ("search the web for python tutorials", "python tutorials"),
        ("research the history of tea on the internet", "history of tea"),
        ("find me some information on whales", "whales"),
        ("tell me about the Roman empire", "Roman empire"),
        ("can you tell me when the library opens", "when the library opens"),
        ("what do you know about whales", "whales"),
        ("any idea how often it rains in Peru", "how often it rains in Peru"),
        ("At what time does the library close?", "At what time does the library close"),
        ("Opening hours of the library?", "Opening hours of the library"),
        (
            "The coffee machine stays off, what can I do?",
            "coffee machine stays off, what can I do",
        ),
        *((question, question) for question in QUESTIONS),
    ],
)
def test_the_query_is_the_request_without_its_command(request_: str, query: str) -> None:
    assert utterances.find_search_query(request_) == query


@pytest.mark.parametrize(
    "request_",
    [
        "how are you",
        "what is your name",
        "what did i just say",
        "what's up",
        "can you do something",
        "do you like music",
        "tell me a joke",
        "what should i cook tonight",
        "how fast can you think",
        "how do you feel today",
        "can i ask a question",
        "what time is it",
        "what is that?",
        "really?",
        "nice day today isn't it?",
        "good morning",
        "turn on the lights in the kitchen?",
        "could you play the last song by abba?",
        "the weather is the best here",
        "look it up",
        "",
    ],
)
def test_small_talk_and_commands_are_not_searched_for(request_: str) -> None:
    assert utterances.find_search_query(request_) == ""


def test_a_question_with_a_pronoun_takes_the_previous_query_along() -> None:
    previous = "largest earthquake in California"
    assert (
        utterances.find_search_query("how strong was it", previous)
        == f"how strong was it {previous}"
    )
    assert utterances.find_search_query("look it up", previous) == previous
    assert utterances.find_search_query("who wrote hamlet", previous) == "who wrote hamlet"


def test_a_search_command_is_distinguished_from_a_question() -> None:
    assert utterances.is_search_command("please look up whales")
    assert not utterances.is_search_command("what are whales")
    assert utterances.names_the_web("search the web for whales")
    assert not utterances.names_the_web("search for whales")
