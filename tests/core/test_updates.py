"""`contextUpdate`: holds for what comes after it, in order with all other input."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.world import MANUAL, SETUP, TOOLS, UNINTERRUPTED, World, requests, user
from vivavoce.core.effects import RunTool
from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    ContentReceived,
    ContextUpdated,
    TextReceived,
)
from vivavoce.core.messages import Interrupted, ToolCallRequest, TurnComplete, TurnReason
from vivavoce.core.token_counts import MAX_BYTES
from vivavoce.core.user_turns import MAX_QUEUED, TypedTurn, Update
from vivavoce.domain.content import Tools

PATIENT = replace(SETUP, realtime=UNINTERRUPTED, instruction="Be kind.")
NONE = Tools()
LIGHTS = Tools(TOOLS.functions[:1])


def instruct(instruction: str) -> ContextUpdated:
    return ContextUpdated(instruction, None)


def busy() -> World:
    """A world in which the model speaks and nobody may interrupt it."""
    world = World(PATIENT)
    world.do(TextReceived("first"))
    world.say("A long answer.", bytes(48000))
    return world


def finish(world: World) -> None:
    """The turn that is open is over."""
    world.finish()
    world.wait(2)


def instructions(world: World) -> list[str]:
    return [request.instruction for request in requests(world)]


# --- order ------------------------------------------------------------------------------------


def test_it_holds_for_the_next_answer_and_says_nothing() -> None:
    world = World()
    world.take()
    world.do(ContextUpdated("Be brief.", LIGHTS))
    assert world.take() == []
    world.do(TextReceived("hello"))
    (request,) = requests(world)
    assert (request.instruction, request.tools) == ("Be brief.", LIGHTS)


def test_what_waited_before_it_is_answered_as_if_it_had_not_come() -> None:
    world = busy()
    world.do(TextReceived("second"))
    world.do(ContextUpdated("Be brief.", NONE))
    world.do(TextReceived("third"))
    finish(world)
    world.say("Yes.")
    finish(world)
    assert instructions(world) == ["Be kind.", "Be kind.", "Be brief."]
    assert [r.tools for r in requests(world)] == [TOOLS, TOOLS, NONE]
    assert requests(world)[1].history[-1] == user("second")


def test_an_update_during_speech_holds_for_that_speech() -> None:
    world = World()
    world.score(0.3, 0.9)
    world.do(instruct("Be brief."))
    world.score(0.9, 0.01)
    world.understand("hello")
    assert instructions(world) == ["Be brief."]


def test_an_update_after_speech_waits_for_its_last_word_and_does_not_hold_for_it() -> None:
    world = World(PATIENT)
    world.score(0.5, 0.9)
    world.score(0.9, 0.01)
    world.do(instruct("Be brief."))
    world.understand("hello")
    assert instructions(world) == ["Be kind."]
    finish(world)
    world.do(TextReceived("again"))
    assert instructions(world) == ["Be kind.", "Be brief."]


def test_it_interrupts_nothing() -> None:
    world = World()
    world.do(TextReceived("hello"))
    world.say("A long answer.", bytes(48000))
    world.do(ContextUpdated("Be brief.", NONE))
    world.say("And on.")
    world.finish()
    world.wait(3)
    assert not any(isinstance(message, Interrupted) for message in world.messages())
    assert len(requests(world)) == 1


# --- tools ------------------------------------------------------------------------------------


def test_a_generation_that_began_before_may_call_what_is_gone() -> None:
    world = World()
    world.do(TextReceived("lights"))
    world.do(ContextUpdated(None, NONE))
    effects = world.call("search", "lights")
    assert [e.call.name for e in effects if isinstance(e, RunTool)] == ["search"]
    assert isinstance(world.take()[-1], ToolCallRequest)
    world.ran()
    world.answer("lights")
    assert [request.tools for request in requests(world)] == [TOOLS, NONE]


@pytest.mark.parametrize("name", ["lights", "report", "search"])
def test_a_generation_that_began_after_may_not(name: str) -> None:
    world = World()
    world.do(ContextUpdated(None, NONE))
    world.do(TextReceived("lights"))
    world.take()
    world.call(name)
    world.wait(1)
    complete = world.take()[-1]
    assert isinstance(complete, TurnComplete)
    assert complete.reason is TurnReason.MALFORMED_FUNCTION_CALL


def test_an_update_while_calls_are_open_leaves_them_open() -> None:
    world = World()
    world.do(TextReceived("lights"))
    world.call("lights", "report", "python")
    before = world.session.conversation.ledger.open_ids
    world.do(ContextUpdated("Be brief.", NONE))
    assert world.session.conversation.ledger.open_ids == before
    world.ran()
    world.answer("lights")
    (*_, last) = requests(world)
    assert (last.instruction, last.tools) == ("Be brief.", NONE)


# --- the line ---------------------------------------------------------------------------------


def test_neighbours_become_one_and_the_newest_word_counts() -> None:
    world = busy()
    world.do(TextReceived("second"))
    for update in (
        instruct("Be brief."),
        ContextUpdated(None, LIGHTS),
        instruct("Be blunt."),
        ContextUpdated(None, None),
    ):
        world.do(update)
    assert world.session.conversation.user.queue[1:] == [Update("Be blunt.", LIGHTS)]
    world.do(TextReceived("third"))
    world.do(instruct("Be yourself."))
    assert len(world.session.conversation.user.queue) == 4


def test_an_update_that_nothing_waits_before_does_not_stay_in_the_line() -> None:
    world = busy()
    world.do(instruct("Be brief."))
    assert world.session.conversation.user.idle


@pytest.mark.parametrize("size", [1, MAX_BYTES // 8])
def test_a_line_that_overflows_loses_turns_and_never_an_update(size: int) -> None:
    world = busy()
    count = 2 * MAX_QUEUED if size == 1 else 20
    for number in range(count):
        world.do(TextReceived("x" * size + str(number)))
        world.do(ContextUpdated(f"Rule {number}", None))
    line = world.session.conversation.user.queue
    assert len(line) <= MAX_QUEUED + 1
    updates = [entry.instruction for entry in line if isinstance(entry, Update)]
    last = count - len(updates)
    assert updates == [f"Rule {number}" for number in range(last, count)]
    assert world.session.conversation.context.instruction == f"Rule {last - 1}"
    finish(world)
    for _ in range(count):
        finish(world)
    assert world.session.conversation.context.instruction == f"Rule {count - 1}"


def test_what_pushes_out_several_turns_at_once_leaves_the_updates_between_them() -> None:
    world = busy()
    for number in range(6):
        world.do(TextReceived("x" * (MAX_BYTES // 8)))
        world.do(instruct(f"Rule {number}") if number else ContextUpdated(None, LIGHTS))
    world.do(TextReceived("x" * (MAX_BYTES * 7 // 8)))
    context = world.session.conversation.context
    assert (context.instruction, context.tools) == ("Rule 5", LIGHTS)
    assert [type(entry) for entry in world.session.conversation.user.queue] == [TypedTurn]


def test_content_that_interrupts_is_answered_under_the_update_before_it() -> None:
    world = World()
    world.do(TextReceived("hello"))
    world.say("A long answer.", bytes(48000))
    world.do(instruct("Be brief."))
    world.do(ContentReceived((user("stop"),), True))
    assert instructions(world)[-1] == "Be brief."


def test_speech_before_an_update_still_waits_for_the_speech_after_it() -> None:
    world = World(replace(SETUP, realtime=MANUAL))
    world.do(ActivityStarted(0))
    world.do(ActivityEnded(16_000))
    world.do(ContextUpdated("Be brief.", None))
    world.do(ActivityStarted(32_000))
    world.understand("first")
    assert requests(world) == [], "nobody is answered while speaking"
    world.do(ActivityEnded(48_000))
    world.understand("second")
    finish(world)
    assert instructions(world) == ["", "Be brief."]
    assert requests(world)[1].history[-1].text == "second"
