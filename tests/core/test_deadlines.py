"""What the client must see when time runs out: for a microphone, an engine, a call, a server."""

from __future__ import annotations

from dataclasses import replace

from core.world import SETUP, UNINTERRUPTED, World, requests, spoken, user
from vivavoce.core.effects import CloseConnection, DropTranscript, Send
from vivavoce.core.events import (
    CheckpointSaved,
    DrainRequested,
    ListeningHeld,
    TextReceived,
    TranscriptFailed,
    TranscriptProgressed,
    TranscriptUpdated,
)
from vivavoce.core.messages import GoAway, ResumptionUpdate, TurnComplete, TurnReason
from vivavoce.core.settings import FORGOTTEN_TOOL_S, UNINTERRUPTED_TOOL_S, SessionSettings
from vivavoce.core.tools import LATE
from vivavoce.domain.content import ToolResult
from vivavoce.domain.setup import Resumption

# --- the clock --------------------------------------------------------------------------------


def test_a_microphone_that_falls_silent_is_taken_for_the_end_of_the_stream() -> None:
    world = World()
    world.score(0.5, 0.9)
    world.wait(0.9)
    assert world.ended == []
    world.wait(0.2)
    world.understand("a clip")
    assert requests(world)[0].history == (user("a clip"),)


def test_a_recognizer_that_hangs_or_fails_ends_the_turn_with_a_reason() -> None:
    for hangs in (True, False):
        world = World()
        world.score(0.5, 0.9)
        world.score(0.9, 0.0)
        world.take()
        effects = world.wait(16) if hangs else world.do(TranscriptFailed(world.ended[0], "x"))
        assert world.take() == [TurnComplete(reason=TurnReason.GENERATED_OTHER)]
        assert any(isinstance(effect, DropTranscript) for effect in effects) is hangs


def test_going_away_is_said_and_then_done_with_the_code_that_clients_resume_from() -> None:
    world = World()
    world.do(TextReceived("hi"))
    world.take()
    world.do(DrainRequested(10))
    assert world.take() == [GoAway(10)]
    world.wait(9.9)
    assert not world.session.closed
    effects = world.wait(0.2)
    assert [e.code for e in effects if isinstance(e, CloseConnection)] == [1011]
    assert world.session.closed


def test_who_rests_is_not_kept_waiting_when_the_server_goes_away() -> None:
    world = World()
    effects = world.do(DrainRequested(10))
    assert [type(effect) for effect in effects] == [Send, CloseConnection]
    busy = World()
    spoken(busy)
    busy.do(DrainRequested(10))
    busy.wait(0.9)
    assert not busy.session.closed
    busy.wait(0.2)
    assert isinstance(busy.messages()[-1], TurnComplete)
    assert busy.session.closed


def test_who_goes_away_takes_the_last_handle_along() -> None:
    world = World(replace(SETUP, resumption=Resumption()), SessionSettings(resumable=True))
    world.do(DrainRequested(10))
    assert not world.session.closed
    effects = world.do(CheckpointSaved("handle"))
    assert [type(effect) for effect in effects] == [Send, CloseConnection]
    assert world.messages()[-1] == ResumptionUpdate("handle")


def test_where_nothing_interrupts_a_call_that_nobody_answers_does_not_last_for_ever() -> None:
    world = World(replace(SETUP, realtime=UNINTERRUPTED))
    world.do(TextReceived("go"))
    world.call("lights")
    world.speak("hello?")
    world.wait(UNINTERRUPTED_TOOL_S - 3)
    assert len(requests(world)) == 1
    world.wait(3)
    world.say("It did not work.")
    world.finish()
    world.wait(1)
    assert requests(world)[-1].history[-1].text == "hello?"
    patient = World()
    patient.do(TextReceived("go"))
    patient.call("lights")
    patient.wait(3600)
    assert len(requests(patient)) == 1


def test_a_call_that_nobody_waits_for_is_given_up_in_the_end() -> None:
    world = World()
    world.do(TextReceived("go"))
    world.call("report")
    world.finish()
    world.wait(FORGOTTEN_TOOL_S - 1)
    assert len(requests(world)) == 1
    world.wait(1)
    assert requests(world)[-1].history[-1].parts == (ToolResult(world.calls[0].id, "report", LATE),)
    world.finish()
    world.wait(1)
    assert world.session.resting


# --- engines that take their time ---------------------------------------------------------------


def test_a_recognizer_has_failed_when_it_shows_no_sign_of_work() -> None:
    world = World()
    world.score(0.5, 0.9)
    world.score(0.9, 0.01)
    world.take()
    for _ in range(10):
        world.wait(14.0)
        world.do(TranscriptProgressed(world.ended[0], world.position))
    assert world.take() == []
    turn = world.ended[0]
    world.wait(14.9)
    assert world.take() == []
    effects = world.wait(0.2)
    assert DropTranscript(turn) in effects
    assert world.take() == [TurnComplete(reason=TurnReason.GENERATED_OTHER)]


def test_a_sign_from_an_earlier_turn_counts_for_those_that_wait_behind_it() -> None:
    world = World()
    for _ in range(2):
        world.score(0.5, 0.9)
        world.score(0.9, 0.01)
    first, second = world.ended
    world.wait(13.0)
    world.do(TranscriptUpdated(first, world.position, "one", final=True))
    world.wait(14.0)
    world.do(TranscriptUpdated(second, world.position, "two", final=True))
    (request,) = requests(world)
    assert [content.text for content in request.history] == ["one", "two"]


def test_speech_that_nobody_reads_on_has_not_fallen_silent() -> None:
    world = World()
    world.score(0.5, 0.9)
    world.do(ListeningHeld(True))
    world.wait(60.0)
    assert world.ended == []
    world.do(ListeningHeld(False))
    world.wait(0.9)
    assert world.ended == []
    world.wait(0.2)
    assert len(world.ended) == 1
