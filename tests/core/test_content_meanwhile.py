"""What `clientContent` does while functions of the client's run: it adds, asks, or stops."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.resuming import resumed
from core.world import SETUP, World, kinds, requests, user
from vivavoce.core.effects import ReportMismatch
from vivavoce.core.events import ClientGone, ContentReceived, GenerationFailed, TextReceived
from vivavoce.core.messages import (
    OutputTranscript,
    ToolCallCancellation,
    TurnComplete,
    TurnReason,
)
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.content import Content, Role, Scheduling, Text, ToolCall, ToolResult
from vivavoce.domain.setup import Resumption

ANSWERED = ["ModelAudio", "OutputTranscript", "GenerationComplete", "TurnComplete"]


def waiting(*names: str) -> World:
    """A world whose client was asked to run these."""
    world = World()
    world.speak("go")
    world.call(*names)
    world.finish()
    world.take()
    return world


def outline(world: World) -> list[str]:
    """The history of the last generation: who said what."""
    told = []
    for content in requests(world)[-1].history:
        for part in content.parts:
            match part:
                case Text(text):
                    told.append(f"{content.role.value}: {text}")
                case ToolCall(name=name):
                    told.append(f"call {name}")
                case ToolResult(name=name, response=response):
                    told.append(f"result {name} {'ok' if 'ok' in response else response}")
                case _:
                    told.append(type(part).__name__)
    return told


def complete(world: World, text: str) -> None:
    world.say(text)
    world.finish()
    world.wait(1)


def test_what_is_added_stands_between_call_and_result() -> None:
    world = waiting("lights")
    world.do(ContentReceived((user("the cart is shown"),), False))
    world.do(ContentReceived((user("it is empty"),), False))
    assert world.take() == []
    world.answer("lights")
    added = ["user: the cart is shown", "user: it is empty"]
    assert outline(world) == ["user: go", "call lights", *added, "result lights ok"]
    complete(world, "Done.")
    assert kinds(world) == ANSWERED


def test_a_question_is_answered_and_so_is_the_function() -> None:
    world = waiting("lights")
    world.do(ContentReceived((user("the time?"),), True))
    assert outline(world) == ["user: go", "call lights", "user: the time?"]
    complete(world, "Ten.")
    assert kinds(world) == ANSWERED
    world.answer("lights")
    assert outline(world)[-2:] == ["model: Ten.", "result lights ok"]
    complete(world, "Done.")
    assert kinds(world) == ANSWERED


def test_a_result_that_comes_during_the_answer_waits_for_its_end() -> None:
    world = waiting("lights", "lights")
    world.answer("lights")
    world.do(ContentReceived((user("the time?"),), True))
    world.answer("lights")
    assert len(requests(world)) == 2
    complete(world, "Ten.")
    assert len(requests(world)) == 3
    complete(world, "Done.")
    assert kinds(world) == 2 * ANSWERED


def test_functions_of_the_answer_are_waited_for_first() -> None:
    world = waiting("lights")
    world.do(ContentReceived((user("and those?"),), True))
    world.call("search", "lights")
    world.finish()
    first, second = world.calls
    world.calls = [second, first]
    world.answer("lights")
    world.ran()
    assert outline(world)[-2].startswith("result search")
    assert outline(world)[-1] == "result lights ok"
    complete(world, "Both.")
    world.answer("lights")
    complete(world, "Done.")
    said = [m.text for m in world.messages() if isinstance(m, OutputTranscript)]
    assert said == ["Both.", "Done."]
    assert not any(isinstance(m, ToolCallCancellation) for m in world.messages())


def test_an_answer_that_fails_leaves_the_function_alone() -> None:
    world = waiting("lights")
    world.do(ContentReceived((user("the time?"),), True))
    world.do(GenerationFailed(world.current, "broken"))
    world.wait(1)
    (ended,) = world.take()
    assert isinstance(ended, TurnComplete)
    assert ended.reason is TurnReason.GENERATED_OTHER
    world.answer("lights")
    complete(world, "Done.")
    assert kinds(world) == ANSWERED


def test_an_urgent_result_cuts_the_answer_and_not_the_function() -> None:
    world = waiting("lights", "report")
    world.do(ContentReceived((user("the time?"),), True))
    world.say("Well,", bytes(48000))
    world.take()
    world.answer("report", scheduling=Scheduling.INTERRUPT)
    assert kinds(world) == ["Interrupted", "TurnComplete"]
    world.answer("lights")
    assert outline(world)[-2:] == ["result lights ok", "result report ok"]


@pytest.mark.parametrize("more", [False, True])
def test_content_cuts_the_answer_and_not_the_function(more: bool) -> None:
    world = waiting("lights")
    world.do(ContentReceived((user("the time?"),), True))
    world.say("It is now", bytes(48000))
    world.finish()
    world.take()
    world.wait(0.5)
    world.do(ContentReceived((user("quickly"),), more))
    assert kinds(world) == ["Interrupted", "TurnComplete"]
    if more:
        complete(world, "Ten.")
        assert kinds(world) == ANSWERED
    world.answer("lights")
    complete(world, "Done.")
    assert kinds(world) == ANSWERED


@pytest.mark.parametrize("answering", [False, True])
def test_a_stop_withdraws_the_function(answering: bool) -> None:
    world = waiting("lights")
    if answering:
        world.do(ContentReceived((user("the time?"),), True))
        world.say("It is now", bytes(48000))
        world.take()
    world.do(ContentReceived((), False))
    assert kinds(world) == ["Interrupted", "ToolCallCancellation", "TurnComplete"]
    assert world.session.idle


def test_a_bare_trigger_is_answered_and_withdraws_nothing() -> None:
    world = waiting("lights")
    world.do(TextReceived(" "))
    complete(world, "I am at it.")
    assert kinds(world) == ANSWERED
    world.answer("lights")
    complete(world, "Done.")
    assert kinds(world) == ANSWERED


def test_a_drop_within_the_answer_keeps_the_function_and_what_was_heard() -> None:
    world = World(replace(SETUP, resumption=Resumption()), SessionSettings(resumable=True))
    world.speak("go")
    world.call("lights")
    world.do(ContentReceived((user("the time?"),), True))
    world.say("It is ten o'clock", bytes(4 * 48000))
    world.wait(1.1)
    world.do(ClientGone())
    kept = world.checkpoints[-1].checkpoint
    assert [entry.call.name for entry in kept.calls] == ["lights"]
    last = kept.history[-1]
    assert last.role is Role.MODEL
    assert last.cut
    assert last.text.split() == ["It", "is"]


def test_it_goes_on_after_a_resumption() -> None:
    world = waiting("lights")
    world.do(ContentReceived((user("the time?"),), True))
    complete(world, "Ten.")
    world.answer("lights")
    complete(world, "Done.")
    again = resumed(world)
    assert again.session.idle


@pytest.mark.parametrize("answer", [False, True])
def test_a_result_in_content_answers_its_call_and_is_told(answer: bool) -> None:
    world = waiting("lights")
    (call,) = world.calls
    result = ToolResult(call.id, "lights", {"ok": 1})
    effects = world.do(ContentReceived((Content(Role.USER, (result,)),), answer))
    assert any(isinstance(effect, ReportMismatch) for effect in effects)
    assert outline(world) == ["user: go", "call lights", "result lights ok"]
    complete(world, "Done.")
    assert kinds(world) == ANSWERED
