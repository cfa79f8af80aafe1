from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
import threading
import wave
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from vivavoce.client.audio import (
    MAX_QUEUED_CHUNKS,
    AudioDevice,
    ClockSpeaker,
    FileMicrophone,
    PipeMicrophone,
    PipeSpeaker,
    PlaybackQueue,
    QueueMicrophone,
    Recording,
    choose_backend,
    find_device,
    list_devices,
    open_devices,
    read_wav,
    wait_until_played,
)
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


def test_a_pipe_that_stays_open_and_silent_does_not_block_the_end() -> None:
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


SECOND = b"\x01\x02" * 24_000


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_device_gets_sound_then_silence_and_the_canceller_hears_the_same() -> None:
    heard: list[bytes] = []
    queue = PlaybackQueue(heard.append)
    queue.queue_audio(b"\x01\x02\x03\x04")
    assert queue.read_bytes(2) == b"\x01\x02"
    assert queue.read_bytes(4) == b"\x03\x04\0\0"
    assert b"".join(heard) == b"\x01\x02\x03\x04\0\0"


def test_what_is_dropped_is_never_played() -> None:
    queue = PlaybackQueue()
    queue.queue_audio(SECOND)
    queue.read_bytes(480)
    assert queue.pending_s == pytest.approx(0.99)
    queue.drop_audio()
    assert queue.pending_s == 0
    assert queue.read_bytes(4) == bytes(4)


def test_a_clock_speaker_records_only_what_was_heard() -> None:
    clock = Clock()
    speaker = ClockSpeaker(clock=clock)
    speaker.queue_audio(SECOND)
    speaker.queue_audio(SECOND)
    clock.now += 0.5
    assert speaker.pending_s == pytest.approx(1.5)
    speaker.drop_audio()
    assert speaker.pending_s == 0
    assert speaker.recording.seconds == pytest.approx(0.5)
    clock.now += 3
    speaker.queue_audio(SECOND)
    clock.now += 2
    speaker.drop_audio()
    assert speaker.recording.seconds == pytest.approx(1.5)


def test_a_fast_speaker_has_played_at_once() -> None:
    speaker = ClockSpeaker(fast=True, clock=Clock())
    speaker.queue_audio(SECOND)
    assert speaker.pending_s == 0
    speaker.drop_audio()
    assert speaker.recording.seconds == 1.0


async def test_waiting_for_a_speaker_lasts_as_long_as_its_sound() -> None:
    left = [0.002, 0.001, 0.0]

    class Shrinking(ClockSpeaker):
        @property
        def pending_s(self) -> float:
            return left.pop(0)

    await wait_until_played(Shrinking())
    assert left == []


async def test_a_pipe_gets_everything() -> None:
    pipe = io.BytesIO()
    speaker = PipeSpeaker(pipe)
    speaker.queue_audio(SECOND)
    speaker.queue_audio(b"\x05\x06")
    await wait_until_played(speaker)
    assert pipe.getvalue() == SECOND + b"\x05\x06"


async def test_a_reader_that_does_not_read_blocks_no_other() -> None:
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as reader, os.fdopen(theirs, "wb") as writer:
        speaker = PipeSpeaker(writer)
        for _ in range(10):
            speaker.queue_audio(SECOND)  # far more than a pipe holds
        assert speaker.pending_s > 1
        speaker.drop_audio()
        assert speaker.pending_s < 0.1, "an interruption drops what nobody took"
        reader.close()
        await wait_until_played(speaker)


async def test_a_reader_that_went_away_is_played_to_no_more() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "wb") as writer:
        speaker = PipeSpeaker(writer)
        speaker.queue_audio(SECOND)
        await wait_until_played(speaker)
        speaker.queue_audio(SECOND)
        await wait_until_played(speaker)


LISTED = [
    AudioDevice(0, "USB Microphone", output=False),
    AudioDevice(1, "USB Headset", output=False),
    AudioDevice(2, "Built-in Audio", output=True),
    AudioDevice(3, "USB Headset", output=True),
]


def test_the_null_back_end_is_always_there() -> None:
    assert choose_backend("null") == "null"
    assert [(each.name, each.output) for each in list_devices("null")] == [
        ("null", False),
        ("null", True),
    ]


def test_without_a_sound_library_the_command_that_installs_one_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "miniaudio", None)  # Python takes it for one that is missing
    with pytest.raises(ConfigError, match=r"pip install .*miniaudio"):
        choose_backend()


def test_an_unknown_back_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="no sound back end"):
        choose_backend("oss")


def test_devices_by_number_and_by_part_of_the_name() -> None:
    assert find_device(LISTED, "", output=True) is None
    assert find_device(LISTED, "2", output=True) == LISTED[2]
    assert find_device(LISTED, "headset", output=False) == LISTED[1]
    assert find_device(LISTED, "usb", output=True) == LISTED[3], "a microphone is no loudspeaker"


@pytest.mark.parametrize(
    ("wanted", "words"), [("usb", "More than one"), ("hdmi", "No input device"), ("7", "No input")]
)
def test_what_fits_nothing_or_too_much_lists_what_there_is(wanted: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as fault:
        find_device(LISTED, wanted, output=False)
    assert "USB Microphone" in fault.value.fix


async def test_sound_of_a_device_thread_arrives_in_order_and_the_oldest_goes_first() -> None:
    microphone = QueueMicrophone()

    def device() -> None:
        for number in range(MAX_QUEUED_CHUNKS + 2):
            microphone.add_audio(number.to_bytes(2, "little"))

    await asyncio.to_thread(device)
    chunks = microphone.chunks()
    assert await anext(chunks) == (2).to_bytes(2, "little")
    assert await anext(chunks) == (3).to_bytes(2, "little")


async def test_null_devices_are_silent_and_keep_time() -> None:
    with open_devices("null") as (microphone, speaker):
        assert not any(await anext(microphone.chunks()))
        speaker.queue_audio(bytes(48_000))
        assert 0.5 < speaker.pending_s <= 1.0


async def test_real_streams_carry_sound_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own null device stands in for a sound card; everything else is real."""
    miniaudio = pytest.importorskip("miniaudio", reason="miniaudio is not installed")
    monkeypatch.setattr(
        "vivavoce.client.audio._real_backends", lambda library: [miniaudio.Backend.NULL]
    )
    played: list[bytes] = []
    with open_devices("miniaudio", on_output=played.append) as (microphone, speaker):
        speaker.queue_audio(b"\x01\x02" * 240)
        async with asyncio.timeout(10):
            heard = await anext(microphone.chunks())
            while speaker.pending_s:
                heard += await anext(microphone.chunks())
            heard += await anext(microphone.chunks())
    assert len(heard) % 2 == 0
    assert not any(heard)
    assert b"\x01\x02" * 240 in b"".join(played)
