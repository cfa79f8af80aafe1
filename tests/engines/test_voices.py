"""Every Live API voice has a sound of its own, and every other name gets one of them."""

from __future__ import annotations

import pytest

from vivavoce.domain.voices import DEFAULT_VOICE, VOICES
from vivavoce.engines.voices import Speaker, voice_name, voice_print


def test_the_thirty_voices_have_thirty_different_prints() -> None:
    assert len({voice_print(voice) for voice in VOICES}) == len(VOICES) == 30


@pytest.mark.parametrize("voice", VOICES)
def test_no_print_leaves_the_range_that_listeners_understand(voice: str) -> None:
    assert 0.93 <= voice_print(voice).shift <= 1.06
    assert 0.9 <= voice_print(voice).pace <= 1.1


def test_names_are_matched_in_any_case() -> None:
    assert voice_name("kORE") == "Kore"
    assert voice_print("CHARON") == voice_print("Charon")


def test_no_name_is_the_default_and_an_unknown_name_is_always_the_same_voice() -> None:
    assert voice_name("") == DEFAULT_VOICE
    names = {voice_name(f"en-us-{index}") for index in range(200)}
    assert names <= set(VOICES)
    assert len(names) > 20
    assert voice_name("en-us-tavi") == voice_name("EN-US-TAVI")


def test_feminine_and_masculine_names_have_such_speakers() -> None:
    assert all(voice_print(n).speaker.feminine for n in ("Kore", "Aoede", "Leda", "Zephyr"))
    assert not any(voice_print(n).speaker.feminine for n in ("Puck", "Charon", "Orus", "Algenib"))
    assert {voice_print(voice).speaker for voice in VOICES} == set(Speaker)
