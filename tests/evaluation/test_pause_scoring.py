from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from evaluation.labelled_clips import LoudnessDetector, two_words
from vivavoce.core.settings import SessionSettings
from vivavoce.engines.ports import (
    RecognitionOptions,
    RecognizerCapabilities,
    Transcript,
    TurnPause,
)
from vivavoce.evaluation.pause_scoring import PauseScorer
from vivavoce.evaluation.turn_ends import score_clip

ONE_WORD_S = 2.0


class CountingRecognizer:
    """Understands one word in the first two seconds of a turn, and two in more."""

    capabilities = RecognizerCapabilities(streaming=False, languages=("en",))

    def __init__(self) -> None:
        self.fed = b""

    def open(self, options: RecognitionOptions) -> CountingRecognizer:
        return self

    @asynccontextmanager
    async def utterance(self) -> AsyncIterator[CountingRecognizer]:
        self.fed = b""
        yield self

    async def feed(self, pcm: bytes) -> None:
        self.fed += pcm

    async def hypothesis(self) -> Transcript:
        return Transcript()

    async def pause(self) -> Transcript:
        return Transcript("one" if len(self.fed) < ONE_WORD_S * 32_000 else "one two")

    async def finish(self) -> Transcript:
        return await self.pause()

    async def aclose(self) -> None: ...


class WordModel:
    """Scores by the words alone; a pause without words is unsure."""

    def __init__(self, scores: dict[str, float]) -> None:
        self.scores = scores
        self.asked: list[TurnPause] = []

    def score(self, pauses: Sequence[TurnPause]) -> list[float]:
        self.asked += pauses
        return [self.scores.get(pause.text, 0.5) for pause in pauses]

    async def aclose(self) -> None: ...


def scorer(**scores: float) -> tuple[PauseScorer, WordModel]:
    model = WordModel({name.replace("_", " "): score for name, score in scores.items()})
    return PauseScorer(model, CountingRecognizer(), SessionSettings()), model


async def test_a_sure_end_is_found_soon_and_an_unfinished_turn_goes_on() -> None:
    scored = score_clip(two_words(), LoudnessDetector())
    pauses, model = scorer(one=0.0, one_two=1.0)
    found = await pauses.detect_turn(scored)
    assert found.cut_off == (False,)
    assert found.delay_s is not None
    assert found.delay_s < 0.5
    assert [pause.text for pause in model.asked] == ["", "one", "", "one two"]
    assert {pause.language for pause in model.asked} == {"en"}


async def test_a_wrong_score_ends_the_turn_in_the_pause() -> None:
    scored = score_clip(two_words(), LoudnessDetector())
    pauses, _ = scorer(one=1.0)
    found = await pauses.detect_turn(scored)
    assert found.cut_off == (True,)


async def test_an_unsure_model_leaves_it_to_silence() -> None:
    scored = score_clip(two_words(), LoudnessDetector())
    pauses, _ = scorer()
    found = await pauses.detect_turn(scored)
    assert found.cut_off == (False,)
    assert found.delay_s == pytest.approx(0.704)


async def test_silences_are_scored_as_heard_or_as_the_detector_sees_them() -> None:
    scored = score_clip(two_words(), LoudnessDetector())
    pauses, _ = scorer(one=0.1, one_two=0.9)
    pause, end = await pauses.score_silences(scored, heard=False)
    assert (pause.is_end, end.is_end) == (False, True)
    assert pause.duration_s == pytest.approx(0.512)
    assert [score for _, score in (*pause.scores, *end.scores)] == [0.1, 0.9]
    assert pause.scores[0][0] == pytest.approx(0.128), "the first frame behind 0.1 s"
    heard, _ = await pauses.score_silences(scored, heard=True)
    assert [score for _, score in heard.scores] == [0.5, 0.1], "by sound, then with the words"
    assert heard.scores[0][0] > pause.scores[0][0], "computing takes time"
