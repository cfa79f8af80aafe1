from __future__ import annotations

import io
import os

import pytest

from vivavoce.client.playback import ClockSpeaker, PipeSpeaker, PlaybackQueue, wait_until_played

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


async def test_a_reader_that_does_not_read_holds_nobody_up() -> None:
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
