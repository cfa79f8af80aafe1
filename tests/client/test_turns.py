from __future__ import annotations

import numpy as np
import pytest

from vivavoce.client.messages import (
    Audio,
    CallsWanted,
    GenerationComplete,
    Grounded,
    Heard,
    Interrupted,
    LiveError,
    PagesRead,
    Resumed,
    Said,
    Text,
    TurnComplete,
)
from vivavoce.client.turns import SpeechClock, TurnLog
from vivavoce.domain.content import ToolCall
from vivavoce.domain.ids import CallId


def chunk(loud: int, silent: int) -> bytes:
    return np.array([8_000] * loud + [10] * silent, "<i2").tobytes()


def test_speech_ends_at_the_last_loud_sample() -> None:
    clock = SpeechClock()
    clock.sent(chunk(160, 480), at=10.0)
    assert clock.last == pytest.approx(10.0 - 480 / 16_000)
    clock.sent(chunk(0, 640), at=10.04)
    assert clock.last == pytest.approx(9.97)


def test_silence_alone_is_no_speech() -> None:
    clock = SpeechClock()
    clock.sent(chunk(0, 640), at=1.0)
    assert clock.last is None


def test_a_turn_is_measured_from_the_end_of_speech() -> None:
    clock = SpeechClock()
    clock.sent(chunk(640, 0), at=5.0)
    log = TurnLog(clock)
    assert log.take(Heard("hello "), 5.5) is None
    log.take(Heard("there"), 5.6)
    log.take(Audio(bytes(48_000), 24_000), 6.0)
    log.take(Said("good day"), 6.0)
    clock.sent(chunk(640, 0), at=6.2)  # the user talks into the answer: not this turn's clock
    log.take(Audio(bytes(24_000), 24_000), 6.1)
    log.take(Grounded((("T", "u"),)), 6.2)
    log.take(PagesRead((("u", "ERROR"),)), 6.2)
    log.take(GenerationComplete(), 6.2)
    turn = log.take(TurnComplete({}), 7.5)
    assert turn is not None
    assert turn.as_json() == {
        "turn": 1, "heard": "hello there", "said": "good day", "calls": [], "code": [],
        "sources": [{"title": "T", "uri": "u"}], "urls": [{"url": "u", "status": "ERROR"}],
        "interrupted": False,
        "failed": False, "reason": "", "answer_s": 1.5, "transcript_ms": 600, "first_text_ms": None,
        "first_audio_ms": 1000, "complete_ms": 2500,
    }  # fmt: skip
    assert turn.line() == (
        "turn 1 · transcript 0.60 s · first audio 1.00 s · complete 2.50 s · answer 1.5 s"
    )


def test_an_interrupted_turn_and_a_call_are_named() -> None:
    log = TurnLog(SpeechClock())
    log.take(CallsWanted((ToolCall(CallId("1"), "lights", {}),)), 1.0)
    log.take(Interrupted(), 1.1)
    turn = log.take(TurnComplete({}), 1.2)
    assert turn is not None
    assert turn.line() == "turn 1 · called lights · interrupted"


def test_an_answer_that_a_lost_connection_cut_off_is_over() -> None:
    log = TurnLog(SpeechClock())
    lost = Resumed(LiveError(1006, "connection lost"))
    assert log.take(lost, 0.5) is None
    log.take(Heard("tell me a story"), 1.0)
    log.take(CallsWanted((ToolCall(CallId("1"), "stories", {}),)), 1.1)
    assert log.take(lost, 1.2) is None, "its answer is still to come"
    log.take(Audio(bytes(48_000), 24_000), 2.0)
    turn = log.take(lost, 2.5)
    assert turn is not None
    assert (turn.heard, turn.interrupted, turn.failed) == ("tell me a story", True, False)
    assert log.open is None


def test_a_turn_that_the_server_gave_up_says_so() -> None:
    log = TurnLog(SpeechClock())
    turn = log.take(TurnComplete({}, "GENERATED_OTHER"), 1.0)
    assert turn is not None
    assert turn.line() == "turn 1 · failed: GENERATED_OTHER"
    assert (turn.as_json()["failed"], turn.as_json()["reason"]) == (True, "GENERATED_OTHER")
    asks = log.take(TurnComplete({}, "NEED_MORE_INPUT"), 2.0)
    assert asks is not None
    assert not asks.failed


def test_turns_are_kept_apart() -> None:
    clock = SpeechClock()
    log = TurnLog(clock)
    for number, word in enumerate(("one", "two"), 1):
        clock.typed(float(number))
        log.take(Text(word), number + 0.25)
        log.take(Text("thinking", thought=True), number + 0.3)
        log.take(TurnComplete({}), number + 0.5)
    assert [(t.number, t.said, t.latency_ms(t.first_text_at)) for t in log.turns] == [
        (1, "one", 250),
        (2, "two", 250),
    ]


def test_what_is_said_after_an_answer_began_is_unanswered_until_a_turn_takes_it_up() -> None:
    clock = SpeechClock()
    log = TurnLog(clock)

    def unanswered() -> bool:
        return log.unanswered

    assert not unanswered(), "nothing was said"
    clock.sent(chunk(640, 0), at=1.0)
    assert unanswered()
    log.take(Heard("one"), 1.1)
    log.take(Audio(bytes(480), 24_000), 1.2)
    assert not unanswered()
    clock.sent(chunk(640, 0), at=1.3)
    assert not unanswered(), "the end of the same question"
    clock.sent(chunk(640, 0), at=2.0)
    log.take(Audio(bytes(480), 24_000), 2.1)
    log.take(TurnComplete({}), 2.2)
    assert unanswered()
    log.take(Interrupted(), 2.3)
    log.take(TurnComplete({}), 2.3)
    assert unanswered(), "the end of what was interrupted answers nothing"
    log.take(Text("two"), 2.4)
    assert not unanswered()


def test_an_empty_turn_is_an_answer_too() -> None:
    clock = SpeechClock()
    log = TurnLog(clock)
    clock.typed(1.0)
    log.take(TurnComplete({}), 1.5)
    assert not log.unanswered


def test_noise_behind_a_voice_asks_nothing() -> None:
    clock = SpeechClock()
    log = TurnLog(clock)
    clock.sent(chunk(640, 0), at=1.0)
    log.take(Text("one"), 1.1)
    log.take(TurnComplete({}), 1.2)
    clock.sent(np.full(640, 1_000, "<i2").tobytes(), at=2.0)
    assert clock.last == 2.0, "loud enough for the exact clock"
    assert not log.unanswered
