"""What the client sends and what has no effect is told, and nobody waits for it in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from core.world import MANUAL, SETUP, UNINTERRUPTED, World, requests, user
from vivavoce.core.effects import Effect, ReportMismatch
from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioArrived,
    ContentReceived,
    TextReceived,
    ToolResponsesReceived,
    VideoArrived,
)
from vivavoce.core.messages import InputTranscript, TurnComplete
from vivavoce.core.session import INVALID
from vivavoce.core.settings import SessionSettings
from vivavoce.core.tool_calls import NOT_FOUND
from vivavoce.core.user_turns import MAX_QUEUED_TURNS, MAX_TYPED_TEXTS
from vivavoce.domain.content import Blob, Content, Role, Text, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.domain.setup import ActivityDetection, RealtimeInput

IMAGE = Blob(b"jpeg", "image/jpeg")


def reports(effects: Iterable[Effect]) -> list[ReportMismatch]:
    return [effect for effect in effects if isinstance(effect, ReportMismatch)]


def manual() -> World:
    return World(replace(SETUP, realtime=MANUAL))


def test_an_end_without_a_beginning_is_reported_and_ends_a_turn() -> None:
    world = manual()
    (told,) = reports(world.do(ActivityEnded(0)))
    assert told.code == INVALID
    assert [type(message) for message in world.take()][-1] is TurnComplete


def test_an_end_without_a_beginning_leaves_an_answer_alone() -> None:
    world = manual()
    world.do(ContentReceived((user("hi"),), True))
    world.say("Hello.")
    world.take()
    assert len(reports(world.do(ActivityEnded(0)))) == 1
    assert world.take() == []


def test_a_beginning_within_an_activity_is_reported() -> None:
    world = manual()
    assert reports(world.do(ActivityStarted(0))) == []
    (told,) = reports(world.do(ActivityStarted(0)))
    assert told.code == 0


def test_sound_outside_of_an_activity_is_reported_once() -> None:
    world = manual()
    effects = [effect for at in range(3) for effect in world.do(AudioArrived(at * 512))]
    assert len(reports(effects)) == 1


def test_images_beyond_what_a_turn_carries_are_reported() -> None:
    world = World()
    effects = [effect for at in range(9) for effect in world.do(VideoArrived(at, IMAGE))]
    assert len(reports(effects)) == 1


def many(event: TextReceived | ContentReceived, count: int) -> Callable[[World], list[Effect]]:
    return lambda world: [effect for _ in range(count) for effect in world.do(event)]


def test_turns_that_are_given_up_are_reported() -> None:
    world = World(replace(SETUP, realtime=UNINTERRUPTED))
    world.do(ContentReceived((user("hi"),), True))
    world.say("Hello.")
    assert reports(many(TextReceived("and?"), MAX_QUEUED_TURNS)(world)) == []
    assert len(reports(many(TextReceived("and?"), 1)(world))) == 1


def test_text_that_finds_no_room_in_a_turn_is_reported() -> None:
    world = World()
    world.score(0.3, 0.9)
    assert reports(many(TextReceived("and"), MAX_TYPED_TEXTS)(world)) == []
    assert len(reports(many(TextReceived("and"), 1)(world))) == 1


def test_context_for_a_function_that_takes_its_time_is_not_given_up() -> None:
    world = World()
    world.speak("go")
    world.call("lights")
    assert reports(many(ContentReceived((user("tick"),), False), 5 * MAX_QUEUED_TURNS)(world)) == []


def test_speech_without_words_is_reported() -> None:
    world = World()
    assert len(reports(world.speak(" "))) == 1


@pytest.mark.parametrize(("padding_ms", "told"), [(500, 0), (1000, 1)])
def test_a_long_padding_does_not_eat_short_words(padding_ms: int, told: int) -> None:
    wishes = ActivityDetection(prefix_padding_ms=padding_ms)
    world = World(replace(SETUP, realtime=RealtimeInput(wishes)))
    assert len(reports(world.effects)) == told
    world.speak("hi", seconds=0.6)
    assert [m.text for m in world.messages() if isinstance(m, InputTranscript)] == ["hi"]


def test_an_answer_to_nothing_is_reported_with_the_code_of_a_strict_server() -> None:
    world = World()
    event = ToolResponsesReceived((ToolResult(CallId("x"), "lights", {}),))
    (told,) = reports(world.do(event))
    assert told.code == NOT_FOUND


# --- turns without words --------------------------------------------------------------------


def model(text: str) -> Content:
    return Content(Role.MODEL, (Text(text),))


DOT = user(".")


@pytest.mark.parametrize(
    ("turns", "asked"),
    [
        ((user("the time?"), DOT), [user("the time?")]),
        ((user("hi"), model("Hello."), DOT), [user("hi"), model("Hello.")]),
        ((user("hi"), model("Hello."), user(" "), DOT), [user("hi"), model("Hello.")]),
        ((model("Say hello."), DOT), [user("Say hello.")]),
        ((DOT,), [DOT]),
        ((user("wait..."),), [user("wait...")]),
        ((Content(Role.USER, (IMAGE, Text("."))),), [Content(Role.USER, (IMAGE, Text(".")))]),
    ],
)
def test_a_turn_without_words_asks_for_an_answer_to_what_is_before(
    turns: tuple[Content, ...], asked: list[Content]
) -> None:
    world = World(settings=SessionSettings())
    world.do(ContentReceived(turns, True))
    assert [list(request.history) for request in requests(world)] == [asked]


def test_after_an_answer_it_asks_to_go_on() -> None:
    world = World()
    world.do(ContentReceived((user("hi"),), True))
    world.say("Hello.")
    world.finish()
    world.wait(1)
    before = world.generation
    world.do(ContentReceived((DOT,), True))
    assert world.generation != before
    assert list(requests(world)[-1].history) == [user("hi"), model("Hello.")]


def test_context_that_was_sent_before_is_answered() -> None:
    world = World()
    world.do(ContentReceived((user("the time?"),), False))
    world.do(ContentReceived((DOT,), True))
    assert [list(request.history) for request in requests(world)] == [[user("the time?")]]
