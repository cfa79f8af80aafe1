"""Wire values, and the faults of messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from vivavoce.errors import INVALID, ClientFault
from vivavoce.protocol import base, close
from vivavoce.protocol.dialect import GeminiDialect


def read(kind: Any, value: Any, strict: bool = False) -> Any:
    return TypeAdapter(kind).validate_python(value, context={"reading": base.Reading(strict)})


@pytest.mark.parametrize("value", [40, 40.0, "40", "40.0", "4e1", "+40"])
def test_integers_come_as_numbers_floats_and_strings(value: Any) -> None:
    for kind in (base.Int32, base.Int64):
        assert read(kind, value) == 40
        assert type(read(kind, value)) is int


@pytest.mark.parametrize(
    "value", [40.5, "40.5", "x", "", " 40", "4_0", "٤", True, [], 1 << 31, -(1 << 31) - 1, "9" * 30]
)
def test_what_is_no_int32(value: Any) -> None:
    with pytest.raises(ValidationError, match="TYPE_INT32"):
        read(base.Int32, value)


def test_int64_reaches_further() -> None:
    assert read(base.Int64, str((1 << 63) - 1)) == (1 << 63) - 1
    with pytest.raises(ValidationError, match="TYPE_INT64"):
        read(base.Int64, 1 << 63)


@pytest.mark.parametrize(("value", "number"), [(1, 1.0), ("0.5", 0.5), ("-2e-1", -0.2)])
def test_numbers(value: Any, number: float) -> None:
    assert read(base.Number, value) == number


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-inf", float("nan"), float("inf"), "1e999"])
def test_nan_and_infinities_are_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match="TYPE_DOUBLE"):
        read(base.Number, value)


@pytest.mark.parametrize("value", [1, 0, "true", "yes"])
def test_only_true_and_false_are_flags(value: Any) -> None:
    assert read(base.Flag, True) is True
    with pytest.raises(ValidationError):
        read(base.Flag, value)


def test_bytes_are_base64() -> None:
    assert read(base.Bytes, "_w") == b"\xff"
    with pytest.raises(ValidationError, match="base64"):
        read(base.Bytes, "*")
    with pytest.raises(ValidationError, match="TYPE_BYTES"):
        read(base.Bytes, 7)


@pytest.mark.parametrize(("text", "seconds"), [("50s", 50), ("1.5s", 1.5), ("0.000000001s", 1e-9)])
def test_durations_end_in_s(text: str, seconds: float) -> None:
    assert read(base.Duration, text, strict=True) == pytest.approx(seconds)


def test_a_number_is_a_duration_only_when_lenient() -> None:
    assert read(base.Duration, 5) == 5
    for strict in (False, True):
        with pytest.raises(ValidationError, match="TYPE_DURATION"):
            read(base.Duration, "5 min", strict)
    with pytest.raises(ValidationError, match="TYPE_DURATION"):
        read(base.Duration, 5, strict=True)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-01-01T00:30:00Z", datetime(2030, 1, 1, 0, 30, tzinfo=UTC)),
        ("2030-01-01T00:30:00.000Z", datetime(2030, 1, 1, 0, 30, tzinfo=UTC)),
        ("2030-01-01T00:30:00.5Z", datetime(2030, 1, 1, 0, 30, 0, 500_000, tzinfo=UTC)),
        ("2030-01-01T00:30:00.123456789Z", datetime(2030, 1, 1, 0, 30, 0, 123_456, tzinfo=UTC)),
        (
            "2030-01-01T02:30:00+02:00",
            datetime(2030, 1, 1, 2, 30, tzinfo=timezone(timedelta(hours=2))),
        ),
    ],
)
def test_timestamps(text: str, moment: datetime) -> None:
    assert read(base.Timestamp, text) == moment


@pytest.mark.parametrize(
    "value", ["2030-01-01", "2030-01-01T00:30:00", "2030-13-01T00:30:00Z", "", 1893456000]
)
def test_what_is_no_timestamp(value: Any) -> None:
    with pytest.raises(ValidationError, match="TYPE_TIMESTAMP"):
        read(base.Timestamp, value)


@pytest.mark.parametrize(
    "value", ["START_SENSITIVITY_HIGH", "HIGH", "high", "start_sensitivity_high", " High ", 1]
)
def test_enums_in_any_case_with_and_without_prefix_or_by_number(value: Any) -> None:
    assert base.START_SENSITIVITY.find(value) == "HIGH"


@pytest.mark.parametrize("value", ["START_SENSITIVITY_UNSPECIFIED", "unspecified", 0])
def test_unspecified_is_empty(value: Any) -> None:
    assert base.START_SENSITIVITY.find(value) == ""


@pytest.mark.parametrize("value", ["TALL", 3, -1, True, 1.0, None, []])
def test_no_value_of_an_enum(value: Any) -> None:
    assert base.START_SENSITIVITY.find(value) is None


def test_interrupted_is_a_spelling_of_interrupt() -> None:
    assert base.SCHEDULING.find("INTERRUPTED") == "INTERRUPT"
    assert base.SCHEDULING.find("SCHEDULING_UNSPECIFIED") == ""


def test_coverage_is_unspecified_under_the_enums_own_name() -> None:
    assert base.TURN_COVERAGE.find("TURN_COVERAGE_UNSPECIFIED") == ""
    assert base.TURN_COVERAGE.find("TURN_INCLUDES_ALL_INPUT") == "ALL_INPUT"


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "message",
    [
        {"clientContent": {"turns": [7] * 30_000}},
        {"clientContent": {f"x{n}": n for n in range(30_000)}, "setup": {}},
        {"setup": {"model": "m", "tools": [{"functionDeclarations": [7] * 30_000}]}},
    ],
)
def test_a_crowd_of_bad_entries_makes_one_fault(message: object, strict: bool) -> None:
    with pytest.raises(ClientFault) as refusal:
        GeminiDialect(strict).decode(json.dumps(message))
    assert refusal.value.code == INVALID
    assert 0 < len(close.cut_reason(refusal.value.reason).encode()) <= 123
