"""Find the ends of turns with a turn model: the server's turn detection, fed with its scores.

As in a session, each pause is scored twice: by its sound at once, and again when the recognizer has
its words. A score takes effect as much later as computing it took, in CPU seconds of this process,
so that a slow model is late here too, and load beside it changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from vivavoce.core.events import VoiceScored
from vivavoce.core.settings import SessionSettings
from vivavoce.core.turn_detection import ActivityTracker, SpeechEdge, SpeechEvent, vad_params
from vivavoce.domain.audio import BYTES_PER_SAMPLE, Position, samples, seconds
from vivavoce.domain.setup import ActivityDetection
from vivavoce.engines.ports import (
    MAX_TURN_S,
    RecognitionOptions,
    Recognizer,
    TurnModel,
    TurnPause,
)
from vivavoce.evaluation.clips import LabelledClip
from vivavoce.evaluation.measures import DetectedTurn, ScoredSilence, judge_ends
from vivavoce.evaluation.turn_ends import ScoredClip, labelled_silences


@dataclass(frozen=True, slots=True)
class PauseScore:
    """A score of a pause, and how long after the pause was seen it is there."""

    after_s: float
    probability: float


@dataclass(slots=True)
class _ClipRun:
    """A clip on its way through turn detection. `due` are scores that have yet to take effect."""

    scored: ScoredClip
    tracker: ActivityTracker
    turn_start: Position = 0
    due: list[tuple[Position, float]] = field(default_factory=list)
    ends_s: list[float] = field(default_factory=list)


class PauseScorer:
    """Scores pauses of clips by a turn model, each once. `settings` are the session's."""

    def __init__(self, model: TurnModel, recognizer: Recognizer, settings: SessionSettings) -> None:
        self._model = model
        self._recognizer = recognizer
        self._settings = replace(settings, turn_model=True)
        self._known: dict[tuple[str, Position, Position, int], tuple[PauseScore, PauseScore]] = {}
        languages = recognizer.capabilities.languages
        self._language = languages[0] if len(languages) == 1 else ""

    async def detect_turn(self, scored: ScoredClip) -> DetectedTurn:
        """Return what turn detection makes of a clip with the model's scores."""
        run = _ClipRun(scored, ActivityTracker(vad_params(ActivityDetection(), self._settings)))
        for number, score in enumerate(scored.scores, 1):
            position = number * scored.frame_samples
            scores = VoiceScored(position, (score,), scored.frame_samples)
            await self._follow(run, run.tracker.add_scores(scores))
            while run.due and run.due[0][0] <= position:
                await self._follow(run, run.tracker.apply_score(run.due.pop(0)[1]))
        return judge_ends(scored.clip, run.ends_s)

    async def _follow(self, run: _ClipRun, events: Iterable[SpeechEvent]) -> None:
        for event in events:
            match event.kind:
                case SpeechEdge.ONSET:
                    run.turn_start = event.position
                case SpeechEdge.PAUSE:
                    found = await self.score_pause(run.scored.clip, run.turn_start, event.position)
                    run.due = [
                        (event.position + samples(each.after_s), each.probability) for each in found
                    ]
                case SpeechEdge.RESUME:
                    run.due.clear()
                case SpeechEdge.END:
                    run.due.clear()
                    run.ends_s.append(seconds(event.position))

    async def score_pause(
        self, clip: LabelledClip, start: Position, position: Position
    ) -> tuple[PauseScore, PauseScore]:
        """Score a pause at `position` of a turn from `start` on: by its sound, then with words."""
        key = (clip.name, start, position, hash(clip.pcm))
        if key not in self._known:
            pcm = clip.pcm[start * BYTES_PER_SAMPLE : position * BYTES_PER_SAMPLE]
            recent = pcm[-samples(MAX_TURN_S) * BYTES_PER_SAMPLE :]
            began = time.process_time()
            [by_sound] = self._model.score([TurnPause(recent, "", self._language)])
            heard_s = time.process_time() - began
            began = time.process_time()
            text = await self._recognize(pcm)
            [with_words] = self._model.score([TurnPause(recent, text, self._language)])
            read_s = time.process_time() - began
            self._known[key] = (
                PauseScore(heard_s, by_sound),
                PauseScore(max(heard_s, read_s), with_words),
            )
        return self._known[key]

    async def _recognize(self, pcm: bytes) -> str:
        recognition = self._recognizer.open(RecognitionOptions())
        try:
            async with recognition.utterance() as utterance:
                await utterance.feed(pcm)
                return (await utterance.pause()).text
        finally:
            await recognition.aclose()

    async def score_silences(self, scored: ScoredClip, heard: bool) -> list[ScoredSilence]:
        """Score every labelled silence with all of the clip before it, as if no turn had ended.

        `heard`: times count from the last word, with the detector's lag and the time of computing.
        Otherwise they count from when the detector sees the silence, and computing takes none.
        """
        found = []
        for silence in labelled_silences(scored, self._settings, heard):
            scores: list[tuple[float, float]] = []
            for seen_s, position in silence.pauses:
                by_sound, with_words = await self.score_pause(scored.clip, silence.start, position)
                if heard:
                    scores.append((seen_s + by_sound.after_s, by_sound.probability))
                    scores.append((seen_s + with_words.after_s, with_words.probability))
                else:
                    scores.append((seen_s, with_words.probability))
            found.append(ScoredSilence(silence.is_end, silence.duration_s, tuple(scores)))
        return found
