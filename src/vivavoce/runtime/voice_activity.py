"""Voice activity detection: score frames of the audio buffer, and post the scores as events.

The reader of a connection scores what it has read before it reads on. So the scores are in
order without a queue, `audioStreamEnd` comes after every score before it, and a detector that
falls behind slows its own client down through TCP, by at most `MAX_SCORED_S` of audio.

A frame that a detector fails at counts as silence, and what comes after it as another stream. When
it fails for long, the session ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from math import isfinite, log10
from typing import Any

import numpy as np

from vivavoce.core.events import ReadingPaused, VoiceScored
from vivavoce.domain.audio import Position, samples
from vivavoce.engines.batcher import INLINE_SHARE, Batcher
from vivavoce.engines.ports import VoiceDetector
from vivavoce.errors import EngineError
from vivavoce.runtime.audio_input import AudioBuffer
from vivavoce.runtime.event_queue import EventQueue

MAX_SCORED_S = 0.5
"""Longest audio that is scored before its scores are posted; longer messages are split."""

MAX_BACKLOG_S = 10.0
"""Audio without a single score after which a session ends with the detector's error."""

PAUSE_AFTER_S = 0.2
"""Duration of scoring from which reading counts as paused."""

MEASURED_SCORE = 0.3
"""The least score of a frame whose level is measured (4 us): that of silence is not needed."""

SILENCE_DB = -96.0
"""The level of silence, and of frames that are not measured."""

log = logging.getLogger(__name__)


def level_db(pcm: bytes) -> float:
    """Return the level of 16-bit PCM in dB below full scale."""
    sound = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    power = float(np.dot(sound, sound)) / max(1, len(sound)) / 32768**2
    return max(SILENCE_DB, 10 * log10(power)) if power > 0 else SILENCE_DB


class VoiceScorer:
    """Voice detector shared by all sessions of a profile; scores their frames in batches.

    Calls are made in a thread, but for a detector that says by `inline` that it never waits.
    """

    def __init__(self, detector: VoiceDetector, **options: Any) -> None:
        self.detector = detector
        inline = getattr(detector, "inline", False)
        options.setdefault("inline_share", INLINE_SHARE if inline else 0.0)
        self._batcher: Batcher[tuple[bytes, Any], tuple[float, Any]] = Batcher(
            "detector", self._score, **options
        )

    @property
    def takes_inline(self) -> bool:
        """Return whether a frame may be scored now, on the event loop."""
        return self._batcher.takes_inline

    def score_inline(self, frame: bytes, state: Any) -> tuple[float, Any]:
        """Return a frame's score and the next state, by a call on the event loop."""
        return self._batcher.run_inline((frame, state))

    async def score(self, frame: bytes, state: Any) -> tuple[float, Any]:
        """Return a frame's probability of speech, and the next state. Raises `EngineError`."""
        return await self._batcher.submit((frame, state))

    def close(self) -> None:
        """Accept no more frames."""
        self._batcher.close()

    def _score(self, batch: Sequence[tuple[bytes, Any]]) -> Sequence[tuple[float, Any]]:
        frames, states = zip(*batch, strict=True)
        scores = [(float(score), state) for score, state in self.detector.score(frames, states)]
        if not all(isfinite(score) for score, _ in scores):
            raise EngineError("detector", "a score is not a number")
        return scores


class VoiceActivityDetection:
    """Voice activity detection of one session: posts the scores of its frames as events."""

    def __init__(self, scorer: VoiceScorer, audio: AudioBuffer, events: EventQueue) -> None:
        self.position: Position = audio.position
        self.frame_samples = scorer.detector.frame_samples
        self._max_frames = samples(MAX_SCORED_S) // self.frame_samples
        self._scorer = scorer
        self._audio = audio
        self._events = events
        self._state = scorer.detector.fresh()
        self._slow: asyncio.TimerHandle | None = None
        self._holding = False
        self._unscored = 0
        self._reported = False

    @property
    def takes_inline(self) -> bool:
        """Return whether `score_now` may be called: the budget of the event loop allows it."""
        return self._scorer.takes_inline

    def score_now(self) -> bool:
        """Score the whole frames that have arrived in this step; return whether there were any.

        Raises `EngineError` if the detector has failed for too long.
        """
        scores = []
        while self._has_frame():
            frame = self._take_frame()
            try:
                score, self._state = self._scorer.score_inline(frame, self._state)
                self._unscored = 0
            except EngineError as failure:
                score = self._skip_frame(failure)
            scores.append(score)
        self._put_scores(scores)
        return bool(scores)

    async def score_arrived(self) -> None:
        """Score every whole frame that has arrived. Raises `EngineError` if that takes too long."""
        try:
            while self._has_frame():
                scores: list[float] = []
                while self._has_frame() and len(scores) < self._max_frames:
                    frame = self._take_frame()
                    try:
                        score, self._state = await self._score_batched(frame)
                        self._unscored = 0
                    except EngineError as failure:
                        score = self._skip_frame(failure)
                    scores.append(score)
                self._put_scores(scores)
        finally:
            self._resume()

    def _has_frame(self) -> bool:
        return self._audio.position - self.position >= self.frame_samples

    def _take_frame(self) -> bytes:
        start, self.position = self.position, self.position + self.frame_samples
        return self._audio.read_audio(start, self.position)

    def _put_scores(self, scores: list[float]) -> None:
        if scores:
            arrived, levels = self._audio.position, self._measure_levels(scores)
            self._events.put_frequent(
                VoiceScored(self.position, tuple(scores), self.frame_samples, arrived, levels)
            )

    def _measure_levels(self, scores: list[float]) -> tuple[float, ...]:
        """Return the level of each frame; that of frames without a voice is not measured."""
        begin = self.position - self.frame_samples * len(scores)
        spans = zip(range(begin, self.position, self.frame_samples), scores, strict=True)
        return tuple(
            level_db(self._audio.read_audio(at, at + self.frame_samples))
            if score >= MEASURED_SCORE
            else SILENCE_DB
            for at, score in spans
        )

    async def _score_batched(self, frame: bytes) -> tuple[float, Any]:
        """Wait for a batch; in a message that takes long, reading counts as paused."""
        if self._slow is None:
            loop = asyncio.get_running_loop()
            self._slow = loop.call_later(PAUSE_AFTER_S, self._hold)
        return await self._scorer.score(frame, self._state)

    def _skip_frame(self, failure: EngineError) -> float:
        """Return the score of silence for a frame, unless the detector has failed for too long."""
        if not self._reported:
            self._reported = True
            log.error("voice detection failed", exc_info=failure)
        self._unscored += self.frame_samples
        if self._unscored > samples(MAX_BACKLOG_S):
            raise failure
        self._state = self._scorer.detector.fresh()
        return 0.0

    def _hold(self) -> None:
        """Report that reading is paused, so that the microphone does not count as silent."""
        self._holding = True
        self._events.put_event(ReadingPaused(True))

    def _resume(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None
        if self._holding:
            self._holding = False
            self._events.put_event(ReadingPaused(False))

    def end_stream(self) -> None:
        """Reset the detector's state for the next stream."""
        self._state = self._scorer.detector.fresh()
