"""Recorded speech in content: what becomes of it where the recognizer fails, hangs or is slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from runtime.ears import Sticking, Trouble
from runtime.test_recognizers import (
    Panic,
    cancel_itself,
    panic,
    raise_known,
    raise_unknown,
    say_no_confidence,
    say_no_text,
    say_no_transcript,
)
from runtime.visits import hold, speech, stream, talks
from support.host_rig import Client, PlainDialect
from vivavoce.core.events import ContentReceived, Event, ListeningHeld
from vivavoce.core.messages import TurnComplete
from vivavoce.domain.audio import INPUT_RATE, RECORDING
from vivavoce.domain.content import Blob, Content, Role, Text
from vivavoce.domain.ids import SessionId
from vivavoce.domain.setup import SessionSetup
from vivavoce.engines.ports import Recognition, RecognitionOptions, Recognizer, Utterance
from vivavoce.engines.scripted import TonesRecognition, TonesRecognizer, TonesUtterance, say
from vivavoce.errors import EngineError
from vivavoce.runtime.audio_input import AudioBuffer
from vivavoce.runtime.client_input import InputReceiver
from vivavoce.runtime.event_queue import EventQueue
from vivavoce.runtime.rate_limit import RateLimiter, RateLimits
from vivavoce.runtime.recordings import Recordings
from vivavoce.runtime.tasks import EngineTasks
from vivavoce.runtime.transcripts import HUNG_S, Transcripts
from vivavoce.runtime.turn_reporter import TurnReporter
from vivavoce.testing.virtual_loop import run_virtually

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
        mailbox, intake, errands, dialect = (
            EventQueue(),
            AudioBuffer(),
            EngineTasks(),
            PlainDialect(),
        )
        rates, options = RateLimiter(RateLimits()), RecognitionOptions()
        receiver = InputReceiver(
            intake,
            None,
            Transcripts(recognizer, SessionSetup("m"), intake, errands, mailbox.put_event),
            mailbox,
            TurnReporter(SessionId("s"), None),
            rates,
            Recordings(recognizer, options, errands, rates, dialect.report_mismatch),
            dialect.report_mismatch,
        )
        await receiver.handle_incoming(CONTENT)
        reading = Reading([], asyncio.get_running_loop().time(), dialect.mismatches)
        await errands.aclose()
        while (event := mailbox.take_events()) is not None:
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
        reading.events == [ListeningHeld(True), ListeningHeld(False), CONTENT]
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
        assert reading.lasted_s == pytest.approx(HUNG_S)
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
