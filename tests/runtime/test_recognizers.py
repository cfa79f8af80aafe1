"""Recognizers that fail, hang or lag: each harms its own turn alone, or makes the reader wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from runtime.ears import ONE, TWO, Host, Slow, Sticking, Trouble, hosted, soon
from vivavoce.core.events import (
    ListeningHeld,
    TranscriptFailed,
    TranscriptProgressed,
    TranscriptUpdated,
)
from vivavoce.domain.audio import INPUT_RATE
from vivavoce.domain.ids import TurnId
from vivavoce.engines.ports import Transcript
from vivavoce.errors import EngineError
from vivavoce.runtime.tasks import CANCEL_TIMEOUT_S
from vivavoce.runtime.transcripts import BEHIND_SAMPLES, BROKEN, HUNG_S


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


@pytest.mark.parametrize("at_begin", [False, True])
def test_a_recognizer_that_sticks_between_calls_does_not_hold_the_next_turn(at_begin: bool) -> None:
    async def act(host: Host) -> None:
        host.hear(bytes(800))
        for turn in (ONE, TWO):
            host.transcripts.start(turn, 200 * (turn - 1))
            host.transcripts.finish(turn, 200 * turn)
        await asyncio.sleep(HUNG_S + CANCEL_TIMEOUT_S + 1)
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
