"""Numbers, durations and dates as they are said."""

from __future__ import annotations

import pytest

from vivavoce.engines.function_calling import numbers


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        ("ten minutes", [10]),
        ("twenty one point five degrees", [21.5]),
        ("a hundred and two", [102]),
        ("steer two seventy", [270]),
        ("in nineteen eighty four", [1984]),
        ("two, twenty", [2, 20]),
        ("at two thirty", [2, 30]),
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
def test_numbers_are_read_as_they_are_said(spoken: str, expected: list[float]) -> None:
    assert numbers.find_numbers(spoken) == expected


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("half an hour", 1800),
        ("three quarters of an hour", 2700),
        ("two and a half minutes", 150),
        ("an hour and twenty minutes", 4800),
        ("a 40-minute nap", 2400),
        ("for the next hour", 3600),
        ("a couple of days", 172800),
        ("an hour and a quarter", 4500),
    ],
)
def test_lengths_of_time_become_seconds(said: str, seconds: float) -> None:
    assert [found for _, found in numbers.find_durations(said)] == [seconds]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("wake me at half past six tomorrow morning", ["half past six tomorrow morning"]),
        ("on May 3 at 10:00 for 90 minutes", ["May 3 at 10:00"]),
        ("tell me in 9 minutes", ["in 9 minutes"]),
        ("the third of june", ["the third of june"]),
        ("21.5 degrees for two people", []),
    ],
)
def test_moments_stay_in_the_users_words(said: str, found: list[str]) -> None:
    assert [span.of(said) for span in numbers.find_moments(said)] == found
