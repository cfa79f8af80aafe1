"""Content while functions of the client run, context updates, and speculation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.resuming import resumed
from core.world import MANUAL, SETUP, TOOLS, UNINTERRUPTED, World, kinds, requests, user
from vivavoce.core.effects import PrepareGeneration, ReleaseGeneration, ReportMismatch, RunTool
from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    ClientGone,
    ContentReceived,
    ContextUpdated,
    GenerationFailed,
    GenerationRefused,
    TextReceived,
    TranscriptUpdated,
)
from vivavoce.core.messages import (
    Interrupted,
    OutputTranscript,
    ToolCallCancellation,
    ToolCallRequest,
    TurnComplete,
    TurnReason,
)
from vivavoce.core.settings import SessionSettings
from vivavoce.core.token_counts import MAX_BYTES
from vivavoce.core.user_turns import MAX_QUEUED_TURNS, TypedTurn, Update
from vivavoce.domain.content import Content, Role, Scheduling, Text, ToolCall, ToolResult, Tools
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
def test_a_result_in_content_answers_its_call_and_is_spoken(answer: bool) -> None:
    world = waiting("lights")
    (call,) = world.calls
    result = ToolResult(call.id, "lights", {"ok": 1})
    effects = world.do(ContentReceived((Content(Role.USER, (result,)),), answer))
    assert any(isinstance(effect, ReportMismatch) for effect in effects)
    assert outline(world) == ["user: go", "call lights", "result lights ok"]
    complete(world, "Done.")
    assert kinds(world) == ANSWERED


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
    count = 2 * MAX_QUEUED_TURNS if size == 1 else 20
    for number in range(count):
        world.do(TextReceived("x" * size + str(number)))
        world.do(ContextUpdated(f"Rule {number}", None))
    line = world.session.conversation.user.queue
    assert len(line) <= MAX_QUEUED_TURNS + 1
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


def guessing() -> World:
    world = World(SETUP, SessionSettings(speculation=True))
    world.take()
    world.score(0.5, 0.9)
    world.score(0.3, 0.0)
    world.do(TranscriptUpdated(world.turns[-1], world.position, "what time is it", False))
    assert requests(world)[0].speculative
    world.say("It is noon.")
    assert world.take() == []
    return world


def test_a_guess_that_holds_is_promoted_and_what_it_held_is_said() -> None:
    world = guessing()
    world.score(0.6, 0.0)
    effects = world.understand("What time is it?")
    assert ReleaseGeneration(requests(world)[0].generation) in effects
    assert kinds(world) == ["InputTranscript", "ModelAudio", "OutputTranscript"]
    world.finish()
    world.wait(1)
    assert world.session.take_checkpoint().history[0] == user("What time is it?")
    assert len(requests(world)) == 1


def test_a_guess_that_fails_leaves_no_trace_and_two_tries_are_enough() -> None:
    world = guessing()
    for _ in range(3):
        world.score(0.2, 0.9)
        world.score(0.3, 0.0)
        world.do(TranscriptUpdated(world.turns[-1], world.position, "what now", False))
    assert [request.speculative for request in requests(world)] == [True, True]
    world.score(0.6, 0.0)
    world.understand("something else")
    assert [request.speculative for request in requests(world)] == [True, True, False]
    assert requests(world)[-1].history == (user("something else"),)


@pytest.mark.parametrize("what", ["other words", "new context"])
def test_a_guess_is_not_promoted_when_its_basis_has_changed(what: str) -> None:
    world = guessing()
    if what == "new context":
        world.do(ContextUpdated("be brief", None))
    world.score(0.6, 0.0)
    effects = world.understand("what day is it" if what == "other words" else "what time is it")
    assert not any(isinstance(effect, ReleaseGeneration) for effect in effects)
    assert kinds(world) == ["InputTranscript"]
    assert not requests(world)[-1].speculative
    world.say("It is Monday.")
    assert OutputTranscript("It is Monday.") in world.take()


def test_a_live_generation_that_is_refused_is_started_anew() -> None:
    world = World(SETUP, SessionSettings(speculation=True))
    world.score(0.5, 0.9)
    world.score(0.3, 0.0)
    world.do(TranscriptUpdated(world.turns[-1], world.position, "hello", False))
    world.score(0.6, 0.0)
    world.understand("hello")
    world.do(GenerationRefused(world.current))
    assert [request.speculative for request in requests(world)] == [True, False]


def prepared(world: World, text: str) -> list[tuple[str, ...]]:
    """The history of each request to read ahead that a hypothesis leads to."""
    update = TranscriptUpdated(world.turns[-1], world.position, text, False)
    return [
        tuple(content.text for content in effect.request.history)
        for effect in world.do(update)
        if isinstance(effect, PrepareGeneration)
    ]


def test_words_are_read_ahead_while_the_user_speaks() -> None:
    world = World(SETUP, SessionSettings(speculation=True))
    world.score(0.5, 0.9)
    assert prepared(world, "what time") == [("what time",)]
    assert prepared(world, "what time") == []
    assert prepared(world, "what time is it") == [("what time is it",)]
    assert requests(world) == []
    world.score(0.9, 0.0)
    world.understand("what time is it")
    assert requests(world)[0].history == (user("what time is it"),)


def test_words_are_not_read_ahead_without_speculation() -> None:
    world = World(SETUP, SessionSettings(speculation=False))
    world.score(0.5, 0.9)
    assert prepared(world, "what time") == []
