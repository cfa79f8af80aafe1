from __future__ import annotations

import asyncio
import contextlib
import io
import os
import threading
import wave
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from vivavoce.client.files import FileMicrophone, PipeMicrophone, Recording, read_wav
from vivavoce.errors import ConfigError


def tone(rate: int, seconds: float = 0.5, hz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)


def write(path: Path, samples: np.ndarray, rate: int, width: int, channels: int = 1) -> Path:
    if width == 1:
        frames = np.rint(samples * 127 + 128).astype(np.uint8).tobytes()
    else:
        whole = np.rint(samples * (2 ** (8 * width - 1) - 1)).astype("<i4")
        frames = whole.view(np.uint8).reshape(-1, 4)[:, :width].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(frames)
    return path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_any_width_and_rate_becomes_the_same_sound(tmp_path: Path, width: int, rate: int) -> None:
    pcm = read_wav(write(tmp_path / "tone.wav", tone(rate), rate, width))
    heard = np.frombuffer(pcm, "<i2") / 2**15
    assert len(heard) == pytest.approx(8_000, abs=2)
    middle = slice(1_000, 7_000)
    assert np.abs(heard[:8_000][middle] - tone(16_000)[middle]).max() < 0.02


def test_two_channels_are_mixed_to_one(tmp_path: Path) -> None:
    both = np.stack([tone(16_000), np.zeros(8_000)], axis=1).reshape(-1)
    pcm = read_wav(write(tmp_path / "stereo.wav", both, 16_000, 2, channels=2))
    heard = np.frombuffer(pcm, "<i2") / 2**15
    assert heard.max() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("content", "word"), [(None, "can't be read"), (b"not a wave file", "not a WAV file")]
)
def test_a_bad_file_is_named_with_a_fix(tmp_path: Path, content: bytes | None, word: str) -> None:
    path = tmp_path / "bad.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=word) as fault:
        read_wav(path)
    assert fault.value.fix


async def test_a_fast_microphone_gives_everything_and_the_tail() -> None:
    sound = bytes(range(256)) * 20
    microphone = FileMicrophone(sound, fast=True, tail_s=0.1)
    chunks = [chunk async for chunk in microphone.chunks()]
    assert b"".join(chunks) == sound + bytes(3_200)
    assert {len(chunk) for chunk in chunks[:-1]} == {1_280}


async def test_a_pipe_is_read_to_its_end() -> None:
    sound = bytes(3_000)
    assert b"".join([c async for c in PipeMicrophone(io.BytesIO(sound)).chunks()]) == sound


async def test_a_pipe_that_broke_is_at_its_end() -> None:
    pipe = io.BytesIO()
    pipe.close()
    assert [c async for c in PipeMicrophone(pipe).chunks()] == []


def test_a_pipe_that_stays_open_and_silent_keeps_nobody() -> None:
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as pipe:

        async def listen() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05), aclosing(PipeMicrophone(pipe).chunks()) as heard:
                    await anext(heard)

        running = threading.Thread(target=asyncio.run, args=(listen(),), daemon=True)
        running.start()
        running.join(5)
        ended = not running.is_alive()
        os.close(theirs)
    assert ended


def test_a_recording_is_a_wav_of_its_own_length(tmp_path: Path) -> None:
    recording = Recording.empty()
    recording.add_audio(bytes(24_000))
    recording.add_audio(bytes(24_000))
    recording.save(tmp_path / "answer.wav")
    with wave.open(str(tmp_path / "answer.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        assert file.getnframes() == 24_000
    assert recording.seconds == 1.0


def test_a_recording_that_cannot_be_saved_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be written"):
        Recording.empty().save(tmp_path / "nowhere" / "answer.wav")
