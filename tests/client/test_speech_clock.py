from __future__ import annotations

import numpy as np
import pytest

from vivavoce.client.speech_clock import FALL_DB_PER_S, SILENCE_DBFS, SpeechClock


def chunk(loud: int, silent: int) -> bytes:
    return np.array([8_000] * loud + [10] * silent, "<i2").tobytes()


def test_speech_ends_at_the_last_loud_sample() -> None:
    clock = SpeechClock()
    clock.add_audio(chunk(160, 480), at=10.0)
    assert clock.last == pytest.approx(10.0 - 480 / 16_000)
    clock.add_audio(chunk(0, 640), at=10.04)
    assert clock.last == pytest.approx(9.97)


def test_silence_alone_is_no_speech() -> None:
    clock = SpeechClock()
    clock.add_audio(chunk(0, 640), at=1.0)
    clock.add_audio(b"", at=1.1)
    assert clock.last is None
    assert clock.level_dbfs(1.1) == SILENCE_DBFS


def test_the_level_is_that_of_the_sound_and_falls_after_it() -> None:
    clock = SpeechClock()
    clock.add_audio(np.full(640, 2**14, "<i2").tobytes(), at=1.0)
    assert clock.level_dbfs(1.0) == pytest.approx(-6.02, abs=0.01)
    clock.add_audio(chunk(0, 640), at=1.1)
    assert clock.level_dbfs(1.2) == pytest.approx(-6.02 - 0.2 * FALL_DB_PER_S, abs=0.01)
    clock.add_audio(np.full(640, 2**13, "<i2").tobytes(), at=1.3)
    assert clock.level_dbfs(1.3) == pytest.approx(-12.04, abs=0.01)
    assert clock.level_dbfs(9.0) == SILENCE_DBFS


def test_noise_behind_a_voice_is_no_speech() -> None:
    clock = SpeechClock()
    clock.add_audio(chunk(640, 0), at=1.0)
    clock.add_audio(np.full(640, 1_000, "<i2").tobytes(), at=2.0)
    assert (clock.last, clock.last_speech, clock.began) == (2.0, 1.0, 1.0)
    clock.add_audio(chunk(640, 0), at=2.1)
    assert (clock.last_speech, clock.began) == (2.1, 2.1)
