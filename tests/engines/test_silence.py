"""The voice of machines that have none: all the words, and the time they take."""

from __future__ import annotations

import pytest

from vivavoce.domain.audio import pcm_seconds
from vivavoce.engines.silence import SECONDS_PER_CHARACTER, Silence


@pytest.mark.parametrize("text", ["Hello there, you.", "one", " a  b ", "", "  "])
async def test_every_character_travels_with_its_time(text: str) -> None:
    pieces = [piece async for piece in Silence().speak(text, "Puck")]

    assert "".join(piece.text for piece in pieces) == text
    lasted = sum(pcm_seconds(piece.pcm) for piece in pieces)
    assert lasted == pytest.approx(len(text) * SECONDS_PER_CHARACTER, abs=0.01)
    assert not any(b"".join(piece.pcm for piece in pieces))
