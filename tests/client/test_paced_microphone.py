from __future__ import annotations

import asyncio
from contextlib import aclosing

import numpy as np
import pytest

from vivavoce.client.paced_microphone import LATE_S, PacedMicrophone, RecordedUtterance
from vivavoce.testing.virtual_loop import virtual_loop

RATE = 16_000


def pcm(*parts: tuple[float, int]) -> bytes:
    """Seconds of a constant level, one part after the other."""
    return b"".join(np.full(round(s * RATE), level, "<i2").tobytes() for s, level in parts)


WORD = RecordedUtterance.find_speech(pcm((0.1, 0), (0.3, 8_000), (0.05, 0)), "word")


async def record(microphone: PacedMicrophone, seconds: float) -> tuple[bytes, list[float]]:
    """The sound of the next `seconds`, and when each chunk left."""
    loop = asyncio.get_running_loop()
    sound, times = b"", []
    async with aclosing(microphone.chunks()) as chunks:
        async for chunk in chunks:
            sound += chunk
            times.append(loop.time())
            if len(sound) >= 2 * RATE * seconds:
                microphone.switch_off()
    return sound, times


def test_speech_and_its_pauses_are_found_to_the_sample() -> None:
    sound = pcm((0.5, 0), (0.25, 9_000), (0.4, 100), (0.125, -9_000), (0.1, 0), (0.1, 900), (1, 0))
    found = RecordedUtterance.find_speech(sound)
    first, second = (8_000, 12_000), (18_400, 18_400 + 2_000 + 1_600 + 1_600)
    assert found.stretches == (first, second), "a tenth of a second is no pause"
    assert (found.onset, found.end) == (first[0], second[1])


def test_silence_holds_no_speech() -> None:
    with pytest.raises(ValueError, match="without speech"):
        RecordedUtterance.find_speech(pcm((1, 300)))


def test_chunks_leave_when_their_last_sample_is_recorded() -> None:
    async def run() -> tuple[list[float], PacedMicrophone]:
        microphone = PacedMicrophone(chunk_s=0.04)
        began = microphone.began
        _, times = await record(microphone, 1.0)
        return [at - began for at in times], microphone

    with virtual_loop() as loop:
        times, microphone = loop.run_until_complete(run())
    assert times == pytest.approx([0.04 * n for n in range(1, 26)])
    assert (microphone.chunk_count, microphone.late_chunks) == (25, 0)


def test_speech_begins_at_the_time_that_is_reported() -> None:
    async def run() -> tuple[bytes, int, float, float]:
        microphone = PacedMicrophone()
        recording = asyncio.ensure_future(record(microphone, 2.0))
        await asyncio.sleep(0.5051)
        spoken = microphone.speak_utterance(WORD)
        sound, _ = await recording
        return sound, spoken.position, spoken.onset_at, spoken.end_at - microphone.began

    with virtual_loop() as loop:
        sound, position, onset_at, end_s = loop.run_until_complete(run())
    loud = np.flatnonzero(np.frombuffer(sound, "<i2"))
    assert onset_at == pytest.approx(0.6051, abs=1e-4), "not at the next chunk"
    assert loud[0] == position + WORD.onset == round(onset_at * RATE)
    assert loud[-1] + 1 == position + WORD.end == round(end_s * RATE)


def test_what_is_spoken_meanwhile_follows_or_is_mixed() -> None:
    async def run() -> tuple[bytes, int, int, int]:
        microphone = PacedMicrophone()
        first = microphone.speak_utterance(WORD)
        second = microphone.speak_utterance(WORD)
        third = microphone.speak_at(WORD, first.position + 800)
        sound, _ = await record(microphone, 1.5)
        return sound, first.position, second.position, third.position

    with virtual_loop() as loop:
        sound, first, second, third = loop.run_until_complete(run())
    expected = np.zeros(len(sound) // 2, np.int32)
    for at in (first, second, third):
        expected[at : at + len(WORD.pcm) // 2] += np.frombuffer(WORD.pcm, "<i2")
    assert second == first + len(WORD.pcm) // 2
    assert np.array_equal(np.frombuffer(sound, "<i2"), expected)
    assert expected.max() == 16_000


def test_loud_mixtures_are_clipped() -> None:
    loud = RecordedUtterance.find_speech(pcm((0.1, 30_000)))

    async def run() -> bytes:
        microphone = PacedMicrophone()
        microphone.speak_at(loud, 0)
        microphone.speak_at(loud, 0)
        return (await record(microphone, 0.2))[0]

    with virtual_loop() as loop:
        sound = loop.run_until_complete(run())
    assert np.frombuffer(sound, "<i2").max() == 2**15 - 1


def test_a_late_chunk_is_counted_and_moves_no_time() -> None:
    async def run() -> tuple[PacedMicrophone, list[float]]:
        microphone = PacedMicrophone()
        times: list[float] = []
        async with aclosing(microphone.chunks()) as chunks:
            async for _ in chunks:
                times.append(asyncio.get_running_loop().time())
                if len(times) == 2:
                    await asyncio.sleep(0.07 + LATE_S)  # as a socket that does not take more
                if len(times) == 6:
                    microphone.switch_off()
        return microphone, times

    with virtual_loop() as loop:
        microphone, times = loop.run_until_complete(run())
    assert microphone.late_chunks == 1
    assert microphone.worst_late_s == pytest.approx(0.05)
    assert times[-1] == pytest.approx(0.24), "on time again"
    with pytest.raises(ValueError, match="has left"):
        microphone.speak_at(WORD, microphone.sent - 1)
