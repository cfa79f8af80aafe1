"""What is searched for, and which sentences of what was found are an answer."""

from __future__ import annotations

import pytest

from engines.smollm_model import Host
from vivavoce.engines.function_calling import seeking
from vivavoce.engines.function_calling.reading import Passage, Reader
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.lanes import CancelToken

FACTS = (
    "How often should I descale the coffee machine",
    "how long can i keep a film from the library",
    "how far can you climb Stromboli without a guide",
    "What causes spring tides",
    "What should I do when the red light is flashing",
    "what happens when you press the round button twice",
    "Can I reserve the reading room",
    "Should the tomatoes be watered every day",
    "may a truck cross the bridge at Halden",
    "isn't the library open on Sunday",
    "in which stadium did Argentina play",
    "since when is the bridge open",
)


@pytest.mark.parametrize(
    ("said", "query"),
    [
        (
            "Use Google Search to look up information about the largest earthquake in California"
            " the week of Dec 5 2024?",
            "largest earthquake in California the week of Dec 5 2024",
        ),
        ("search for cheap flights to Rome", "cheap flights to Rome"),
        ("Could you please google the capital of Peru?", "capital of Peru"),
        ("look up how tall Mount Everest is", "how tall Mount Everest is"),
        ("find out who won the world cup", "who won the world cup"),
        ("search the web for python tutorials", "python tutorials"),
        ("research the history of tea on the internet", "history of tea"),
        ("find me some information on whales", "whales"),
        ("tell me about the Roman empire", "Roman empire"),
        ("When was the Eiffel Tower built?", "When was the Eiffel Tower built"),
        ("can you tell me when the library opens", "when the library opens"),
        ("i want to know who invented the telephone", "who invented the telephone"),
        ("how many vacation days do i have", "how many vacation days do i have"),
        ("how do you boil an egg", "how do you boil an egg"),
        ("is it raining in Paris", "is it raining in Paris"),
        ("what do you know about whales", "whales"),
        ("Give me some information about whales", "whales"),
        ("any idea how often it rains in Peru", "how often it rains in Peru"),
        ("At what time does the library close?", "At what time does the library close"),
        *((asked, asked) for asked in FACTS),
    ],
)
def test_the_query_is_the_request_without_its_command(said: str, query: str) -> None:
    assert seeking.query(said) == query


@pytest.mark.parametrize(
    "said",
    [
        "how are you",
        "what is your name",
        "who are you",
        "what did i just say",
        "what's up",
        "can you hear me",
        "can you do something",
        "do you like music",
        "tell me a joke",
        "what should i cook tonight",
        "what can you do",
        "how fast can you think",
        "how do you feel today",
        "can i ask a question",
        "what time is it",
        "what day is it today",
        "what is that?",
        "good morning",
        "thank you",
        "turn on the lights",
        "look it up",
        "search",
        "",
    ],
)
def test_small_talk_and_commands_are_not_searched_for(said: str) -> None:
    assert seeking.query(said) == ""


def test_a_question_that_points_back_takes_along_what_was_searched_for() -> None:
    before = "largest earthquake in California"
    assert seeking.query("how strong was it", before) == f"how strong was it {before}"
    assert seeking.query("look it up", before) == before
    assert seeking.query("who wrote hamlet", before) == "who wrote hamlet"


@pytest.mark.parametrize(
    ("said", "sought"),
    [
        ("last saw damage between brazil and argentina",) * 2,
        ("hamstrung was the earthquake in california",) * 2,
        ("one does the library in willow street open",) * 2,
        (
            "The coffee machine stays off, what can I do?",
            "coffee machine stays off, what can I do",
        ),
        ("Opening hours of the library?", "Opening hours of the library"),
    ],
)
def test_what_was_a_question_once_is_searched_for(said: str, sought: str) -> None:
    assert seeking.query(said) == ""
    assert seeking.topic(said) == sought


@pytest.mark.parametrize(
    "said",
    [
        "turn on the lights in the kitchen",
        "turn on the lights in the kitchen?",
        "lights out in the kitchen",
        "play the last song by abba",
        "could you play the last song by abba?",
        "yesterday was the best day of summer",
        "last night was a lot of fun",
        "the weather is the best here",
        "I think it was the butler",
        "nice day today isn't it?",
        "what was that?",
        "last Brazil match",
        "really?",
    ],
)
def test_statements_and_orders_are_no_topics(said: str) -> None:
    assert seeking.topic(said) == ""


def test_only_what_has_lost_its_beginning_is_half_heard() -> None:
    assert seeking.is_half_heard("hamstrung was the earthquake in california")
    assert not seeking.is_half_heard("how strong was the earthquake in california")
    assert not seeking.is_half_heard("search for the earthquake in california")


def test_an_order_to_search_is_told_from_a_question() -> None:
    assert seeking.is_asked_for("please look up whales")
    assert not seeking.is_asked_for("what are whales")
    assert seeking.names_the_web("search the web for whales")
    assert not seeking.names_the_web("search for whales")


QUAKES = Passage(
    "Earthquakes of December 2024",
    "California had a busy month. On December 5, 2024, a magnitude 7.0 earthquake struck off the"
    " coast of Humboldt County, California. A tsunami warning was issued for the north coast and"
    " cancelled an hour later. Some stores lost windows.\nSmaller shocks followed for days.",
)
TOWER = Passage(
    "Eiffel Tower",
    "The Eiffel Tower is a lattice tower on the Champ de Mars in Paris. It was built from 1887 to"
    " 1889. The company of Gustave Eiffel designed the tower.\n- It is 330 metres tall.",
)
LIBRARY = Passage(
    "Opening hours",
    "The library opens at 9 a.m. from Monday to Friday. A reader's card costs 12 euros a year."
    " When does it close? It closes at 6 p.m. every day.",
)
TIDES = Passage(
    "Why there are tides",
    "Why there are tides\nAt new moon and at full moon the Sun pulls along the same line as the"
    " Moon. These are called spring tides, and have nothing to do with the season. At half moon the"
    " smaller neap tides follow.",
)
ALL = (QUAKES, TOWER, LIBRARY)


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(MiniLM(Host().weights("minilm")))


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (
            "largest earthquake in California the week of Dec 5 2024",
            "On December 5, 2024, a magnitude 7.0 earthquake struck off the coast of Humboldt"
            " County, California.",
        ),
        ("when was the Eiffel Tower built", "It was built from 1887 to 1889."),
        ("how tall is the eiffel tower", "It is 330 metres tall."),
        ("who designed the eiffel tower", "The company of Gustave Eiffel designed the tower."),
        ("how much is a reader's card", "A reader's card costs 12 euros a year."),
        ("when does the library open", "The library opens at 9 a.m. from Monday to Friday."),
        ("was there a tsunami warning", "A tsunami warning was issued for the north coast and"
         " cancelled an hour later."),
    ],
)  # fmt: skip
def test_the_sentence_that_answers_is_told_as_it_stands(
    reader: Reader, question: str, answer: str
) -> None:
    found = reader.answer(question, ALL, CancelToken())
    assert found == [answer]
    assert any(answer in passage.text for passage in ALL)


@pytest.mark.embedded
@pytest.mark.parametrize(
    "question",
    ["roman empire", "who won the world cup", "capital of peru", "when did the titanic sink"],
)
def test_what_was_not_found_is_no_answer(reader: Reader, question: str) -> None:
    assert reader.answer(question, ALL, CancelToken()) == []


@pytest.mark.embedded
def test_a_sentence_that_points_back_takes_along_the_one_before_it(reader: Reader) -> None:
    assert reader.answer("What causes spring tides", (*ALL, TIDES), CancelToken()) == [
        "At new moon and at full moon the Sun pulls along the same line as the Moon.",
        "These are called spring tides, and have nothing to do with the season.",
    ]


@pytest.mark.embedded
def test_a_measure_is_known_by_its_noun_and_a_year_is_none(reader: Reader) -> None:
    quake = Passage(
        "The largest earthquake in California in the week of 5 December 2024",
        "On Thursday, 5 December 2024, an earthquake of magnitude 7.0 struck off Cape Mendocino, on"
        " the north coast of California. It was the largest earthquake in California that week, and"
        " the largest in the state since 2019. It began at 10:44 in the morning, Pacific time,"
        " beneath the sea floor about 70 kilometres west of the town of Ferndale in Humboldt"
        " County, at a depth of about 10 kilometres.",
    )
    for question, holds in (
        ("how strong was the earthquake in california", "magnitude 7.0"),
        ("how deep was the earthquake in california", "a depth of about 10"),
    ):
        (found,) = reader.answer(question, (quake,), CancelToken())
        assert holds in found


@pytest.mark.embedded
def test_a_title_answers_nothing(reader: Reader) -> None:
    titled = Passage(TIDES.title, f"{TIDES.title}\nThe sea bulges on both sides of the Earth.")
    assert reader.answer("why there are tides", (titled,), CancelToken()) == [
        "The sea bulges on both sides of the Earth."
    ]
    assert reader.first((titled,)) == ["The sea bulges on both sides of the Earth."]


@pytest.mark.embedded
def test_nobody_waits_for_an_answer_that_nobody_wants(reader: Reader) -> None:
    token = CancelToken()
    token.cancel()
    assert reader.answer("when was the Eiffel Tower built", ALL, token) == []


@pytest.mark.embedded
def test_a_page_begins_with_whole_sentences(reader: Reader) -> None:
    assert reader.first(ALL, 120) == ["California had a busy month."]
    assert reader.first((TOWER, QUAKES), 120) == [
        "The Eiffel Tower is a lattice tower on the Champ de Mars in Paris.",
        "It was built from 1887 to 1889.",
    ]
    assert reader.first(()) == []
