"""Recognizing turns: fed in order, asked by position, failing alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from vivavoce.core.events import (
    Event,
    ListeningHeld,
    TranscriptFailed,
    TranscriptProgressed,
    TranscriptUpdated,
)
from vivavoce.domain.audio import INPUT_RATE, AudioChunk
from vivavoce.domain.ids import TurnId
from vivavoce.domain.setup import SessionSetup, Transcription
from vivavoce.engines.ports import (
    Recognition,
    RecognitionOptions,
    Recognizer,
    RecognizerCapabilities,
)
from vivavoce.engines.scripted.sound import say
from vivavoce.engines.scripted.tones import TonesRecognizer
from vivavoce.errors import EngineError
from vivavoce.runtime.errands import PATIENCE_S, Errands
from vivavoce.runtime.intake import Intake
from vivavoce.runtime.transcripts import BEHIND_SAMPLES, BROKEN, HUNG_S, Transcripts
from vivavoce.testing.loop import run_virtually

ONE, TWO = TurnId(1), TurnId(2)
HELLO = say("hello", INPUT_RATE)
END = len(HELLO) // 2


class Trouble(TonesRecognizer):
    """Plays a trick on the n-th utterance; understands everything else as its length."""

    capabilities = RecognizerCapabilities(streaming=True, languages=())

    def __init__(self, *tricks: Callable[[], Awaitable[None]]) -> None:
        self.opened: list[RecognitionOptions] = []
        self.closed = 0
        self.open_now = 0
        self.fed = 0
        self._tricks = list(tricks)

    def open(self, options: RecognitionOptions) -> Recognition:  # type: ignore[override]
        self.opened.append(options)
        return _Trouble(self)

    async def work(self, pcm: bytes) -> None:
        """Takes no time."""

    async def trick(self) -> None:
        if self._tricks:
            await self._tricks.pop(0)()


class _Trouble:
    def __init__(self, home: Trouble) -> None:
        self.home = home

    @asynccontextmanager
    async def utterance(self) -> AsyncIterator[_Utterance]:
        self.home.open_now += 1
        assert self.home.open_now == 1, "two utterances of one conversation at a time"
        try:
            yield _Utterance(self.home)
        finally:
            self.home.open_now -= 1

    async def aclose(self) -> None:
        self.home.closed += 1


class _Utterance:
    def __init__(self, home: Trouble) -> None:
        self.home = home
        self.size = 0

    async def feed(self, pcm: bytes) -> None:
        await self.home.work(pcm)
        self.size += len(pcm)
        self.home.fed += len(pcm)

    async def hypothesis(self) -> str:
        return f"{self.size // 2} so far"

    async def finish(self) -> str:
        await self.home.trick()
        return f"{self.size // 2} samples"


class Host:
    """Transcripts alone, an intake to hear from, and what they post."""

    def __init__(self, recognizer: Recognizer, setup: SessionSetup) -> None:
        self.events: list[Event] = []
        self.intake = Intake()
        self.errands = Errands()
        self.transcripts = Transcripts(
            recognizer, setup, self.intake, self.errands, self.events.append
        )

    def hear(self, pcm: bytes) -> None:
        self.transcripts.heard(self.intake.hear(AudioChunk(pcm)))


def hosted(
    recognizer: Recognizer,
    act: Callable[[Host], Awaitable[None]],
    setup: SessionSetup | None = None,
) -> Host:
    async def run() -> Host:
        host = Host(recognizer, setup or SessionSetup("m"))
        await act(host)
        host.transcripts.close()
        await host.errands.aclose()
        await host.transcripts.aclose()
        return host

    return run_virtually(run())


async def soon() -> None:
    await asyncio.sleep(0.01)


def test_a_turn_is_fed_from_its_start_to_its_end_and_finished() -> None:
    async def act(host: Host) -> None:
        host.hear(bytes(2000) + HELLO)
        host.transcripts.start(ONE, 1000)
        host.hear(bytes(2000))
        await soon()
        host.hear(HELLO)
        host.transcripts.finish(ONE, 1000 + END)
        await soon()

    host = hosted(TonesRecognizer(), act)
    assert [type(event) for event in host.events] == [TranscriptUpdated]
    (event,) = host.events
    assert isinstance(event, TranscriptUpdated)
    assert (event.turn, event.final) == (ONE, True)
    assert event.text.startswith("hello")


def test_sound_that_comes_after_the_end_is_not_fed() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.transcripts.finish(ONE, 100)
        host.hear(bytes(600))
        await soon()

    host = hosted(Trouble(), act)
    assert host.events == [TranscriptUpdated(ONE, 100, "100 samples", True)]


def test_sound_is_not_fed_before_it_is_known_whose_turn_it_belongs_to() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.intake.hear(AudioChunk(bytes(2 * END)))
        host.transcripts.heard(500)
        await soon()
        host.transcripts.refresh(ONE, 500)
        await soon()
        host.transcripts.finish(ONE, 700)
        await soon()

    host = hosted(Trouble(), act)
    assert [e.text for e in host.events if isinstance(e, TranscriptUpdated)] == [
        "500 so far",
        "700 samples",
    ]


def test_a_refresh_says_what_was_understood_up_to_the_pause() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.hear(bytes(600))
        host.transcripts.refresh(ONE, 300)
        await soon()
        host.hear(bytes(600))
        host.transcripts.finish(ONE, 600)
        await soon()

    host = hosted(Trouble(), act)
    assert host.events == [
        TranscriptUpdated(ONE, 300, "300 so far", False),
        TranscriptUpdated(ONE, 600, "600 samples", True),
    ]


def test_a_dropped_turn_says_nothing() -> None:
    async def act(host: Host) -> None:
        host.hear(HELLO)
        host.transcripts.start(ONE, 0)
        await soon()
        host.transcripts.drop(ONE)
        host.transcripts.finish(ONE, END)
        await soon()

    assert hosted(Trouble(), act).events == []


def test_turns_of_one_conversation_are_recognized_one_after_the_other() -> None:
    async def slow() -> None:
        await asyncio.sleep(2)

    async def act(host: Host) -> None:
        host.hear(bytes(400))
        for turn, start in ((ONE, 0), (TWO, 100)):
            host.transcripts.start(turn, start)
            host.transcripts.finish(turn, start + 100)
            await soon()
        await asyncio.sleep(5)

    recognizer = Trouble(slow)
    host = hosted(recognizer, act)
    assert [event.turn for event in host.events if isinstance(event, TranscriptUpdated)] == [1, 2]
    assert len(recognizer.opened) == 1


async def raise_known() -> None:
    raise EngineError("recognizer", "no memory")


async def raise_unknown() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("trick", "problem"), [(raise_known, "recognizer: no memory"), (raise_unknown, BROKEN)]
)
def test_a_failure_fails_its_turn_and_no_other(
    trick: Callable[[], Awaitable[None]], problem: str
) -> None:
    async def act(host: Host) -> None:
        host.hear(bytes(800))
        for turn in (ONE, TWO):
            host.transcripts.start(turn, 200 * (turn - 1))
            host.transcripts.finish(turn, 200 * turn)
            await soon()

    host = hosted(Trouble(trick), act)
    assert host.events == [
        TranscriptFailed(ONE, problem),
        TranscriptUpdated(TWO, 400, "200 samples", True),
    ]


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_hung_recognizer_fails_its_turn_and_is_replaced_if_it_will_not_go(
    stubborn: bool,
) -> None:
    async def hang() -> None:
        end = asyncio.get_running_loop().time() + 60
        while (left := end - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                if not stubborn:
                    raise

    async def act(host: Host) -> None:
        host.hear(bytes(800))
        host.transcripts.start(ONE, 0)
        host.transcripts.finish(ONE, 200)
        await asyncio.sleep(HUNG_S + 1)
        assert [type(event) for event in host.events] == [TranscriptFailed]
        recognizer.open_now = 0
        host.transcripts.start(TWO, 200)
        host.transcripts.finish(TWO, 400)
        await asyncio.sleep(HUNG_S + 3)
        told = [event for event in host.events if not isinstance(event, TranscriptProgressed)]
        assert told[1:] == [TranscriptUpdated(TWO, 400, "200 samples", True)]
        count = len(host.events)
        await asyncio.sleep(60)
        assert len(host.events) == count

    recognizer = Trouble(hang)
    hosted(recognizer, act)
    assert len(recognizer.opened) == (2 if stubborn else 1)


class Sticking(Trouble):
    """Hangs where no call is made: in the first utterance's beginning, or at its end."""

    def __init__(self, at_begin: bool) -> None:
        super().__init__()
        self.at_begin = at_begin

    def open(self, options: RecognitionOptions) -> Recognition:  # type: ignore[override]
        self.opened.append(options)
        return _Sticking(self) if len(self.opened) == 1 else _Trouble(self)


class _Sticking(_Trouble):
    @asynccontextmanager
    async def utterance(self) -> AsyncIterator[_Utterance]:
        if isinstance(self.home, Sticking) and self.home.at_begin:
            await self._stick()
        yield _Utterance(self.home)
        await self._stick()

    async def _stick(self) -> None:
        for _ in range(2):  # swallows one cancellation
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(1000)


@pytest.mark.parametrize("at_begin", [False, True])
def test_a_recognizer_that_sticks_between_calls_does_not_hold_the_next_turn(at_begin: bool) -> None:
    async def act(host: Host) -> None:
        host.hear(bytes(800))
        for turn in (ONE, TWO):
            host.transcripts.start(turn, 200 * (turn - 1))
            host.transcripts.finish(turn, 200 * turn)
        await asyncio.sleep(HUNG_S + PATIENCE_S + 1)
        last = [e.text for e in host.events if isinstance(e, TranscriptUpdated)]
        assert last == (["200 samples"] if at_begin else ["200 samples"] * 2)
        await asyncio.sleep(3000)

    recognizer = Sticking(at_begin)
    host = hosted(recognizer, act)
    failed = [event.turn for event in host.events if isinstance(event, TranscriptFailed)]
    assert failed == ([ONE] if at_begin else [])
    assert len(recognizer.opened) == 2


class Slow(Trouble):
    """Works at `speed` times real time."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self.speed = speed

    async def work(self, pcm: bytes) -> None:
        await asyncio.sleep(len(pcm) / 2 / INPUT_RATE / self.speed)


def test_a_recognizer_far_behind_makes_the_reader_wait_and_says_so() -> None:
    beyond = 10 * INPUT_RATE

    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.hear(bytes(2 * BEHIND_SAMPLES))
        await host.transcripts.catch_up()
        assert host.events == []
        host.hear(bytes(2 * beyond))
        assert host.transcripts.needed_from() == host.intake.oldest == 0
        await host.transcripts.catch_up()
        assert host.transcripts.needed_from() >= beyond
        assert host.events == [ListeningHeld(True), ListeningHeld(False)]

    hosted(Slow(4), act)


def test_what_was_recognized_is_not_kept() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.hear(bytes(2 * 60 * INPUT_RATE))
        await asyncio.sleep(30)
        assert host.intake.oldest == 60 * INPUT_RATE

    hosted(Slow(4), act)


def test_turns_wait_for_a_recognizer_that_is_at_work_and_the_core_is_told_that_it_is() -> None:
    seconds = 80

    async def act(host: Host) -> None:
        host.hear(bytes(2 * 4 * seconds * INPUT_RATE))
        for turn in range(4):
            host.transcripts.start(TurnId(turn), turn * seconds * INPUT_RATE)
            host.transcripts.finish(TurnId(turn), (turn + 1) * seconds * INPUT_RATE)
        signs = 0
        for _ in range(4 * seconds // 4 // 2):
            await asyncio.sleep(2)
            assert len(host.events) > signs, "a sign at least every two seconds"
            signs = len(host.events)
        await asyncio.sleep(1)

    recognizer = Slow(4)
    host = hosted(recognizer, act)
    finals = [event for event in host.events if isinstance(event, TranscriptUpdated)]
    assert [(event.turn, event.text) for event in finals] == [
        (turn, f"{seconds * INPUT_RATE} samples") for turn in range(4)
    ]
    assert len(recognizer.opened) == 1


def test_the_clients_hints_reach_the_recognizer() -> None:
    async def act(host: Host) -> None:
        host.hear(HELLO)
        host.transcripts.start(ONE, 0)
        await soon()

    recognizer = Trouble()
    wishes = Transcription(language_codes=("de-DE",), custom_vocabulary=("vivavoce",))
    hosted(recognizer, act, SessionSetup("m", language="en-US", input_transcription=wishes))
    assert recognizer.opened == [RecognitionOptions(("de-DE",), ("vivavoce",))]
    assert recognizer.closed == 1

    recognizer = Trouble()
    hosted(recognizer, act, SessionSetup("m", language="en-US"))
    assert recognizer.opened == [RecognitionOptions(("en-US",))]
