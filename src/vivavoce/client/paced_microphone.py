"""A microphone for measurements: always on, with recorded utterances spoken at known times.

Positions are samples at 16 kHz since the microphone was switched on. The sample at a position is
recorded at `began + position / 16000` on the event loop's clock, whatever else delays the loop, so
that the times of speech are exact while chunks may leave late; how late is counted.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vivavoce.client.audio import CHUNK_S
from vivavoce.client.conversation import SPEECH_AMPLITUDE
from vivavoce.domain.audio import INPUT_RATE, Position, samples, seconds

MIN_PAUSE_S = 0.25
"""Silence inside an utterance that counts as a pause; shorter ones belong to consonants."""

LATE_S = 0.02
"""A chunk that leaves later than this after its last sample has missed its deadline."""


@dataclass(frozen=True, slots=True)
class RecordedUtterance:
    """Recorded speech: 16 kHz PCM, and the stretches of samples in it that are speech.

    Between two stretches lies a pause. `text` is what is said, where it is known.
    """

    pcm: bytes
    stretches: tuple[tuple[int, int], ...]
    text: str = ""

    @classmethod
    def find_speech(
        cls, pcm: bytes, text: str = "", loud: float = SPEECH_AMPLITUDE
    ) -> RecordedUtterance:
        """Locate the speech by loudness: samples whose amplitude is at least `loud`, of 1.

        Raises `ValueError` if no sample is.
        """
        sound = np.frombuffer(pcm[: len(pcm) & ~1], "<i2").astype(np.int32)
        at = np.flatnonzero(np.abs(sound) >= loud * 2**15)
        if not at.size:
            raise ValueError("a recording without speech")
        breaks = np.flatnonzero(np.diff(at) >= samples(MIN_PAUSE_S))
        starts = [at[0], *at[breaks + 1]]
        ends = [*at[breaks], at[-1]]
        found = tuple((int(a), int(b) + 1) for a, b in zip(starts, ends, strict=True))
        return cls(pcm, found, text)

    @property
    def onset(self) -> int:
        """The first sample of speech."""
        return self.stretches[0][0]

    @property
    def end(self) -> int:
        """The sample after the last one of speech."""
        return self.stretches[-1][1]


@dataclass(frozen=True, slots=True)
class SpokenUtterance:
    """An utterance in the stream of a microphone.

    `position` is that of its first sample. The times are of the event loop's clock, in seconds: of
    its first sample of speech, of its last, and of each stretch.
    """

    utterance: RecordedUtterance
    position: Position
    began: float

    @property
    def onset_at(self) -> float:
        return self._time_of(self.utterance.onset)

    @property
    def end_at(self) -> float:
        return self._time_of(self.utterance.end)

    @property
    def stretches_at(self) -> tuple[tuple[float, float], ...]:
        return tuple((self._time_of(a), self._time_of(b)) for a, b in self.utterance.stretches)

    def _time_of(self, offset: int) -> float:
        return self.began + seconds(self.position + offset)


class PacedMicrophone:
    """Silence at real-time pace, mixed with the utterances that are spoken into it.

    It is switched on when made, in a running event loop. `late_chunks` counts the chunks that left
    more than `LATE_S` after their last sample, `worst_late_s` is the longest such delay: above a
    few of them the figures say more of the sending machine than of the server.
    """

    def __init__(self, chunk_s: float = CHUNK_S) -> None:
        self._loop = asyncio.get_running_loop()
        self._chunk = samples(chunk_s)
        self._scheduled: list[tuple[Position, NDArray[np.int32]]] = []
        self._free_from: Position = 0
        self._on = True
        self.began = self._loop.time()
        self.sent: Position = 0
        """Position up to which chunks were given out."""
        self.chunk_count = 0
        self.late_chunks = 0
        self.worst_late_s = 0.0

    def time_of(self, position: Position) -> float:
        """Return when the sample at `position` is recorded, on the event loop's clock."""
        return self.began + seconds(position)

    def speak_utterance(
        self, utterance: RecordedUtterance, delay_s: float = 0.0
    ) -> SpokenUtterance:
        """Speak an utterance `delay_s` from now, or after the one that is being spoken.

        Its first sample is never one that has left already.
        """
        now = math.ceil((self._loop.time() + delay_s - self.began) * INPUT_RATE)
        return self.speak_at(utterance, max(now, self.sent, self._free_from))

    def speak_at(self, utterance: RecordedUtterance, position: Position) -> SpokenUtterance:
        """Speak an utterance from `position` on, mixed with what else is spoken there.

        Raises `ValueError` for a position that has left already.
        """
        if position < self.sent:
            raise ValueError(f"position {position} has left; the next is {self.sent}")
        sound = np.frombuffer(utterance.pcm[: len(utterance.pcm) & ~1], "<i2").astype(np.int32)
        self._scheduled.append((position, sound))
        self._free_from = max(self._free_from, position + len(sound))
        return SpokenUtterance(utterance, position, self.began)

    def switch_off(self) -> None:
        """End the stream after the chunk that is being recorded."""
        self._on = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield each chunk when its last sample is recorded, until switched off."""
        while self._on:
            due = self.time_of(self.sent + self._chunk)
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            late_s = self._loop.time() - due
            self.worst_late_s = max(self.worst_late_s, late_s)
            self.late_chunks += late_s > LATE_S
            self.chunk_count += 1
            chunk = self._mix_chunk()
            self.sent += self._chunk
            yield chunk

    def _mix_chunk(self) -> bytes:
        start, end = self.sent, self.sent + self._chunk
        if not self._scheduled:
            return bytes(2 * self._chunk)
        mixed = np.zeros(self._chunk, np.int32)
        for position, sound in self._scheduled:
            piece = sound[max(0, start - position) : max(0, end - position)]
            offset = max(0, position - start)
            mixed[offset : offset + len(piece)] += piece
        self._scheduled = [(at, sound) for at, sound in self._scheduled if at + len(sound) > end]
        return np.clip(mixed, -(2**15), 2**15 - 1).astype("<i2").tobytes()
