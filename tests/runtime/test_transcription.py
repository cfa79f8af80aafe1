"""Recognizing turns: fed in order, asked by position."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from runtime.clients import hold, speech, stream, talks
from runtime.recognizer_rig import END, HELLO, ONE, TWO, Host, Slow, Sticking, Trouble, hosted, soon
from support.host_rig import Client, PlainDialect
from vivavoce.core.events import (
    ContentReceived,
    Event,
    ReadingPaused,
    TranscriptFailed,
    TranscriptProgressed,
    TranscriptUpdated,
)
from vivavoce.core.messages import TurnComplete
from vivavoce.domain.audio import INPUT_RATE, RECORDING, AudioChunk
from vivavoce.domain.content import Blob, Content, Role, Text
from vivavoce.domain.ids import SessionId, TurnId
from vivavoce.domain.setup import SessionSetup, Transcription
from vivavoce.engines.ports import (
    Recognition,
    RecognitionOptions,
    Recognizer,
    Transcript,
    Utterance,
)
from vivavoce.engines.scripted import TonesRecognition, TonesRecognizer, TonesUtterance, say
from vivavoce.errors import EngineError
from vivavoce.runtime.audio_input import AudioBuffer
from vivavoce.runtime.client_input import InputReceiver
from vivavoce.runtime.event_queue import EventQueue
from vivavoce.runtime.rate_limit import RateLimiter, RateLimits
from vivavoce.runtime.tasks import CANCEL_TIMEOUT_S, EngineTasks
from vivavoce.runtime.transcription import (
    BROKEN,
    CALL_TIMEOUT_S,
    MAX_LAG_SAMPLES,
    Recordings,
    Transcripts,
)
from vivavoce.runtime.turn_metrics import TurnReporter
from vivavoce.testing.virtual_loop import run_virtually


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
        host.buffer.add_chunk(AudioChunk(bytes(2 * END)))
        host.transcripts.advance_audio(500)
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
        TranscriptUpdated(ONE, 300, "300 so far", False, "300"),
        TranscriptUpdated(ONE, 600, "600 samples", True),
    ]


def test_what_was_understood_at_the_last_pause_is_final_without_another_call() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.hear(bytes(600))
        host.transcripts.refresh(ONE, 300, paused=True)
        await soon()
        host.hear(bytes(600))
        host.transcripts.finish(ONE, 600, paused_at=300)
        await soon()

    async def never() -> None:
        raise AssertionError("finish was called")

    host = hosted(Trouble(never), act)
    assert host.events == [
        TranscriptUpdated(ONE, 300, "300 at the pause", False, "", 0.5),
        TranscriptUpdated(ONE, 600, "300 at the pause", True, "", 0.5),
    ]


def test_a_pause_after_which_speech_went_on_is_not_final() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.hear(bytes(600))
        host.transcripts.refresh(ONE, 300, paused=True)
        await soon()
        host.hear(bytes(600))
        host.transcripts.finish(ONE, 600)
        await soon()

    host = hosted(Trouble(), act)
    assert [e.text for e in host.events if isinstance(e, TranscriptUpdated)] == [
        "300 at the pause",
        "600 samples",
    ]


def test_an_end_that_overtakes_its_pause_asks_once() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.hear(bytes(1200))
        host.transcripts.refresh(ONE, 300, paused=True)
        host.transcripts.finish(ONE, 600, paused_at=300)
        await soon()

    host = hosted(Trouble(), act)
    assert host.events == [TranscriptUpdated(ONE, 600, "600 samples", True)]


def test_hypotheses_of_a_recognizer_that_is_behind_are_skipped() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        for _ in range(20):
            host.hear(bytes(INPUT_RATE))
            host.transcripts.refresh(ONE, host.transcripts.vad_processed_until)
            await asyncio.sleep(0.5)
        host.transcripts.finish(ONE, host.transcripts.vad_processed_until)
        await asyncio.sleep(30)

    at_half_the_pace = hosted(Slow(0.5), act)
    in_time = hosted(Slow(4), act)
    told = [
        [e for e in host.events if isinstance(e, TranscriptUpdated)]
        for host in (at_half_the_pace, in_time)
    ]
    assert len(told[1]) == 21
    assert len(told[0]) < 8
    assert told[0][-1].text == told[1][-1].text


def test_a_recognizer_that_does_not_stream_is_asked_at_pauses_only() -> None:
    async def act(host: Host) -> None:
        host.hear(HELLO)
        host.transcripts.start(ONE, 0)
        host.transcripts.refresh(ONE, END)
        await soon()
        assert host.events == []
        host.transcripts.refresh(ONE, END, paused=True)
        await soon()
        assert [type(event) for event in host.events] == [TranscriptUpdated]

    hosted(TonesRecognizer(), act)


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


class Panic(BaseException):
    """What a library in Rust raises where its author was sure."""


async def raise_known() -> None:
    raise EngineError("recognizer", "no memory")


async def raise_unknown() -> None:
    raise ZeroDivisionError


async def panic() -> None:
    raise Panic


async def cancel_itself() -> None:
    raise asyncio.CancelledError


async def say_no_transcript() -> object:
    return "hello"


async def say_no_text() -> Transcript:
    return Transcript(b"hello")  # type: ignore[arg-type]


async def say_no_confidence() -> Transcript:
    return Transcript("hello", confidence=float("nan"))


@pytest.mark.parametrize(
    ("trick", "problem"),
    [
        (raise_known, "recognizer: no memory"),
        (raise_unknown, BROKEN),
        (panic, BROKEN),
        (cancel_itself, BROKEN),
        (say_no_transcript, BROKEN),
        (say_no_text, BROKEN),
        (say_no_confidence, BROKEN),
    ],
)
def test_a_failure_fails_its_turn_and_no_other(
    trick: Callable[[], Awaitable[object]], problem: str
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
        await asyncio.sleep(CALL_TIMEOUT_S + 1)
        assert [type(event) for event in host.events] == [TranscriptFailed]
        recognizer.open_now = 0
        host.transcripts.start(TWO, 200)
        host.transcripts.finish(TWO, 400)
        await asyncio.sleep(CALL_TIMEOUT_S + 3)
        told = [event for event in host.events if not isinstance(event, TranscriptProgressed)]
        assert told[1:] == [TranscriptUpdated(TWO, 400, "200 samples", True)]
        count = len(host.events)
        await asyncio.sleep(60)
        assert len(host.events) == count

    recognizer = Trouble(hang)
    hosted(recognizer, act)
    assert len(recognizer.opened) == (2 if stubborn else 1)


@pytest.mark.parametrize("at_begin", [False, True])
def test_a_recognizer_that_sticks_between_calls_does_not_hold_the_next_turn(at_begin: bool) -> None:
    async def act(host: Host) -> None:
        host.hear(bytes(800))
        for turn in (ONE, TWO):
            host.transcripts.start(turn, 200 * (turn - 1))
            host.transcripts.finish(turn, 200 * turn)
        await asyncio.sleep(CALL_TIMEOUT_S + CANCEL_TIMEOUT_S + 1)
        last = [e.text for e in host.events if isinstance(e, TranscriptUpdated)]
        assert last == (["200 samples"] if at_begin else ["200 samples"] * 2)
        await asyncio.sleep(3000)

    recognizer = Sticking(at_begin)
    host = hosted(recognizer, act)
    failed = [event.turn for event in host.events if isinstance(event, TranscriptFailed)]
    assert failed == ([ONE] if at_begin else [])
    assert len(recognizer.opened) == 2


def test_a_recognizer_far_behind_makes_the_reader_wait_and_says_so() -> None:
    beyond = 10 * INPUT_RATE

    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.hear(bytes(2 * MAX_LAG_SAMPLES))
        await host.transcripts.wait_for_recognizer()
        assert host.events == []
        host.hear(bytes(2 * beyond))
        assert host.transcripts.needed_from() == host.buffer.oldest == 0
        await host.transcripts.wait_for_recognizer()
        assert host.transcripts.needed_from() >= beyond
        assert host.events == [ReadingPaused(True), ReadingPaused(False)]

    hosted(Slow(4), act)


def test_what_was_recognized_is_not_kept() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.hear(bytes(2 * 60 * INPUT_RATE))
        await asyncio.sleep(30)
        assert host.buffer.oldest == 60 * INPUT_RATE

    hosted(Slow(4), act)


def test_turns_wait_for_a_recognizer_that_is_at_work_and_the_core_knows_it() -> None:
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


SOUND = Blob(bytes(2 * INPUT_RATE), f"{RECORDING}{INPUT_RATE}")
CONTENT = ContentReceived((Content(Role.USER, (SOUND,)),), True)


@dataclass
class Reading:
    """What became of one content: the events for the core, when, and what the operator is told."""

    events: list[Event] = field(default_factory=list)
    lasted_s: float = 0.0
    mismatches: list[str] = field(default_factory=list)


def read(recognizer: Recognizer) -> Reading:
    """The content, taken by a connection's receiver alone."""

    async def run() -> Reading:
        queue, buffer, engine_tasks, dialect = (
            EventQueue(),
            AudioBuffer(),
            EngineTasks(),
            PlainDialect(),
        )
        rates, options = RateLimiter(RateLimits()), RecognitionOptions()
        receiver = InputReceiver(
            buffer,
            None,
            Transcripts(recognizer, RecognitionOptions(), buffer, engine_tasks, queue.put_event),
            queue,
            TurnReporter(SessionId("s"), None),
            rates,
            Recordings(recognizer, options, engine_tasks, rates, dialect.report_mismatch),
            dialect.report_mismatch,
        )
        await receiver.handle_incoming(CONTENT)
        reading = Reading([], asyncio.get_running_loop().time(), dialect.mismatches)
        await engine_tasks.aclose()
        while (event := queue.take_event()) is not None:
            reading.events.append(event)
        return reading

    return run_virtually(run())


class Unopened(Trouble):
    """Fails where a conversation's recognition is opened."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__()
        self.failure = failure

    def open(self, options: RecognitionOptions) -> Recognition:  # type: ignore[override]
        raise self.failure


class Unentered(Trouble):
    """Fails where an utterance begins."""

    def open(self, options: RecognitionOptions) -> Recognition:  # type: ignore[override]
        return self

    def utterance(self) -> AbstractAsyncContextManager[Utterance]:
        raise EngineError("recognizer", "no memory")

    async def aclose(self) -> None:
        self.closed += 1


Trick = Callable[[], Awaitable[object]]
TRICKS: list[Trick] = [
    raise_known,
    raise_unknown,
    panic,
    cancel_itself,
    say_no_transcript,
    say_no_text,
    say_no_confidence,
]


def stays_sound(reading: Reading) -> bool:
    return (
        reading.events == [ReadingPaused(True), ReadingPaused(False), CONTENT]
        and len(reading.mismatches) == 1
    )


@pytest.mark.parametrize("trick", TRICKS)
def test_sound_stays_sound_where_the_recognizer_fails(trick: Trick) -> None:
    recognizer = Trouble(trick)
    reading = read(recognizer)
    assert stays_sound(reading)
    assert reading.lasted_s < 1
    assert (recognizer.closed, recognizer.open_now) == (1, 0)


@pytest.mark.parametrize(
    "failure", [EngineError("recognizer", "no memory"), ZeroDivisionError(), Panic()]
)
def test_a_recognizer_that_cannot_be_opened_holds_nothing_up(failure: BaseException) -> None:
    reading = read(Unopened(failure))
    assert stays_sound(reading)
    assert reading.lasted_s < 1


def test_a_recognizer_that_begins_no_utterance_holds_nothing_up() -> None:
    recognizer = Unentered()
    reading = read(recognizer)
    assert stays_sound(reading)
    assert reading.lasted_s < 1
    assert recognizer.closed == 1


@pytest.mark.parametrize("at_begin", [True, False])
def test_a_recognizer_that_hangs_is_given_up(at_begin: bool) -> None:
    reading = read(Sticking(at_begin))
    if at_begin:
        assert stays_sound(reading)
        assert reading.lasted_s == pytest.approx(CALL_TIMEOUT_S)
    else:  # the words are known before it hangs
        assert reading.lasted_s < 1
        (*_, content) = reading.events
        assert isinstance(content, ContentReceived)
        assert content.turns[0].parts == (Text(f"{INPUT_RATE} samples"),)


class SlowRecordings(TonesRecognizer):
    """Takes its time for the second recognition that is opened, which is the recording's."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = 0

    def open(self, options: RecognitionOptions) -> TonesRecognition:
        self.opened += 1
        return SlowRecognition(False) if self.opened == 2 else super().open(options)


class SlowRecognition(TonesRecognition):
    @asynccontextmanager
    async def utterance(self) -> AsyncIterator[TonesUtterance]:
        await asyncio.sleep(5.0)
        async with super().utterance() as utterance:
            yield utterance


def test_a_spoken_turn_outlasts_a_slow_recording() -> None:
    responder = talks(speech(0.1, "Yes."))
    recognizer = SlowRecordings()
    spoken = say("hello world", INPUT_RATE)
    half = len(spoken) // 4 * 2

    async def act(client: Client) -> None:
        await stream(client, spoken[:half])
        client.say(ContentReceived(CONTENT.turns, False))
        await stream(client, spoken[half:] + bytes(4 * INPUT_RATE))
        await client.until(TurnComplete)
        await asyncio.sleep(10.0)

    run_virtually(hold(act, responder, recognizer=recognizer))
    assert recognizer.opened == 2
    (request,) = responder.requests
    assert request.history[-1].text == "hello world"
