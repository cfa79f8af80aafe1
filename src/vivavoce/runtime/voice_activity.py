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
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

from vivavoce.core.events import Event, ReadingPaused, VoiceScored
from vivavoce.domain.audio import Position, samples
from vivavoce.engines.batcher import INLINE_SHARE, Batcher
from vivavoce.engines.ports import VoiceDetector
from vivavoce.errors import EngineError
from vivavoce.runtime.audio_input import AudioBuffer

MAX_SCORED_S = 0.5
"""Longest audio that is scored before its scores are posted; longer messages are split."""

MAX_BACKLOG_S = 10.0
"""Audio without a single score after which a session ends with the detector's error."""

PAUSE_AFTER_S = 0.2
"""Duration of scoring from which reading counts as paused."""


log = logging.getLogger(__name__)


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

    def __init__(
        self, scorer: VoiceScorer, audio: AudioBuffer, post: Callable[[Event], None]
    ) -> None:
        self.position: Position = audio.position
        self.frame_samples = scorer.detector.frame_samples
        self._scorer = scorer
        self._audio = audio
        self._post = post
        self._state = scorer.detector.fresh()
        self._holding = False
        self._unscored = 0
        self._reported = False

    async def score_arrived(self) -> None:
        """Score every whole frame that has arrived. Raises `EngineError` if that takes too long."""
        if not self._whole_frame():
            return
        slow = asyncio.get_running_loop().call_later(PAUSE_AFTER_S, self._hold)
        try:
            while self._whole_frame():
                await self._score_piece()
        finally:
            slow.cancel()
            if self._holding:
                self._holding = False
                self._post(ReadingPaused(False))

    def _whole_frame(self) -> bool:
        return self._audio.position - self.position >= self.frame_samples

    async def _score_piece(self) -> None:
        scores: list[float] = []
        while self._whole_frame() and len(scores) < samples(MAX_SCORED_S) // self.frame_samples:
            end = self.position + self.frame_samples
            scores.append(await self._score_frame(self._audio.read_audio(self.position, end)))
            self.position = end
        self._post(VoiceScored(self.position, tuple(scores), self.frame_samples))

    async def _score_frame(self, frame: bytes) -> float:
        try:
            score, self._state = await self._scorer.score(frame, self._state)
        except EngineError as failure:
            if not self._reported:
                self._reported = True
                log.error("voice detection failed", exc_info=failure)
            self._unscored += self.frame_samples
            if self._unscored > samples(MAX_BACKLOG_S):
                raise
            self._state = self._scorer.detector.fresh()
            return 0.0
        self._unscored = 0
        return score

    def _hold(self) -> None:
        """Report that reading is paused, so that the microphone does not count as silent."""
        self._holding = True
        self._post(ReadingPaused(True))

    def end_stream(self) -> None:
        """Reset the detector's state for the next stream."""
        self._state = self._scorer.detector.fresh()
