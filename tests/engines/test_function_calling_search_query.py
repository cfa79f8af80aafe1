"""Which requests are searched for, and with which query."""

from __future__ import annotations

import pytest

from vivavoce.engines.function_calling import search_query

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
    assert search_query.query(request_) == query


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
    assert search_query.query(request_) == ""


def test_a_question_with_a_pronoun_takes_the_previous_query_along() -> None:
    previous = "largest earthquake in California"
    assert search_query.query("how strong was it", previous) == f"how strong was it {previous}"
    assert search_query.query("look it up", previous) == previous
    assert search_query.query("who wrote hamlet", previous) == "who wrote hamlet"


def test_a_search_command_is_told_from_a_question() -> None:
    assert search_query.is_search_command("please look up whales")
    assert not search_query.is_search_command("what are whales")
    assert search_query.names_the_web("search the web for whales")
    assert not search_query.names_the_web("search for whales")
