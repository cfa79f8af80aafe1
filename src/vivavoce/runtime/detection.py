"""Listening for speech: detector frames out of the intake, scores into the mailbox.

The reader of a connection scores what it has read before it reads on. So the scores are in
order without a queue, `audioStreamEnd` comes after every score before it, and a detector that
falls behind slows its own client down through TCP, by never more than `PIECE_S` of sound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from vivavoce.core.events import Event, ListeningHeld, VoiceScored
from vivavoce.domain.audio import Position, samples
from vivavoce.engines.batcher import Batcher
from vivavoce.engines.ports import VoiceDetector
from vivavoce.errors import EngineError
from vivavoce.runtime.intake import Intake

PIECE_S = 0.5
"""Sound that is scored before the core hears of it; what a long message is cut into."""

PATIENCE_S = 10.0

SLOW_S = 0.2
"""How long scoring may take before the core is told that nobody reads on."""


class VoiceScorer:
    """A detector shared by all sessions of a profile, which scores their frames in batches."""

    def __init__(self, detector: VoiceDetector, **options: Any) -> None:
        self.detector = detector
        self._batcher: Batcher[tuple[bytes, Any], tuple[float, Any]] = Batcher(
            "detector", self._score, **options
        )

    async def score(self, frame: bytes, state: Any) -> tuple[float, Any]:
        """Probability of speech in one frame, and the stream's next state."""
        return await self._batcher.submit((frame, state))

    def close(self) -> None:
        """No more frames."""
        self._batcher.close()

    def _score(self, batch: Sequence[tuple[bytes, Any]]) -> Sequence[tuple[float, Any]]:
        frames, states = zip(*batch, strict=True)
        return self.detector.score(frames, states)


class Detection:
    """One session's ear. `post` is told of every run of scored frames."""

    def __init__(self, scorer: VoiceScorer, intake: Intake, post: Callable[[Event], None]) -> None:
        self.position: Position = intake.position
        self.frame_samples = scorer.detector.frame_samples
        self._scorer = scorer
        self._intake = intake
        self._post = post
        self._state = scorer.detector.fresh()
        self._holding = False

    async def catch_up(self) -> None:
        """Score every whole frame that has arrived. Raises `EngineError` if the detector hangs."""
        if not self._whole_frame():
            return
        slow = asyncio.get_running_loop().call_later(SLOW_S, self._hold)
        try:
            while self._whole_frame():
                await self._score_piece()
        finally:
            slow.cancel()
            if self._holding:
                self._holding = False
                self._post(ListeningHeld(False))

    def _whole_frame(self) -> bool:
        return self._intake.position - self.position >= self.frame_samples

    async def _score_piece(self) -> None:
        scores: list[float] = []
        try:
            async with asyncio.timeout(PATIENCE_S):
                while self._whole_frame() and len(scores) < samples(PIECE_S) // self.frame_samples:
                    end = self.position + self.frame_samples
                    frame = self._intake.read(self.position, end)
                    score, self._state = await self._scorer.score(frame, self._state)
                    scores.append(score)
                    self.position = end
        except TimeoutError:
            raise EngineError("detector", f"no score within {PATIENCE_S:.0f} s") from None
        self._post(VoiceScored(self.position, tuple(scores), self.frame_samples))

    def _hold(self) -> None:
        """While this session's frames wait for their scores, its microphone is not silent."""
        self._holding = True
        self._post(ListeningHeld(True))

    def end_stream(self) -> None:
        """What comes next is another stream: nothing of this one colours it."""
        self._state = self._scorer.detector.fresh()
