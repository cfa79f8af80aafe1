"""The size of regular expressions that strangers wrote."""

from __future__ import annotations

import pytest

from vivavoce.engines.validators import LARGEST_PATTERN, accepts, compiled_size


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
