"""Deadlines of microphone, engines, calls and connections, as the client sees them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.resuming import resumed
from core.world import SETUP, UNINTERRUPTED, World, requests, spoken, user
from vivavoce.core.effects import CloseConnection, DropTranscript, ForgetSession
from vivavoce.core.events import (
    CheckpointSaved,
    CloseRequested,
    ReadingPaused,
    SessionSuperseded,
    TextReceived,
    TranscriptFailed,
    TranscriptProgressed,
    TranscriptUpdated,
    VideoArrived,
)
from vivavoce.core.lifetime import CloseReason
from vivavoce.core.messages import (
    GoAway,
    ResumptionUpdate,
    SetupComplete,
    TurnComplete,
    TurnReason,
)
from vivavoce.core.settings import (
    NON_BLOCKING_DEADLINE_S,
    UNINTERRUPTED_DEADLINE_S,
    SessionSettings,
)
from vivavoce.core.tool_calls import LATE
from vivavoce.domain.content import Blob, ToolResult
from vivavoce.domain.ids import SessionId
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
    world.do(CloseRequested(CloseReason.DRAIN, 10))
    assert world.take() == [GoAway(10)]
    world.wait(9.9)
    assert not world.session.closed
    effects = world.wait(0.2)
    assert [e.code for e in effects if isinstance(e, CloseConnection)] == [1011]
    assert world.session.closed


def test_the_time_that_was_announced_is_the_time_that_is_left() -> None:
    world = World()  # at rest all the while: closing it early would make a lie of `timeLeft`
    world.do(CloseRequested(CloseReason.DRAIN, 10))
    world.wait(9.9)
    assert not world.session.closed
    assert [e.reason for e in world.wait(0.1) if isinstance(e, CloseConnection)] == [
        CloseReason.DRAIN.reason
    ]


def test_a_turn_that_goes_on_while_the_server_leaves_is_kept_before_it_is_closed() -> None:
    world = World(replace(SETUP, resumption=Resumption()), SessionSettings(resumable=True))
    world.do(CheckpointSaved("first"))
    spoken(world)
    world.do(CloseRequested(CloseReason.DRAIN, 10))
    world.wait(2)
    assert isinstance(world.messages()[-1], TurnComplete)
    world.do(CheckpointSaved("second"))
    assert world.messages()[-1] == ResumptionUpdate("second")
    world.wait(10)
    assert world.session.closed


ENDS = {
    CloseReason.CONNECTION: SessionSettings(connection_s=600, go_away_s=50),
    CloseReason.SESSION: SessionSettings(total_s=600, go_away_s=50),
    CloseReason.IDLE: SessionSettings(idle_s=600, go_away_s=50),
}


@pytest.mark.parametrize("farewell", ENDS)
def test_every_end_of_ours_is_announced(farewell: CloseReason) -> None:
    world = World(SETUP, ENDS[farewell])
    world.wait(549)
    assert world.take() == [SetupComplete(SessionId("s"))]
    effects = world.wait(1)
    assert world.take() == [GoAway(50)]
    assert not any(isinstance(effect, CloseConnection) for effect in effects)
    effects = world.wait(50)
    assert [(e.code, e.reason) for e in effects if isinstance(e, CloseConnection)] == [
        farewell.value
    ]
    assert any(isinstance(effect, ForgetSession) for effect in effects) is farewell.final


def test_a_nearer_end_is_announced_again_and_a_later_one_is_not() -> None:
    world = World(SETUP, SessionSettings(connection_s=600, go_away_s=50))
    world.wait(560)
    world.take()
    world.do(CloseRequested(CloseReason.DRAIN, 100))
    assert world.take() == []
    world.do(CloseRequested(CloseReason.DRAIN, 10))
    assert world.take() == [GoAway(10)]
    effects = world.wait(10)
    assert [e.reason for e in effects if isinstance(e, CloseConnection)] == [
        CloseReason.DRAIN.reason
    ]


def test_a_client_that_speaks_up_is_not_idle_and_hears_of_the_next_end() -> None:
    world = World(SETUP, SessionSettings(idle_s=100, go_away_s=20))
    world.wait(85)
    world.take()
    world.do(VideoArrived(0, Blob(b"jpeg", "image/jpeg")))
    world.wait(79)
    assert world.take() == []
    world.wait(1)
    assert world.take() == [GoAway(20)]
    world.wait(20)
    assert world.session.closed


def test_a_session_that_was_resumed_elsewhere_is_closed_without_a_warning() -> None:
    world = World(replace(SETUP, resumption=Resumption()), SessionSettings(resumable=True))
    world.take()
    effects = world.do(SessionSuperseded())
    assert [type(effect) for effect in effects] == [CloseConnection]
    assert world.session.closed


def test_the_lifetime_of_a_session_counts_over_its_connections() -> None:
    settings = SessionSettings(resumable=True, total_s=600, go_away_s=50)
    world = World(replace(SETUP, resumption=Resumption()), settings)
    world.wait(400)
    again = resumed(world)
    again.wait(149)
    assert not [m for m in again.messages() if isinstance(m, GoAway)]
    again.wait(1)
    assert again.messages()[-1] == GoAway(50)


def test_where_nothing_interrupts_an_unanswered_call_does_not_last_for_ever() -> None:
    world = World(replace(SETUP, realtime=UNINTERRUPTED))
    world.do(TextReceived("go"))
    world.call("lights")
    world.speak("hello?")
    world.wait(UNINTERRUPTED_DEADLINE_S - 3)
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


def test_a_call_without_a_waiting_turn_is_given_up_in_the_end() -> None:
    world = World()
    world.do(TextReceived("go"))
    world.call("report")
    world.finish()
    world.wait(NON_BLOCKING_DEADLINE_S - 1)
    assert len(requests(world)) == 1
    world.wait(1)
    assert requests(world)[-1].history[-1].parts == (ToolResult(world.calls[0].id, "report", LATE),)
    world.finish()
    world.wait(1)
    assert world.session.idle


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


def test_unread_speech_has_not_fallen_silent() -> None:
    world = World()
    world.score(0.5, 0.9)
    world.do(ReadingPaused(True))
    world.wait(60.0)
    assert world.ended == []
    world.do(ReadingPaused(False))
    world.wait(0.9)
    assert world.ended == []
    world.wait(0.2)
    assert len(world.ended) == 1
