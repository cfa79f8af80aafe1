"""Results of calls as spoken sentences."""

from __future__ import annotations

from typing import Any

import pytest

from engines.text_model import TextModel
from vivavoce.domain.content import ToolCall, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.engines.function_calling import confirmations, results
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
    assert results.summary(result(response, "google_search")) == f"google search: {line}"


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
    said = confirmations.confirm(TextModel([written]), request_, call, CancelToken())
    assert said == (written if grounded else confirmations.DONE)
