"""Texts that match regular expressions."""

from __future__ import annotations

import tracemalloc
from itertools import islice
from string import ascii_lowercase

import pytest
import regex

from vivavoce.engines.scripted_values import matching_texts


@pytest.mark.parametrize(
    "pattern",
    [r"^[A-Z]{3}-\d{4}$", r"(a|b)+[^\d\s]\w?\1", r"^\+?[1-9]\d{1,14}$", r"^[^a0]\S$", "", r"x.\W\D",
     r"^(?:https?|ftp)://[\w.-]+$", r"(?P<q>['\"])x(?P=q)", r"^(?=.{10}$)a*b*$", r"^\p{Lu}\p{Nd}$",
     r"^(?!.*--)(?!-)[a-z-]{9,}(?<!-)$", r"^\x41\u00e9$", "^(?i)abc$",
     r"^[^\s@]+@[^\s@]+\.[^\s@]+$"],
)  # fmt: skip
def test_different_texts_match_their_pattern(pattern: str) -> None:
    texts = list(islice(matching_texts([pattern]), 3))
    assert texts
    assert len(set(texts)) == len(texts)
    assert all(regex.search(pattern, text) for text in texts)


@pytest.mark.parametrize(
    ("patterns", "least", "most"),
    [
        (["^[A-Z]", r"\d$"], 0, 99),
        (["^[A-Z]", r"\d$", "-"], 9, 9),
        (["foo"], 50, 60),
        ([r"\.json$"], 20, 20),
        (["^[a-z]+$"], 500, 500),
        ([r"^(?=.*\d)(?=.*[A-Z])[A-Za-z\d]+$"], 8, 8),
        (["^.*$", "^[^a]", "a$"], 2, 2),
    ],
)
def test_texts_match_every_pattern_within_their_lengths(
    patterns: list[str], least: int, most: int
) -> None:
    text = next(matching_texts(patterns, least, most))
    assert least <= len(text) <= most
    assert all(regex.search(pattern, text) for pattern in patterns)


@pytest.mark.long
def test_many_patterns_take_no_more_memory_than_a_few() -> None:
    tracemalloc.start()
    try:
        next(matching_texts([f"{char}b?" for char in ascii_lowercase[:9]]), None)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
        assert next(matching_texts(["a"] * 1_000), None) is None
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "patterns",
    [["("], ["x{4000}"], ["((a{900}){900}){900}"], ["a" * 1001], ["^a$", "^b$"],
     [r"^(?=.*\d)[a-z]+$"], ["^(a|aa)+$(?<=b)"]],
)  # fmt: skip
def test_no_text_is_made_where_none_is_found(patterns: list[str]) -> None:
    assert list(matching_texts(patterns)) == []
