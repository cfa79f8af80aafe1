"""Smart Turn on its real weights, and the spectrogram that it is given."""

from __future__ import annotations

import wave
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from vivavoce.engines.ports import TurnModel, TurnPause
from vivavoce.engines.registry import EngineBuilder, locate_weights
from vivavoce.engines.smart_turn import (
    BANDS,
    KEPT_SCORES,
    MODEL,
    TURN_SAMPLES,
    SmartTurn,
    log_mel,
    turn_sound,
)
from vivavoce.errors import ConfigError, EngineError, EngineMissing
from vivavoce.testing.engine_contracts import TurnModelContract

CLIP = Path(__file__).parent / "data" / "turn-on-the-lights.wav"


def clip() -> bytes:
    with wave.open(str(CLIP)) as file:
        return bytes(file.readframes(file.getnframes()))


@cache
def smart_turn() -> SmartTurn:
    try:
        return SmartTurn(locate_weights("smart-turn") / MODEL)
    except EngineMissing as absent:
        pytest.skip(str(absent))


@pytest.mark.embedded
class TestContract(TurnModelContract):
    def engine(self) -> TurnModel:
        return smart_turn()


@pytest.mark.embedded
def test_a_whole_request_scores_higher_than_half_of_it() -> None:
    """0.98 for the clip whose sound and score were compared with the publisher's own code."""
    pcm = clip()
    whole, half = smart_turn().score([TurnPause(pcm), TurnPause(pcm[: 2 * 18_000])])
    assert whole == pytest.approx(0.98, abs=0.02)
    assert half < whole


@pytest.mark.embedded
def test_the_same_sound_is_scored_once() -> None:
    model = smart_turn()
    kept = model._kept
    kept.clear()
    pcm = clip()
    first = model.score([TurnPause(pcm)])
    assert model.score([TurnPause(pcm, "words", "en")]) == first
    assert len(kept) == 1
    for n in range(KEPT_SCORES + 1):
        kept[bytes([n])] = 0.5
    model.score([TurnPause(pcm[2:])])
    assert len(kept) == KEPT_SCORES


def test_the_spectrogram_has_one_column_every_ten_milliseconds() -> None:
    features = log_mel(turn_sound(clip()))
    assert features.shape == (BANDS, TURN_SAMPLES // 160)
    assert features.dtype == np.float32
    assert features.max() - features.min() == pytest.approx(2.0, abs=1e-5), "cut at 8, divided by 4"


@pytest.mark.parametrize("hz", [250, 1000, 3000])
def test_a_tone_is_loudest_in_the_band_of_its_pitch(hz: int) -> None:
    """Slaney's scale: 200/3 Hz for a mel up to 1000 Hz, then a factor of 6.4 for 27 mel."""
    sound = np.sin(2 * np.pi * hz * np.arange(TURN_SAMPLES) / 16_000).astype(np.float32)
    mel = 3 * hz / 200 if hz <= 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)
    top = 15 + 27 * np.log(8) / np.log(6.4)
    band = mel / top * (BANDS + 1) - 1
    assert abs(int(log_mel(sound)[:, 400].argmax()) - band) <= 1


def test_short_sound_stands_behind_silence_and_long_sound_loses_its_beginning() -> None:
    short = turn_sound(b"\0\x40" * 100)
    assert not short[:-100].any()
    assert (short[-100:] == 0.5).all()
    assert len(turn_sound(bytes(4 * TURN_SAMPLES))) == len(turn_sound(b"")) == TURN_SAMPLES


def test_loudness_does_not_change_the_spectrogram() -> None:
    loud = turn_sound(clip())
    np.testing.assert_allclose(log_mel(loud), log_mel(loud * np.float32(0.25)), atol=0.01)


@pytest.mark.embedded
async def test_the_factory_loads_what_was_fetched_or_a_path() -> None:
    smart_turn()
    await (await EngineBuilder().build("turn_model", "smart-turn")).aclose()
    path = locate_weights("smart-turn") / MODEL
    await (
        await EngineBuilder().build("turn_model", {"use": "smart-turn", "path": str(path)})
    ).aclose()


async def test_bad_settings_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`path` names no file"):
        await EngineBuilder().build("turn_model", {"use": "smart-turn", "path": "absent.onnx"})
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    with pytest.raises(EngineError, match="can't be loaded"):
        SmartTurn(broken)
