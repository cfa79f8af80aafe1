"""A message with very many faults is refused for the first of them."""

from __future__ import annotations

import json

import pytest

from vivavoce.errors import INVALID, ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.dialect import GeminiDialect


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
