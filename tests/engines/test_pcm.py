"""Level, silence at the edges, and pieces of PCM with their words."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.domain.audio import OUTPUT_RATE
from vivavoce.engines.align import estimated_marks
from vivavoce.engines.pcm import (
    LOUDNESS,
    gain_to_level,
    limit,
    loudness,
    pause_after,
    silence,
    speech_pieces,
    trim,
)


def tone(seconds: float, hz: float = 1000, peak: float = 0.5) -> np.ndarray:
    at = np.arange(round(OUTPUT_RATE * seconds)) / OUTPUT_RATE
    return (peak * np.sin(2 * np.pi * hz * at)).astype(np.float32)


def quiet(seconds: float) -> np.ndarray:
    return np.full(round(OUTPUT_RATE * seconds), 0.001, np.float32)


def test_silence_at_the_edges_is_cut_and_its_length_is_told() -> None:
    sound = np.concatenate((quiet(0.3), tone(0.5), quiet(0.4), tone(0.2), quiet(0.6)))
    kept, cut_s = trim(sound)
    assert cut_s == pytest.approx(0.28, abs=0.001)
    assert len(kept) / OUTPUT_RATE == pytest.approx(0.02 + 0.5 + 0.4 + 0.2 + 0.005, abs=0.002)


def test_both_ends_are_faded() -> None:
    kept, _ = trim(tone(0.5, peak=0.9))
    assert kept[0] == kept[-1] == 0
    assert np.abs(np.diff(kept[:100])).max() < 0.9 * np.abs(np.diff(kept)).max()


def test_nothing_but_silence_is_no_sound() -> None:
    assert [len(part) if hasattr(part, "__len__") else part for part in trim(quiet(1))] == [0, 0.0]


def test_a_tone_has_the_loudness_of_the_recommendation() -> None:
    # BS.1770: a sine of 997 Hz at full scale in one channel is -3.01 LUFS.
    assert loudness(tone(3, hz=997, peak=1.0)) == pytest.approx(-3.01, abs=0.1)
    assert loudness(tone(3, hz=997, peak=0.1)) == pytest.approx(-23.01, abs=0.1)


def test_pauses_do_not_count_for_loudness_and_silence_has_none() -> None:
    speech = np.concatenate((tone(1), quiet(2), tone(1)))
    assert loudness(speech) == pytest.approx(loudness(tone(2)), abs=1)
    assert loudness(np.zeros(OUTPUT_RATE, np.float32)) == -float("inf")
    assert gain_to_level(np.zeros(10, np.float32)) == 1.0


@pytest.mark.parametrize("peak", [0.02, 0.3, 0.9])
def test_the_gain_brings_every_level_to_the_common_one(peak: float) -> None:
    sound = tone(1, hz=300, peak=peak)
    assert loudness(sound * np.float32(gain_to_level(sound))) == pytest.approx(LOUDNESS, abs=0.05)


def test_peaks_are_bent_and_never_wrap_around() -> None:
    samples = limit(np.array([-3, -0.8, -0.5, 0, 0.5, 0.8, 3], np.float32)).tolist()
    assert samples == sorted(samples)
    assert samples[2:5] == [-16_384, 0, 16_384]
    assert 32_700 < samples[-1] <= 32_767
    assert samples[5] < 0.8 * 32_767


@given(seconds=st.floats(0.01, 2.0))
def test_pieces_hold_the_whole_sound_and_text_and_end_with_a_pause(seconds: float) -> None:
    text, sound = "one two, three. ", tone(seconds)
    pieces = list(speech_pieces(text, sound, estimated_marks(text, seconds)))
    assert "".join(piece.text for piece in pieces) == text
    assert pieces[-1].pcm == silence(pause_after(text))
    assert b"".join(piece.pcm for piece in pieces[:-1]) == limit(sound).tobytes()
    assert all(len(one.pcm) == len(silence(0.1)) for one, _ in pairwise(pieces[:-1]))


def test_a_sentence_asks_for_a_longer_pause_than_a_clause() -> None:
    assert pause_after('He said "stop." ') == pause_after("好。") > pause_after("Well,")


def test_silence_is_24_khz() -> None:
    assert silence(0.5) == bytes(24_000)
