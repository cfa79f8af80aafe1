"""Results of calls as spoken sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engines.llamacpp_model import Host
from engines.test_document_questions import (
    ANSWERED,
    EXAMPLES,
    MORE_ANSWERED,
    REASONS_AND_MISHEARD,
    SAMPLES,
    indexed_in,
)
from engines.text_model import TextModel
from vivavoce.domain.content import ToolCall, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.engines.document_search import LocalSearch
from vivavoce.engines.function_calling import results
from vivavoce.engines.function_calling.results import Passage, Quoter
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.function_calling.utterances import find_search_query
from vivavoce.engines.ports import SearchQuery
from vivavoce.engines.workers import CancelToken


def result(response: dict[str, Any], name: str = "get_weather") -> ToolResult:
    return ToolResult(CallId("c"), name, response)


@pytest.mark.parametrize(
    "response", [{"result": "ok"}, {"output": {"success": True}}, {"status": "done"}, {}]
)
def test_a_bare_success_reports_nothing(response: dict[str, Any]) -> None:
    assert results.report_values(result(response)) == ""
    assert results.report_failure(result(response)) == ""


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        ({"result": "It's 21 degrees and sunny"}, "It's 21 degrees and sunny."),
        ({"temperature": 21.0, "sky": "cloudy"}, "The temperature is 21 and the sky is cloudy."),
        ({"output": {"windSpeed": 4}}, "The wind speed is 4."),
        ({"price": 1234567.89}, "The price is 1234567.89."),
        ({"result": 7}, "The weather is 7."),
        ({"result": ["one", "two", "three"]}, "One, two and three."),
        ({"result": []}, "There are none."),
        ({"locked": False}, "It is not locked."),
        ({"is_raining": True}, "It is raining."),
        ({"spare_key": False}, "Spare key: no."),
        ({"events": []}, "There are no events."),
        ({"days": ["Monday", "Friday"]}, "The days are Monday and Friday."),
        ({"status": "ok", "message": "Three eggs left."}, "Three eggs left."),
    ],
)
def test_values_are_reported_as_they_came(response: dict[str, Any], sentence: str) -> None:
    assert results.report_values(result(response)) == sentence


@pytest.mark.parametrize(
    ("response", "detail"),
    [
        ({"error": "no such city"}, ": no such city"),
        ({"error": "The function did not answer."}, ": the function did not answer"),
        ({"error": {"code": 5}}, ": code 5"),
        ({"success": False}, ""),
        ({"success": False, "reason": "no power"}, ": the reason is no power"),
    ],
)
def test_failures_are_reported(response: dict[str, Any], detail: str) -> None:
    assert results.report_failure(result(response)) == f"Sorry, that did not work{detail}."


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
def test_a_summary_is_one_line(response: dict[str, Any], line: str) -> None:
    assert results.summarize_result(result(response, "google_search")) == f"google search: {line}"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("The temperature is 21.", "So far: the temperature is 21."),
        ("NASA answered.", "So far: NASA answered."),
        ("", "It is still under way."),
    ],
)
def test_a_part_of_a_result_is_reported_as_a_part(values: str, sentence: str) -> None:
    assert results.report_progress(values) == sentence


@pytest.mark.parametrize(
    ("printed", "spoken"),
    [
        ("391", "391"),
        ("12.0", "12"),
        ("0.30000000000000004", "0.3"),
        ("1.4142135623730951", "about 1.4142"),
        ("0.00012345678", "about 0.0001235"),
        ("1e+30", "1e+30"),
        ("True", "yes"),
        ("['Eve', 'Anna', 'Bob']", "Eve, Anna and Bob"),
        ("[0.5, 0.3333333333333333]", "0.5 and about 0.3333"),
        ("Saturday", "Saturday"),
    ],
)
def test_printed_values_are_spoken(printed: str, spoken: str) -> None:
    assert results.spoken_value(printed) == spoken


@pytest.mark.parametrize(
    ("request_", "response", "sentence"),
    [
        ("What is 17 times 23?", {"output": "391\n"}, "17 times 23 is 391."),
        ("is seven a prime number", {"output": "True\n"}, "Yes."),
        ("sort these names", {"output": "['Eve', 'Bob']\n"}, "The result is Eve and Bob."),
        ("count to two", {"output": "1\n2\n"}, "The output is 1; 2."),
        ("do nothing", {"output": ""}, "The code ran and printed nothing."),
        (
            "what is 1 divided by 0",
            {"outcome": "OUTCOME_FAILED", "output": "Traceback\nZeroDivisionError: by 0"},
            "Sorry, the code did not work: ZeroDivisionError: by 0.",
        ),
        ("wait", {"outcome": "OUTCOME_DEADLINE_EXCEEDED"}, "Sorry, the code took too long."),
    ],
)
def test_what_a_program_printed_is_reported(
    request_: str, response: dict[str, Any], sentence: str
) -> None:
    assert results.report_code(result(response, "code_execution"), request_) == sentence


@pytest.mark.parametrize(
    ("request_", "args", "written", "grounded"),
    [
        ("Set a timer. seven", {"minutes": 7}, "I'm calling Tom.", False),
        ("Set a timer. seven", {"minutes": 7}, "I'm setting a timer for 7.", True),
        ("set a timer for ten minutes", {"minutes": 10}, "The timer is set for nine.", False),
        ("switch the timer off", {"on": False}, "The timer is on.", False),
        ("switch the timer off", {"on": False}, "The timer is off.", True),
        ("set a timer", {"minutes": 7}, "The timer", False),
        ("set a timer", {"minutes": 7}, "", False),
    ],
)
def test_a_confirmation_is_used_if_request_and_call_hold_all_it_says(
    request_: str, args: dict[str, Any], written: str, grounded: bool
) -> None:
    call = ToolCall(CallId("c"), "set_timer", args)
    said = results.confirm_call(TextModel([written]), request_, call, CancelToken())
    assert said == (written if grounded else results.DONE)


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
        ("when does the library open on Wednesday", "The library opens at 9 a.m. from Monday to"
         " Friday."),
        ("When does the library close on Saturday", "On Saturday it closes at noon."),
        ("is the library open on Sunday", "It is closed on Sunday."),
    ],
)  # fmt: skip
def test_the_sentence_that_answers_is_quoted(quoter: Quoter, question: str, answer: str) -> None:
    assert quoter.quote_answer(question, ALL, CancelToken()) == [answer]
    assert any(answer in passage.text for passage in ALL)


@pytest.mark.embedded
@pytest.mark.parametrize(
    "question",
    ["roman empire", "who won the world cup", "capital of peru", "when did the titanic sink"],
)
def test_what_was_not_found_is_not_quoted(quoter: Quoter, question: str) -> None:
    assert quoter.quote_answer(question, ALL, CancelToken()) == []


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("question", "beginning"),
    [("What causes spring tides", "At new moon"), ("Which tower stands in Paris", "The Eiffel")],
)
def test_a_sentence_that_points_back_takes_the_one_before_along(
    quoter: Quoter, question: str, beginning: str
) -> None:
    found = quoter.quote_answer(question, (*ALL, TIDES), CancelToken())
    assert found[0].startswith(beginning)


@pytest.mark.embedded
def test_titles_and_headings_answer_nothing(quoter: Quoter) -> None:
    titled = Passage(TIDES.title, f"{TIDES.title}\nThe cause\nThe sea bulges on both sides.")
    assert quoter.quote_answer("why there are tides", (titled,), CancelToken()) == [
        "The sea bulges on both sides."
    ]
    assert quoter.quote_start((titled,)) == ["The sea bulges on both sides."]


@pytest.mark.embedded
def test_a_cancelled_question_is_not_answered(quoter: Quoter) -> None:
    cancel = CancelToken()
    cancel.cancel()
    assert quoter.quote_answer("when was the Eiffel Tower built", ALL, cancel) == []


@pytest.mark.embedded
def test_a_page_begins_with_whole_sentences(quoter: Quoter) -> None:
    assert quoter.quote_start(ALL, 120) == ["California had a busy month."]
    assert len(quoter.quote_start((TOWER, QUAKES), 120)) == 2
    assert quoter.quote_start(()) == []


@pytest.mark.embedded
async def test_questions_to_documents(quoter: Quoter, tmp_path: Path) -> None:
    """The tables of the document search, from the question to the quotation."""
    engine = LocalSearch(indexed_in(tmp_path, EXAMPLES, SAMPLES))
    asked = [*ANSWERED, *MORE_ANSWERED, *REASONS_AND_MISHEARD]
    asked += [("When does the library close on Saturday?", "on Saturday from ten to two")]
    missed = []
    for question, holds in asked:
        text = find_search_query(question) or question
        found = await engine.search(SearchQuery(text))
        passages = [Passage(one.title, one.text) for one in found]
        quoted = " ".join(quoter.quote_answer(text, passages, CancelToken()))
        missed += [] if holds in " ".join(quoted.split()) else [question]
    await engine.aclose()
    assert asked[-1][0] not in missed
    assert len(missed) <= 9, missed
