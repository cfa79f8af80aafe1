"""Voices, timing of words, level, silence at the edges, and pieces of sound with their words."""

from __future__ import annotations

import itertools
from itertools import combinations, pairwise
from math import hypot, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.domain.audio import OUTPUT_RATE, pcm_seconds
from vivavoce.domain.setup import DEFAULT_VOICE, VOICES
from vivavoce.engines.speech_text import normalize_text
from vivavoce.engines.synthesis import (
    LOUDNESS,
    SILENT_SECONDS_PER_CHARACTER,
    Realigner,
    SilentSynthesizer,
    Timeline,
    VoiceParameters,
    WordMark,
    estimated_marks,
    gain_to_level,
    limit_peaks,
    marks_of_groups,
    measure_loudness,
    pause_after,
    resolve_voice,
    silence,
    speech_pieces,
    trim_silence,
    voice_parameters,
)

# --- voices ------------------------------------------------------------------------------

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


# --- timing of words ---------------------------------------------------------------------

TEXTS = st.text(st.sampled_from("ab c,.$5%*\n🙂é"), max_size=60)
TIMES = st.lists(st.floats(0, 10), max_size=12)


def test_a_word_goes_with_the_sound_in_which_it_begins() -> None:
    timeline = Timeline("One two three", [WordMark(0, 0.0), WordMark(3, 0.5), WordMark(7, 1.0)])
    assert [timeline.words_until(t) for t in (0.1, 0.5, 0.6, 1.0)] == ["One", "", " two", ""]
    assert timeline.remaining_words() == " three"
    assert timeline.remaining_words() == ""


def test_words_begin_with_their_groups() -> None:
    marks = marks_of_groups("One two, three", [0.3, 0.5, 0.9], lambda word: 1)
    assert marks == [WordMark(0, 0.3), WordMark(3, 0.5), WordMark(8, 0.9)]


def test_a_word_that_is_spoken_as_several_takes_as_many_groups() -> None:
    groups = {"$5": 2, "🙂": 0}
    marks = marks_of_groups("pay $5 🙂 now", [0.1, 0.2, 0.3, 0.4], lambda word: groups.get(word, 1))
    assert marks == [WordMark(0, 0.1), WordMark(3, 0.2), WordMark(6, 0.4), WordMark(8, 0.4)]


def test_words_are_placed_in_proportion_where_counts_can_not_be_matched() -> None:
    marks = marks_of_groups("a b c d", [0.0, 1.0], lambda word: 1)
    assert [mark.start_s for mark in marks] == [0.0, 0.0, 1.0, 1.0]
    assert marks_of_groups("a b", [], lambda word: 1) == []


def test_estimated_marks_follow_the_length_of_words() -> None:
    assert estimated_marks("aaaa bb", 7.0) == [WordMark(0, 0.0), WordMark(4, 4.0)]


@given(text=TEXTS, times=TIMES, starts=st.lists(st.floats(0, 9), max_size=8))
def test_the_texts_of_a_timeline_add_up(text: str, times: list[float], starts: list[float]) -> None:
    for marks in (estimated_marks(text, 5.0), marks_of_groups(text, sorted(starts), len)):
        timeline = Timeline(text, marks)
        assert (
            "".join(map(timeline.words_until, sorted(times))) + timeline.remaining_words() == text
        )


@pytest.mark.parametrize(
    ("original", "parts", "texts"),
    [
        ("It costs $5 today.", ["It costs", " 5 dollars", " today."], None),
        ("**Bold** word here", ["Bold", " word", " here"], ["**Bold**", " word", " here"]),
        ("Same as said", ["Same", " as", " said"], ["Same", " as", " said"]),
        ("see [docs](https://a.b)", ["see", " docs"], ["see", " [docs](https://a.b)"]),
        ("", ["spoken"], [""]),
    ],
)
def test_the_original_follows_the_spoken(
    original: str, parts: list[str], texts: list[str] | None
) -> None:
    words = Realigner(original, "".join(parts))
    taken = [words.original_of(part) for part in parts]
    assert taken == (texts or ["It costs", " $5", " today."])
    assert words.remaining_words() == ""


@given(original=TEXTS, spoken=TEXTS, cuts=st.lists(st.integers(0, 60), max_size=6))
def test_the_original_is_whole_whatever_is_said(
    original: str, spoken: str, cuts: list[int]
) -> None:
    for said in (spoken, normalize_text(original), original):
        words = Realigner(original, said)
        places = [0, *sorted(min(cut, len(said)) for cut in cuts), len(said)]
        parts = [said[a:b] for a, b in itertools.pairwise(places)]
        assert (
            "".join(words.original_of(part) for part in parts) + words.remaining_words() == original
        )
        assert words.remaining_words() == ""


# --- level, silence and pieces of sound --------------------------------------------------


def tone(seconds: float, hz: float = 1000, peak: float = 0.5) -> np.ndarray:
    at = np.arange(round(OUTPUT_RATE * seconds)) / OUTPUT_RATE
    return (peak * np.sin(2 * np.pi * hz * at)).astype(np.float32)


def quiet(seconds: float) -> np.ndarray:
    return np.full(round(OUTPUT_RATE * seconds), 0.001, np.float32)


def test_silence_at_the_edges_is_cut_and_its_length_is_reported() -> None:
    sound = np.concatenate((quiet(0.3), tone(0.5), quiet(0.4), tone(0.2), quiet(0.6)))
    kept, cut_s = trim_silence(sound)
    assert cut_s == pytest.approx(0.28, abs=0.001)
    assert len(kept) / OUTPUT_RATE == pytest.approx(0.02 + 0.5 + 0.4 + 0.2 + 0.005, abs=0.002)


def test_both_ends_are_faded() -> None:
    kept, _ = trim_silence(tone(0.5, peak=0.9))
    assert kept[0] == kept[-1] == 0
    assert np.abs(np.diff(kept[:100])).max() < 0.9 * np.abs(np.diff(kept)).max()


def test_nothing_but_silence_is_no_sound() -> None:
    assert [len(part) if hasattr(part, "__len__") else part for part in trim_silence(quiet(1))] == [
        0,
        0.0,
    ]


def test_a_tone_has_the_loudness_of_the_recommendation() -> None:
    # BS.1770: a sine of 997 Hz at full scale in one channel is -3.01 LUFS.
    assert measure_loudness(tone(3, hz=997, peak=1.0)) == pytest.approx(-3.01, abs=0.1)
    assert measure_loudness(tone(3, hz=997, peak=0.1)) == pytest.approx(-23.01, abs=0.1)


def test_pauses_do_not_count_for_loudness_and_silence_has_none() -> None:
    speech = np.concatenate((tone(1), quiet(2), tone(1)))
    assert measure_loudness(speech) == pytest.approx(measure_loudness(tone(2)), abs=1)
    assert measure_loudness(np.zeros(OUTPUT_RATE, np.float32)) == -float("inf")
    assert gain_to_level(np.zeros(10, np.float32)) == 1.0


@pytest.mark.parametrize("peak", [0.02, 0.3, 0.9])
def test_the_gain_brings_every_level_to_the_common_one(peak: float) -> None:
    sound = tone(1, hz=300, peak=peak)
    assert measure_loudness(sound * np.float32(gain_to_level(sound))) == pytest.approx(
        LOUDNESS, abs=0.05
    )


def test_peaks_are_bent_and_never_wrap_around() -> None:
    samples = limit_peaks(np.array([-3, -0.8, -0.5, 0, 0.5, 0.8, 3], np.float32)).tolist()
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
    assert b"".join(piece.pcm for piece in pieces[:-1]) == limit_peaks(sound).tobytes()
    assert all(len(one.pcm) == len(silence(0.1)) for one, _ in pairwise(pieces[:-1]))


def test_a_sentence_asks_for_a_longer_pause_than_a_clause() -> None:
    assert pause_after('He said "stop." ') == pause_after("好。") > pause_after("Well,")


def test_silence_is_24_khz() -> None:
    assert silence(0.5) == bytes(24_000)


# --- an engine without a voice -----------------------------------------------------------


@pytest.mark.parametrize("text", ["Hello there, you.", "one", " a  b ", "", "  "])
async def test_every_character_travels_with_its_time(text: str) -> None:
    pieces = [piece async for piece in SilentSynthesizer().speak(text, "Puck")]

    assert "".join(piece.text for piece in pieces) == text
    lasted = sum(pcm_seconds(piece.pcm) for piece in pieces)
    assert lasted == pytest.approx(len(text) * SILENT_SECONDS_PER_CHARACTER, abs=0.01)
    assert not any(b"".join(piece.pcm for piece in pieces))
