"""Scores of pauses: what the model is given, what the core is told, and models that fail."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence

import pytest

from runtime.clients import SETUP, played, speech, stream, talks
from runtime.dialogues import holds
from support.host_rig import Client
from vivavoce.core.effects import ScoreTurnEnd
from vivavoce.core.events import Event, TurnEndScored
from vivavoce.core.messages import TurnComplete
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.audio import INPUT_RATE, AudioChunk
from vivavoce.domain.ids import TurnId
from vivavoce.engines.ports import MAX_TURN_S, RecognitionOptions, TurnModel, TurnPause
from vivavoce.engines.scripted import TonesRecognizer, say
from vivavoce.runtime.audio_input import AudioBuffer
from vivavoce.runtime.connection import spoken_language
from vivavoce.runtime.tasks import EngineTasks
from vivavoce.runtime.turn_ends import TurnEnds, TurnScorer

ONE = TurnId(1)
FAILED = "turn model failed or is late: silence ends turns"
SCORED = SessionSettings(turn_model=True)


class StubTurnModel:
    """Keeps the pauses that it is asked about, and acts on each."""

    def __init__(self, act: Callable[[TurnPause], float], inline: bool = True) -> None:
        self.asked: list[TurnPause] = []
        self.inline = inline
        self._act = act

    def score(self, pauses: Sequence[TurnPause]) -> list[float]:
        self.asked += pauses
        return [self._act(pause) for pause in pauses]

    async def aclose(self) -> None:
        return None


def broken(pause: TurnPause) -> float:
    raise RuntimeError("broken")


def score_all(
    model: TurnModel | None, *asked: tuple[int, int, str], log_interval_s: float = 60.0
) -> list[Event]:
    """The events that follow when pauses are scored one after the other, in a ten second turn."""

    async def run() -> list[Event]:
        audio, events = AudioBuffer(), list[Event]()
        audio.add_chunk(AudioChunk(b"\1\0" * 10 * INPUT_RATE))
        scorer = TurnScorer(model, log_interval_s=log_interval_s) if model is not None else None
        ends = TurnEnds(scorer, audio, "en-US", tasks := EngineTasks(), events.append)
        for start, position, text in asked:
            ends.score(ScoreTurnEnd(ONE, start, position, text, 2))
            await asyncio.sleep(0.2)
        await tasks.aclose()
        if scorer is not None:
            scorer.close()
        return events

    return asyncio.run(run())


def test_a_pause_is_scored_with_its_sound_words_and_language() -> None:
    model = StubTurnModel(lambda pause: 0.75)
    assert score_all(model, (16000, 48000, "turn it on")) == [TurnEndScored(ONE, 48000, 0.75, 2)]
    assert model.asked == [TurnPause(b"\1\0" * 32000, "turn it on", "en-US")]


def test_the_sound_of_a_long_turn_is_its_last_eight_seconds() -> None:
    model = StubTurnModel(lambda pause: 0.5)
    score_all(model, (0, 160_000, ""))
    assert len(model.asked[0].pcm) == 2 * INPUT_RATE * MAX_TURN_S


@pytest.mark.parametrize("act", [broken, lambda pause: float("nan")])
def test_a_failing_model_gives_no_score_and_is_logged_once(
    act: Callable[[TurnPause], float], caplog: pytest.LogCaptureFixture
) -> None:
    assert score_all(StubTurnModel(act), (0, 100, ""), (0, 200, ""), (0, 300, "")) == []
    failures = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert [r.getMessage() for r in failures] == [FAILED]


@pytest.mark.parametrize(("interval_s", "again"), [(0.0, [logging.ERROR]), (60.0, [])])
def test_a_model_that_works_again_is_reported_and_may_fail_again(
    caplog: pytest.LogCaptureFixture, interval_s: float, again: list[int]
) -> None:
    outcomes = iter([broken, None, broken])

    def act(pause: TurnPause) -> float:
        fails = next(outcomes)
        return fails(pause) if fails is not None else 0.5

    caplog.set_level(logging.INFO)
    asked = (0, 100, ""), (0, 200, ""), (0, 300, "")
    scored = score_all(StubTurnModel(act), *asked, log_interval_s=interval_s)
    assert scored == [TurnEndScored(ONE, 200, 0.5, 2)]
    levels = [r.levelno for r in caplog.records if "turn model" in r.getMessage()]
    assert levels == [logging.ERROR, logging.INFO, *again]


def test_a_newer_request_replaces_one_that_is_open() -> None:
    """The first call is in a thread when the second request comes: its score is not posted."""
    entered, leave = threading.Event(), threading.Event()

    def act(pause: TurnPause) -> float:
        if not pause.text:
            entered.set()
            leave.wait(10)
        return 0.75 if pause.text else 0.25

    async def run() -> list[Event]:
        audio, posted = AudioBuffer(), list[Event]()
        done = asyncio.Event()

        def post(event: Event) -> None:
            posted.append(event)
            done.set()

        scorer = TurnScorer(StubTurnModel(act, inline=False))
        ends = TurnEnds(scorer, audio, "", tasks := EngineTasks(), post)
        ends.score(ScoreTurnEnd(ONE, 0, 100))
        await asyncio.to_thread(entered.wait, 10)
        ends.score(ScoreTurnEnd(ONE, 0, 100, "words", 2))
        leave.set()
        await done.wait()
        await tasks.aclose()
        scorer.close()
        return posted

    assert asyncio.run(run()) == [TurnEndScored(ONE, 100, 0.75, 2)]


def test_without_a_model_nothing_is_scored() -> None:
    assert score_all(None, (0, 100, "")) == []


@pytest.mark.parametrize(
    ("hints", "language"), [((), "en"), (("de-DE", "en-US"), "de-DE"), (("en-GB",), "en-GB")]
)
def test_the_language_is_the_hint_or_the_only_one_recognized(
    hints: tuple[str, ...], language: str
) -> None:
    assert spoken_language(RecognitionOptions(hints), TonesRecognizer()) == language


@pytest.mark.parametrize("act", [broken, lambda pause: 0.5])
def test_a_model_that_fails_or_is_unsure_leaves_the_usual_silence(
    act: Callable[[TurnPause], float],
) -> None:
    ended: list[float] = []

    async def talk(client: Client) -> None:
        loop = asyncio.get_running_loop()
        spoken = say("hello", INPUT_RATE)
        await stream(client, spoken)
        silent_from = loop.time()
        await stream(client, bytes(2 * 2 * INPUT_RATE))
        await client.until(TurnComplete)
        ended.append(client.heard[1][0] - silent_from)

    for model in (None, StubTurnModel(act)):
        played(talk, talks(speech(0.2, "Hi.")), setup=SETUP, settings=SCORED, turn_model=model)
    assert ended[0] == ended[1]


@pytest.mark.parametrize("words", [1, 24])
def test_the_model_hears_the_turn_although_it_was_recognized_already(words: int) -> None:
    spoken = say(" ".join(["hello"] * words), INPUT_RATE)
    model = StubTurnModel(lambda pause: 0.5)

    async def talk(client: Client) -> None:
        await stream(client, spoken + bytes(2 * INPUT_RATE))
        await client.until(TurnComplete)

    played(talk, talks(speech(0.2, "Hi.")), setup=SETUP, settings=SCORED, turn_model=model)
    longest = 2 * INPUT_RATE * int(MAX_TURN_S)
    heard = model.asked[0].pcm
    assert min(len(spoken), longest) <= len(heard) <= longest
    assert spoken[-3000:-2000] in heard


def test_words_that_ask_for_more_keep_the_turn_open_on_the_host() -> None:
    """The models of the embedded profile are tested in tests/engines; here their place."""
    holds(
        """
        setup   audio, transcribe, turn-model
        model   given "i want the red one" says "Red it is." over 0.3
        user    0.5-1.0 "i want the"
        user    2.3-2.9 "red one"
        expect  says "Red it is." then turnComplete
        count   turnComplete 1
        """
    )


def test_a_late_score_is_none_and_what_waits_behind_it_is_not_scored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    leave = threading.Event()
    model = StubTurnModel(lambda pause: float(leave.wait(10)), inline=False)

    async def run() -> list[float | None]:
        scorer = TurnScorer(model, timeout_s=0.05)
        first = asyncio.ensure_future(scorer.score(TurnPause(b"", "first")))
        await asyncio.sleep(0)
        scores = [await first, await scorer.score(TurnPause(b"", "second"))]
        leave.set()
        scores.append(await TurnScorer(model, timeout_s=10).score(TurnPause(b"", "third")))
        scorer.close()
        return scores

    assert asyncio.run(run()) == [None, None, 1.0]
    assert [pause.text for pause in model.asked] == ["first", "third"]
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == [FAILED]
