"""Base64 in every shape that clients send."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.protocol.base64_data import decode_base64


@given(st.binary(max_size=300), st.booleans(), st.data())
def test_both_alphabets_mixed_padded_or_not_with_line_breaks(
    raw: bytes, padded: bool, data: st.DataObject
) -> None:
    text = base64.b64encode(raw).decode()
    if not padded:
        text = text.rstrip("=")
    swap = {"+": "-", "/": "_"}
    choices = data.draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text)))
    text = "".join(swap.get(c, c) if other else c for c, other in zip(text, choices, strict=True))
    at = data.draw(st.integers(0, len(text)))
    text = text[:at] + data.draw(st.sampled_from(["", "\n", "\r\n", " \t"])) + text[at:]
    assert decode_base64(text) == raw


@pytest.mark.parametrize("text", ["A", "AAAAA", "A*==", "AA=A", "é", "\ud800", "AAAA\0", "😀"])
def test_what_is_not_base64_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not base64"):
        decode_base64(text)


@pytest.mark.parametrize("text", ["", "=", "====", "\n"])
def test_nothing_is_no_bytes(text: str) -> None:
    assert decode_base64(text) == b""


def test_generous_padding_is_taken() -> None:
    assert decode_base64("AQ======") == b"\x01"
