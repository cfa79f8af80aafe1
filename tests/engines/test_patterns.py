"""Regular expressions of strangers: their size, and texts that match them."""

from __future__ import annotations

import re

import pytest

from vivavoce.engines.patterns import compiled_size, matching_text
from vivavoce.engines.validators import LARGEST_PATTERN, accepts


@pytest.mark.parametrize(
    "pattern",
    [r"^[A-Z]{3}-\d{4}$", r"(a|b)+[^\d\s]\w?\1", r"^\+?[1-9]\d{1,14}$", r"^[^a0]\S$", "", r"x.\W\D",
     r"^(?:https?|ftp)://[\w.-]+$", r"(?P<q>['\"])x(?P=q)"],
)  # fmt: skip
def test_a_text_matches_its_pattern(pattern: str) -> None:
    text = matching_text(pattern)
    assert text is not None
    assert re.search(pattern, text)


@pytest.mark.parametrize("pattern", ["(", "x{2000}", "((a{900}){900}){900}", "a" * 1001])
def test_no_text_is_made_of_what_is_no_pattern_or_too_long(pattern: str) -> None:
    assert matching_text(pattern) is None


@pytest.mark.parametrize(
    "pattern",
    ["(){9999}", "(?:(?:a{1000}){1000}){100}", "x{0,5000}", r"\p{L}{9000}(?<x>a)", "(?=a{4000})"],
)
def test_a_pattern_that_repeats_very_often_is_not_compiled(pattern: str) -> None:
    assert compiled_size(pattern) > LARGEST_PATTERN
    assert accepts({"pattern": f"^(?:{pattern})b(?!)"}, "a")
    assert not accepts({"pattern": "^[ab]{1,64}b(?!)"}, "a")


def test_the_size_of_a_pattern_adds_up_what_stands_side_by_side() -> None:
    assert compiled_size("^[a-z.]{1,64}@[a-z]{1,255}$") < LARGEST_PATTERN
    assert compiled_size("(?:a{10}){10}") > compiled_size("a{10}b{10}")
