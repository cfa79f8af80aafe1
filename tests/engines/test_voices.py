"""Every Live API voice has parameters of its own, and every other name gets one of them."""

from __future__ import annotations

from itertools import combinations
from math import hypot, log2

import pytest

from vivavoce.domain.voices import DEFAULT_VOICE, VOICES
from vivavoce.engines.voices import VoiceParameters, resolve_voice, voice_parameters

FEMININE = {
    "Achernar", "Aoede", "Autonoe", "Callirrhoe", "Despina", "Erinome", "Gacrux", "Kore",
    "Laomedeia", "Leda", "Pulcherrima", "Sulafat", "Vindemiatrix", "Zephyr",
}  # fmt: skip


def distance(one: VoiceParameters, other: VoiceParameters) -> float:
    """In steps of what is plainly heard: a semitone, 3 % of formants, 6 % of pace, …"""
    return hypot(
        12 * log2(one.pitch_hz / other.pitch_hz),
        (one.formant - other.formant) / 0.03,
        (one.pace - other.pace) / 0.06,
        (one.range - other.range) / 0.15,
        (one.tilt_db - other.tilt_db) / 0.6,
        (one.breath_db - other.breath_db) / 3,
    )


def test_no_two_voices_of_one_gender_coincide() -> None:
    near = [
        (one, other)
        for one, other in combinations(VOICES, 2)
        if voice_parameters(one).feminine == voice_parameters(other).feminine
        and distance(voice_parameters(one), voice_parameters(other)) < 1.5
    ]
    assert near == []


def test_gender_follows_the_published_list() -> None:
    assert {voice for voice in VOICES if voice_parameters(voice).feminine} == FEMININE


@pytest.mark.parametrize("voice", VOICES)
def test_no_voice_leaves_the_range_that_was_measured(voice: str) -> None:
    parameters = voice_parameters(voice)
    low, high = (145, 235) if parameters.feminine else (80, 145)
    assert low <= parameters.pitch_hz <= high
    assert 0.82 <= parameters.formant <= 1.08
    assert 0.88 <= parameters.pace <= 1.12


def test_names_are_matched_in_any_case() -> None:
    assert resolve_voice("kORE") == "Kore"
    assert voice_parameters("CHARON") == voice_parameters("Charon")


def test_no_name_is_the_default_and_an_unknown_name_is_always_the_same_voice() -> None:
    assert resolve_voice("") == DEFAULT_VOICE
    names = {resolve_voice(f"en-us-{index}") for index in range(200)}
    assert names <= set(VOICES)
    assert len(names) > 20
    assert resolve_voice("en-us-tavi") == resolve_voice("EN-US-TAVI")
