"""Voice conversion: pitch and formants go where the parameters say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vivavoce.engines.hibari.network import AcousticModel, Frames
from vivavoce.engines.hibari.timbre import MODEL_PITCH_HZ, convert, render
from vivavoce.engines.synthesis import VoiceParameters, voice_parameters

pytestmark = pytest.mark.embedded

PLAIN = VoiceParameters(True, MODEL_PITCH_HZ, 1.0)


@pytest.fixture(scope="module")
def frames() -> Frames:
    model = AcousticModel()
    (phonemes,) = model.phonemes("My brother bought a small house near the river.")
    found = model.frames(phonemes, 1.0)
    assert found is not None
    return found


def mean_pitch(frames: Frames) -> float:
    return float(np.exp(np.log(frames.pitch[frames.pitch > 40]).mean()))


def spectrum(frames: Frames) -> np.ndarray:
    """Mean power of the sound in bands of 20 Hz."""
    sound = render(frames)
    windows = np.lib.stride_tricks.sliding_window_view(sound, 1200)[::600] * np.hanning(1200)
    return np.asarray((np.abs(np.fft.rfft(windows)) ** 2).mean(axis=0))


def test_pitch_goes_to_the_voice_and_its_movement_follows_the_range(frames: Frames) -> None:
    low = convert(frames, replace(PLAIN, pitch_hz=MODEL_PITCH_HZ / 2))
    assert mean_pitch(low) == pytest.approx(mean_pitch(frames) / 2, rel=0.03)
    voiced = frames.pitch > 40
    flat = convert(frames, replace(PLAIN, range=0.5))
    spread = np.log(frames.pitch[voiced]).std()
    assert np.log(flat.pitch[voiced]).std() == pytest.approx(spread / 2, rel=0.05)


def test_formants_move_the_spectrum(frames: Frames) -> None:
    plain = spectrum(frames)[75:200]
    for factor in (0.85, 1.1):
        moved = np.log(spectrum(convert(frames, replace(PLAIN, formant=factor))))
        # The band from 1.5 to 4 kHz is found again at the factor's place, not at its old one.
        places = np.arange(75, 200)
        there = np.interp(places * factor, np.arange(601), moved)
        assert (
            np.corrcoef(there, np.log(plain))[0, 1]
            > np.corrcoef(moved[75:200], np.log(plain))[0, 1]
        )


def test_tilt_and_breath_add_to_the_upper_spectrum(frames: Frames) -> None:
    plain = spectrum(convert(frames, PLAIN))
    bright = spectrum(convert(frames, replace(PLAIN, tilt_db=2)))
    breathy = convert(frames, replace(PLAIN, breath_db=6))
    assert bright[150:].sum() / bright[:50].sum() > 1.5 * plain[150:].sum() / plain[:50].sum()
    voiced = frames.pitch > 40
    added = (breathy.noise - convert(frames, PLAIN).noise) * 8.686
    assert added[200:, voiced].min() == pytest.approx(6, abs=0.01)
    assert np.abs(added[:, ~voiced]).max() == 0


def test_a_low_voice_is_not_louder(frames: Frames) -> None:
    level = np.sqrt((render(convert(frames, PLAIN)) ** 2).mean())
    low = np.sqrt((render(convert(frames, voice_parameters("Algenib"))) ** 2).mean())
    assert 0.6 < low / level < 1.6


def test_the_same_frames_give_the_same_sound(frames: Frames) -> None:
    assert np.array_equal(render(frames), render(frames))
