"""What the client must see of turns that it makes itself, by signals, text, content or sound."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.world import MANUAL, SETUP, World, kinds, model, requests, user
from vivavoce.core.effects import ForgetAudio, StartTranscript
from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioArrived,
    AudioStreamEnded,
    ContentReceived,
    Event,
    TextReceived,
    VoiceScored,
)
from vivavoce.core.messages import InputTranscript, TurnComplete, VoiceActivity
from vivavoce.domain.content import Text

SEEDED = replace(SETUP, seeds_history=True)
LIVE_3_1 = "models/gemini-3.1-flash-live-preview"


# --- turns of the client's making -------------------------------------------------------------


def test_content_right_after_an_activity_joins_it_however_quick_the_recognizer_is() -> None:
    for quick in (True, False):
        world = World(replace(SETUP, realtime=MANUAL))
        world.do(ActivityStarted(0))
        world.do(ActivityEnded(16000))
        if quick:
            world.understand("hello")
        world.do(ContentReceived((), True))
        if not quick:
            world.understand("hello")
        world.say("Hi.")
        world.finish()
        world.wait(1)
        assert kinds(world) == [
            "SetupComplete", "InputTranscript", "ModelAudio", "OutputTranscript",
            "GenerationComplete", "TurnComplete",
        ]  # fmt: skip
        assert world.session.checkpoint().history == (user("hello"), model("Hi."))


def test_an_empty_activity_is_closed_by_turn_complete_and_the_session_stays_open() -> None:
    world = World(replace(SETUP, realtime=MANUAL))
    world.take()
    for _ in range(2):
        world.do(ActivityStarted(0))
    world.do(ActivityEnded(100))
    world.understand("")
    assert world.take() == [TurnComplete()]
    assert not world.session.closed
    assert len(world.turns) == 1


def test_activity_start_interrupts() -> None:
    world = World(replace(SETUP, realtime=MANUAL))
    world.do(TextReceived("hi"))
    world.say("Hello", bytes(48000))
    world.take()
    world.do(ActivityStarted(0))
    assert kinds(world) == ["Interrupted", "TurnComplete"]


def test_activity_messages_in_the_wrong_mode_are_ignored() -> None:
    world = World()
    before = len(world.effects)
    world.do(ActivityStarted(0))
    world.do(ActivityEnded(100))
    assert len(world.effects) == before
    world = World(replace(SETUP, realtime=MANUAL))
    world.do(ActivityStarted(0))
    before = len(world.effects)
    world.do(AudioStreamEnded(100))
    world.do(VoiceScored(51200, (0.9,) * 50 + (0.0,) * 50))
    world.wait(60)
    assert len(world.effects) == before


def test_an_utterance_without_words_is_no_turn() -> None:
    world = World()
    world.take()
    world.speak("  ")
    assert world.take() == []
    assert world.session.resting


def test_text_while_the_user_speaks_joins_the_turn() -> None:
    world = World()
    world.score(0.5, 0.9)
    world.do(TextReceived("typed"))
    assert requests(world) == []
    world.score(0.9, 0.0)
    world.understand("spoken")
    assert requests(world)[0].history[0].parts == (Text("spoken typed"),)
    assert [m for m in world.take() if isinstance(m, InputTranscript)] == [
        InputTranscript("spoken")
    ]


def test_empty_content_asks_for_an_answer_from_what_there_is_even_from_nothing() -> None:
    world = World()
    world.do(ContentReceived((), False))
    assert requests(world) == []
    world.do(ContentReceived((), True))
    assert [request.history for request in requests(world)] == [()]


@pytest.mark.parametrize(
    ("name", "last", "answered"),
    [(LIVE_3_1, user("q"), 0), ("2.5", user("q"), 1), ("2.5", model("a"), 0)],
)
def test_initial_history_is_answered_only_on_2x_and_only_after_the_user(
    name: str, last: object, answered: int
) -> None:
    world = World(replace(SEEDED, model=name))
    world.do(ContentReceived((user("a"),), False))
    world.do(ContentReceived((model("b"), last), True))  # type: ignore[arg-type]
    assert len(requests(world)) == answered


@pytest.mark.parametrize("ends", [TextReceived("hi"), AudioArrived(0), ActivityStarted(0)])
def test_realtime_input_ends_the_initial_history(ends: Event) -> None:
    world = World(replace(SEEDED, model=LIVE_3_1, realtime=MANUAL))
    world.do(ends)
    if isinstance(ends, ActivityStarted):
        world.do(ActivityEnded(0))
        world.understand("")
    before = len(requests(world))
    world.do(ContentReceived((user("q"),), True))
    assert len(requests(world)) == before + 1


@pytest.mark.parametrize(
    ("name", "text", "remembered"),
    [(LIVE_3_1, ".", 1), (LIVE_3_1, " ", 1), ("2.5", " ", 1), ("2.5", ".", 2), (LIVE_3_1, "a", 2)],
)
def test_text_without_words_is_a_bare_trigger(name: str, text: str, remembered: int) -> None:
    world = World(replace(SETUP, model=name))
    world.do(ContentReceived((user("q"),), False))
    world.do(TextReceived(text))
    assert [len(request.history) for request in requests(world)] == [remembered]


# --- the ears ---------------------------------------------------------------------------------


def test_activity_is_signalled_when_asked_with_its_place_in_the_sound() -> None:
    world = World(replace(SETUP, signals_activity=True))
    world.score(0.512, 0.0)
    world.speak("hi", seconds=0.512)
    signals = [m for m in world.take() if isinstance(m, VoiceActivity)]
    assert signals == [VoiceActivity(True, 0.512), VoiceActivity(False, 1.024)]


def test_a_quiet_stream_is_forgotten_but_for_its_pre_roll() -> None:
    world = World()
    effects = world.score(5.0, 0.0)
    kept = [e.position for e in effects if isinstance(e, ForgetAudio)]
    assert len(kept) == 4
    effects = world.score(0.1, 0.9)
    (begun,) = [e.start for e in effects if isinstance(e, StartTranscript)]
    assert begun >= kept[-1]
    assert not [e for e in world.score(3.0, 0.9) if isinstance(e, ForgetAudio)]
