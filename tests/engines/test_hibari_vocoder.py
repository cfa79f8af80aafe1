"""Phonemes, frames and word starts of the acoustic model; voices made of its frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.budget import budget
from vivavoce.engines.hibari import (
    MODEL_PITCH_HZ,
    AcousticModel,
    VocoderFrames,
    convert_voice,
    pronounceable,
    render_sound,
)
from vivavoce.engines.synthesis import VoiceParameters, voice_parameters
from vivavoce.errors import EngineError

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    return AcousticModel()


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "voice.onnx"
    file.write_bytes(b"no model")
    with pytest.raises(EngineError, match=r"voice\.onnx can't be loaded"):
        AcousticModel(file)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Привет, world", "      , world"),
        ("naïve Café Ångström ½ x²", "naïve Café Ångström ½ x²"),
        ("①②٣ 日本", "123   "),
        ("12345678901234567", "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7"),
    ],
)
def test_what_can_not_be_pronounced_is_left_out(text: str, kept: str) -> None:
    assert pronounceable(text) == kept


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("$1,234.56", "one thousand two hundred thirty four dollars and fifty six cents"),
        ("3:30", "three thirty"),
        ("May 27, 1937", "May twenty-seventh, nineteen thirty seven"),
        ("No. 5", "number five"),
    ],
)
def test_numbers_and_dates_are_read_as_words(
    model: AcousticModel, written: str, spelled: str
) -> None:
    assert model.phonemes(written) == model.phonemes(spelled)


@settings(max_examples=budget(20, 60))
@given(text=st.text(max_size=30))
def test_any_text_is_read_or_left_out(model: AcousticModel, text: str) -> None:
    for phonemes in model.phonemes(text):
        frames = model.frames(phonemes, 1.0)
        assert frames is None or np.isfinite(frames.pitch).all()


def test_a_text_of_many_phonemes_is_cut_between_words(model: AcousticModel) -> None:
    parts = model.phonemes("extraordinary possibilities " * 40)
    assert len(parts) > 1
    assert all(len(part) <= 400 for part in parts)
    assert sum(len(part.split()) for part in parts) == 80


def test_each_word_begins_where_its_sound_does(model: AcousticModel) -> None:
    (phonemes,) = model.phonemes("One, two, three, four.")
    frames = model.frames(phonemes, 1.0)
    assert frames is not None
    assert len(frames.group_starts) == 4
    # The pauses between the words are unvoiced; each start is followed by voice within 200 ms.
    voiced = np.flatnonzero(frames.pitch > 40) * 0.0125
    onsets = [voiced[voiced >= start - 0.05][0] for start in frames.group_starts]
    assert np.abs(np.array(onsets) - frames.group_starts).max() < 0.2
    assert len(set(onsets)) == 4


def test_a_faster_pace_makes_it_shorter(model: AcousticModel) -> None:
    (phonemes,) = model.phonemes("The train leaves at seven in the morning.")
    slow, fast = model.frames(phonemes, 0.9), model.frames(phonemes, 1.1)
    assert slow is not None
    assert fast is not None
    assert 1.04 < len(slow.pitch) / len(fast.pitch) < 1.3


# --- voice conversion --------------------------------------------------------------------


PLAIN = VoiceParameters(True, MODEL_PITCH_HZ, 1.0)


@pytest.fixture(scope="module")
def frames() -> VocoderFrames:
    model = AcousticModel()
    (phonemes,) = model.phonemes("My brother bought a small house near the river.")
    found = model.frames(phonemes, 1.0)
    assert found is not None
    return found


def mean_pitch(frames: VocoderFrames) -> float:
    return float(np.exp(np.log(frames.pitch[frames.pitch > 40]).mean()))


def spectrum(frames: VocoderFrames) -> np.ndarray:
    """Mean power of the sound in bands of 20 Hz."""
    sound = render_sound(frames)
    windows = np.lib.stride_tricks.sliding_window_view(sound, 1200)[::600] * np.hanning(1200)
    return np.asarray((np.abs(np.fft.rfft(windows)) ** 2).mean(axis=0))


def test_pitch_goes_to_the_voice_and_its_movement_follows_the_range(frames: VocoderFrames) -> None:
    low = convert_voice(frames, replace(PLAIN, pitch_hz=MODEL_PITCH_HZ / 2))
    assert mean_pitch(low) == pytest.approx(mean_pitch(frames) / 2, rel=0.03)
    voiced = frames.pitch > 40
    flat = convert_voice(frames, replace(PLAIN, range=0.5))
    spread = np.log(frames.pitch[voiced]).std()
    assert np.log(flat.pitch[voiced]).std() == pytest.approx(spread / 2, rel=0.05)


def test_formants_move_the_spectrum(frames: VocoderFrames) -> None:
    plain = spectrum(frames)[75:200]
    for factor in (0.85, 1.1):
        moved = np.log(spectrum(convert_voice(frames, replace(PLAIN, formant=factor))))
        # The band from 1.5 to 4 kHz is found again at the factor's place, not at its old one.
        places = np.arange(75, 200)
        there = np.interp(places * factor, np.arange(601), moved)
        assert (
            np.corrcoef(there, np.log(plain))[0, 1]
            > np.corrcoef(moved[75:200], np.log(plain))[0, 1]
        )


def test_tilt_and_breath_add_to_the_upper_spectrum(frames: VocoderFrames) -> None:
    plain = spectrum(convert_voice(frames, PLAIN))
    bright = spectrum(convert_voice(frames, replace(PLAIN, tilt_db=2)))
    breathy = convert_voice(frames, replace(PLAIN, breath_db=6))
    assert bright[150:].sum() / bright[:50].sum() > 1.5 * plain[150:].sum() / plain[:50].sum()
    voiced = frames.pitch > 40
    added = (breathy.noise - convert_voice(frames, PLAIN).noise) * 8.686
    assert added[200:, voiced].min() == pytest.approx(6, abs=0.01)
    assert np.abs(added[:, ~voiced]).max() == 0


def test_a_low_voice_is_not_louder(frames: VocoderFrames) -> None:
    level = np.sqrt((render_sound(convert_voice(frames, PLAIN)) ** 2).mean())
    low = np.sqrt((render_sound(convert_voice(frames, voice_parameters("Algenib"))) ** 2).mean())
    assert 0.6 < low / level < 1.6


def test_the_same_frames_give_the_same_sound(frames: VocoderFrames) -> None:
    assert np.array_equal(render_sound(frames), render_sound(frames))
