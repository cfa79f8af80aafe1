"""Turn ends: score whether a pause of the user ends the turn, and post the scores as events.

A score that fails or comes too late is left out: the core then waits for silence alone, as it would
without a turn model. A failing model is logged once, not at every pause, and one that fails now and
then at most once a minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from math import inf, isfinite
from typing import Any

from vivavoce.core.effects import ScoreTurnEnd
from vivavoce.core.events import Event, TurnEndScored
from vivavoce.domain.audio import samples
from vivavoce.engines.batcher import INLINE_SHARE, Batcher
from vivavoce.engines.ports import MAX_TURN_S, TurnModel, TurnPause
from vivavoce.errors import EngineError
from vivavoce.runtime.audio_input import AudioBuffer
from vivavoce.runtime.tasks import EngineTasks

log = logging.getLogger(__name__)

SCORE_TIMEOUT_S = 1.0
"""Timeout of a request, which may wait for other sessions': later, silence has decided."""

CALL_TIMEOUT_S = 5.0
"""Timeout of one call, after which its thread is replaced."""

LOG_INTERVAL_S = 60.0
"""Least time between two log lines about failures: under load, late scores come and go."""

MAX_BATCH = 4
"""Pauses in one call, at most: Smart Turn takes 120 ms of CPU for each."""


class TurnScorer:
    """Turn model shared by all sessions of a profile; scores their pauses in batches."""

    def __init__(
        self,
        model: TurnModel,
        timeout_s: float = SCORE_TIMEOUT_S,
        log_interval_s: float = LOG_INTERVAL_S,
        **options: Any,
    ) -> None:
        inline = getattr(model, "inline", False)
        options.setdefault("inline_share", INLINE_SHARE if inline else 0.0)
        self._model = model
        self._batcher: Batcher[TurnPause, float] = Batcher(
            "turn_model", self._score, cap=MAX_BATCH, call_s=CALL_TIMEOUT_S, **options
        )
        self._timeout_s = timeout_s
        self._failing = False
        self._log_interval_s = log_interval_s
        self._logged_at = -inf

    async def score(self, pause: TurnPause) -> float | None:
        """Return the probability that a pause ends its turn; `None` if the model fails or is late.

        A request that is late before its call begins is dropped, and costs nothing.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                score = await self._batcher.submit(pause)
        except (EngineError, TimeoutError) as failure:
            self._log_failure(failure)
            return None
        if self._failing:
            self._failing = False
            log.info("turn model works again")
        return score

    def _log_failure(self, failure: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if not self._failing and now - self._logged_at >= self._log_interval_s:
            self._failing, self._logged_at = True, now
            log.error("turn model failed or is late: silence ends turns", exc_info=failure)

    def close(self) -> None:
        """Accept no more pauses."""
        self._batcher.close()

    def _score(self, batch: Sequence[TurnPause]) -> Sequence[float]:
        scores = [float(score) for score in self._model.score(batch)]
        if not all(isfinite(score) for score in scores):
            raise EngineError("turn_model", "a score is not a number")
        return scores


class TurnEnds:
    """Scores of one session's pauses: the latest request replaces an earlier one."""

    def __init__(
        self,
        scorer: TurnScorer | None,
        audio: AudioBuffer,
        language: str,
        tasks: EngineTasks,
        post: Callable[[Event], None],
    ) -> None:
        self._scorer = scorer
        self._audio = audio
        self._language = language
        self._tasks = tasks
        self._post = post
        self._scoring: asyncio.Task[None] | None = None

    @property
    def kept_samples(self) -> int:
        """Samples of a turn that are kept for the model, although they were recognized."""
        return 0 if self._scorer is None else samples(MAX_TURN_S)

    def score(self, asked: ScoreTurnEnd) -> None:
        """Start to score a pause."""
        if self._scorer is None:
            return
        self.cancel()
        begin = max(asked.start, asked.position - samples(MAX_TURN_S))
        pcm = self._audio.read_audio(begin, asked.position)
        work = self._run(self._scorer, TurnPause(pcm, asked.text, self._language), asked)
        self._scoring = self._tasks.start_task(f"turn end {asked.turn}", work)

    def cancel(self) -> None:
        """Cancel the request that is open."""
        if self._scoring is not None:
            self._tasks.cancel_task(self._scoring)
            self._scoring = None

    async def _run(self, scorer: TurnScorer, pause: TurnPause, asked: ScoreTurnEnd) -> None:
        score = await scorer.score(pause)
        if score is not None:
            self._post(TurnEndScored(asked.turn, asked.position, score, asked.number))
