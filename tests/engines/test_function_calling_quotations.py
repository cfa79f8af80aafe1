"""Which sentences of what was found answer a question."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.llamacpp_model import Host
from engines.test_documents_questions import (
    ANSWERED,
    EXAMPLES,
    MORE_ANSWERED,
    REASONS_AND_MISHEARD,
    SAMPLES,
    indexed_in,
)
from vivavoce.engines.documents import LocalSearch
from vivavoce.engines.function_calling.quotations import Passage, Quoter
from vivavoce.engines.function_calling.search_query import query
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.ports import SearchQuery
from vivavoce.engines.workers import CancelToken

pytestmark = pytest.mark.embedded

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
    "The library opens at 9 a.m. from Monday to Friday. On Saturday it closes at noon. It is closed"
    " on Sunday.\nPrices\nA reader's card costs 12 euros a year.",
)
TIDES = Passage(
    "Why there are tides",
    "Why there are tides\nAt new moon and at full moon the Sun pulls along the same line as the"
    " Moon. These are called spring tides, and have nothing to do with the season. At half moon the"
    " smaller neap tides follow.",
)
ALL = (QUAKES, TOWER, LIBRARY)


@pytest.fixture(scope="module")
def quoter() -> Quoter:
    return Quoter(MiniLM(Host().weights("minilm")))


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
        ("when does the library open on Wednesday", "The library opens at 9 a.m. from Monday to"
         " Friday."),
        ("When does the library close on Saturday", "On Saturday it closes at noon."),
        ("is the library open on Sunday", "It is closed on Sunday."),
    ],
)  # fmt: skip
def test_the_sentence_that_answers_is_quoted(quoter: Quoter, question: str, answer: str) -> None:
    assert quoter.quote(question, ALL, CancelToken()) == [answer]
    assert any(answer in passage.text for passage in ALL)


@pytest.mark.parametrize(
    "question",
    ["roman empire", "who won the world cup", "capital of peru", "when did the titanic sink"],
)
def test_what_was_not_found_is_not_quoted(quoter: Quoter, question: str) -> None:
    assert quoter.quote(question, ALL, CancelToken()) == []


@pytest.mark.parametrize(
    ("question", "beginning"),
    [("What causes spring tides", "At new moon"), ("Which tower stands in Paris", "The Eiffel")],
)
def test_a_sentence_that_points_back_takes_the_one_before_along(
    quoter: Quoter, question: str, beginning: str
) -> None:
    found = quoter.quote(question, (*ALL, TIDES), CancelToken())
    assert found[0].startswith(beginning)


def test_titles_and_headings_answer_nothing(quoter: Quoter) -> None:
    titled = Passage(TIDES.title, f"{TIDES.title}\nThe cause\nThe sea bulges on both sides.")
    assert quoter.quote("why there are tides", (titled,), CancelToken()) == [
        "The sea bulges on both sides."
    ]
    assert quoter.beginning((titled,)) == ["The sea bulges on both sides."]


def test_a_cancelled_question_is_not_answered(quoter: Quoter) -> None:
    cancel = CancelToken()
    cancel.cancel()
    assert quoter.quote("when was the Eiffel Tower built", ALL, cancel) == []


def test_a_page_begins_with_whole_sentences(quoter: Quoter) -> None:
    assert quoter.beginning(ALL, 120) == ["California had a busy month."]
    assert len(quoter.beginning((TOWER, QUAKES), 120)) == 2
    assert quoter.beginning(()) == []


async def test_questions_to_documents(quoter: Quoter, tmp_path: Path) -> None:
    """The tables of the document search, from the question to the quotation."""
    engine = LocalSearch(indexed_in(tmp_path, EXAMPLES, SAMPLES))
    asked = [*ANSWERED, *MORE_ANSWERED, *REASONS_AND_MISHEARD]
    asked += [("When does the library close on Saturday?", "on Saturday from ten to two")]
    missed = []
    for question, holds in asked:
        text = query(question) or question
        found = await engine.search(SearchQuery(text))
        passages = [Passage(one.title, one.text) for one in found]
        quoted = " ".join(quoter.quote(text, passages, CancelToken()))
        missed += [] if holds in " ".join(quoted.split()) else [question]
    await engine.aclose()
    assert asked[-1][0] not in missed
    assert len(missed) <= 9, missed
