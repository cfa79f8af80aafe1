"""JSON as text, also of what a fast writer refuses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.domain.text import json_text

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_it_says_the_value_and_has_one_length_wherever_it_was_read_back(value: object) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    assert json_text(json.loads(text)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 2**70}, '{"a":1180591620717411303424}'),
        ("\ud800", '"\ud800"'),
        ([1 + 2j], '["(1+2j)"]'),
        ({"é": [1.5, None]}, '{"é":[1.5,null]}'),
    ],
)
def test_compact_json(value: object, text: str) -> None:
    assert json_text(value) == text
