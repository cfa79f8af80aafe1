"""What the client must see, rule by rule: live-session behavior that real clients rely on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from core.world import (
    PIECE,
    SETUP,
    TOOLS,
    UNINTERRUPTED,
    World,
    kinds,
    model,
    requests,
    spoken,
    user,
)
from vivavoce.core.effects import CancelGeneration, PrepareGeneration
from vivavoce.core.events import (
    ContentReceived,
    ContextUpdated,
    GenerationFailed,
    TextProduced,
    TextReceived,
    UsageProduced,
)
from vivavoce.core.messages import (
    GenerationComplete,
    Interrupted,
    ModelAudio,
    ModelText,
    OutputTranscript,
    SetupComplete,
    TokenCount,
    ToolCallCancellation,
    ToolCallRequest,
    TurnComplete,
    TurnReason,
)
from vivavoce.core.settings import Pacing, SessionSettings
from vivavoce.core.token_counts import estimate_tokens, tool_texts
from vivavoce.domain.content import Blob, Content, Role, Scheduling, Text, Tools, Usage
from vivavoce.domain.request import EndReason
from vivavoce.domain.setup import Modality, Thinking

# --- the ordinary turn ------------------------------------------------------------------------


def test_setup_complete_is_the_first_message_and_the_engine_reads_ahead() -> None:
    world = World()
    assert world.take() == [SetupComplete(world.session.conversation.context.session)]
    assert isinstance(world.effects[1], PrepareGeneration)


def test_turn_complete_waits_until_the_sound_has_been_played() -> None:
    world = World()
    spoken(world)
    began = world.now
    assert kinds(world)[-3:] == ["ModelAudio", "OutputTranscript", "GenerationComplete"]
    world.wait(0.99)
    assert world.take() == []
    world.wait(0.02)
    (at, message) = world.said[0] if world.said else (0.0, None)
    assert isinstance(message, TurnComplete)
    assert at == pytest.approx(began + 1.0)


@pytest.mark.parametrize("way", ["immediate", "text"])
def test_turn_complete_comes_at_once_where_nothing_is_paced(way: str) -> None:
    setup = replace(SETUP, modality=Modality.TEXT) if way == "text" else SETUP
    pacing = Pacing.IMMEDIATE if way == "immediate" else Pacing.PACED
    world = World(setup, SessionSettings(pacing=pacing))
    spoken(world)
    assert kinds(world)[-2:] == ["GenerationComplete", "TurnComplete"]


def test_transcripts_come_only_when_asked_and_text_modality_has_none() -> None:
    quiet = replace(SETUP, input_transcription=None, output_transcription=None)
    world = World(quiet)
    spoken(world)
    assert kinds(world) == ["SetupComplete", "ModelAudio", "GenerationComplete"]
    world = World(replace(SETUP, modality=Modality.TEXT))
    world.do(TextReceived("hi"))
    world.say("Hello.")
    assert world.take()[1:] == [ModelText("Hello.")]


def test_thoughts_are_sent_only_when_asked_for_and_never_remembered() -> None:
    for wish, sent in ((None, []), (Thinking(include_thoughts=True), [ModelText("hm", True)])):
        world = World(replace(SETUP, thinking=wish))
        world.do(TextReceived("hi"))
        world.take()
        world.do(TextProduced(world.current, "hm", thought=True))
        assert world.take() == sent
        world.say("Yes.")
        world.finish()
        world.wait(1)
        assert world.session.take_checkpoint().history == (user("hi"), model("Yes."))


def test_usage_counts_the_prompt_by_the_models_tokenizer_and_the_answer_by_its_own_count() -> None:
    world = World()
    world.speak("hi", seconds=1.0)
    world.do(UsageProduced(world.current, Usage(40, 4, 7, 2, 1)))
    world.say("x", bytes(96000))
    world.finish()
    world.wait(2)
    (complete,) = [m for m in world.take() if isinstance(m, TurnComplete)]
    assert complete.usage == TokenCount(
        prompt=declared() + 42, cached=4, response_text=7, response_audio=50, thoughts=2, tools=1,
        prompt_audio=42,
    )  # fmt: skip


def declared() -> int:
    return sum(map(estimate_tokens, tool_texts(TOOLS)))


def test_an_empty_answer_and_a_failed_one_end_their_turn_with_a_reason() -> None:
    ends: list[tuple[Callable[[World], object], TurnReason]] = [
        (lambda w: w.finish(), TurnReason.NEED_MORE_INPUT),
        (lambda w: w.finish(EndReason.NEED_MORE_INPUT), TurnReason.NEED_MORE_INPUT),
        (lambda w: w.finish(EndReason.MALFORMED_CALL), TurnReason.MALFORMED_FUNCTION_CALL),
        (lambda w: w.call("nonsense"), TurnReason.MALFORMED_FUNCTION_CALL),
        (lambda w: w.do(GenerationFailed(w.current, "x")), TurnReason.GENERATED_OTHER),
        (lambda w: w.wait(61), TurnReason.GENERATED_OTHER),
    ]
    for end, reason in ends:
        world = World()
        world.do(TextReceived("hi"))
        end(world)
        complete = [m for m in world.take() if isinstance(m, TurnComplete)]
        assert [m.reason for m in complete] == [reason]


def test_a_failure_lets_what_was_said_play_out_and_says_no_generation_complete() -> None:
    world = World()
    world.do(TextReceived("hi"))
    world.say("Half an ans", bytes(48000))
    world.take()
    world.do(GenerationFailed(world.current, "x"))
    assert world.take() == []
    world.wait(1)
    assert kinds(world) == ["TurnComplete"]


# --- barge-in ---------------------------------------------------------------------------------


def test_activity_while_generating_or_playing_interrupts_and_history_holds_what_was_heard() -> None:
    for finished in (False, True):
        world = World()
        world.speak("hi")
        world.say("one two three four", bytes(4 * 48000))
        if finished:
            world.finish()
        world.take()
        world.wait(1.5)
        effects = world.score(0.1, 0.9)
        assert kinds(world) == ["Interrupted", "TurnComplete"]
        assert CancelGeneration(world.current) in effects
        world.score(0.9, 0.0)
        world.understand("stop")
        assert requests(world)[-1].history == (
            user("hi"), model("one two", cut=True), user("stop"),
        )  # fmt: skip


def test_nothing_is_interrupted_when_nothing_is_generated_or_played() -> None:
    world = World()
    spoken(world)
    world.wait(2)
    world.take()
    world.speak("again")
    assert kinds(world) == ["InputTranscript"]


def test_without_interruption_speech_is_collected_and_answered_afterwards() -> None:
    world = World(replace(SETUP, realtime=UNINTERRUPTED))
    world.speak("one")
    world.say("x", bytes(10 * 48000))
    world.finish()
    world.take()
    world.speak("two")
    world.do(TextReceived("three"))
    assert world.take() == []
    world.wait(10)
    assert kinds(world) == ["TurnComplete", "InputTranscript"]
    assert requests(world)[-1].history[-2:] == (user("two"), user("three"))


def test_content_interrupts_whatever_the_activity_handling_says() -> None:
    for answer in (True, False):
        world = World(replace(SETUP, realtime=UNINTERRUPTED))
        spoken(world)
        world.take()
        world.do(ContentReceived((user("new"),), answer))
        assert kinds(world) == ["Interrupted", "TurnComplete"]
        assert len(requests(world)) == 1 + answer


def test_generation_complete_never_follows_an_interruption() -> None:
    world = World()
    world.speak("hi")
    world.say("Hello")
    world.score(0.1, 0.9)
    world.take()
    world.finish()
    assert GenerationComplete() not in world.take()


# --- functions --------------------------------------------------------------------------------


def test_after_a_blocking_call_nothing_comes_before_its_result() -> None:
    world = World()
    world.speak("go")
    world.say("One moment.")
    world.call("lights", "lights")
    world.take()
    world.say("trailing")
    world.finish()
    world.answer("lights")
    assert world.take() == []
    world.answer("lights")
    world.say("Done.")
    assert world.take() == [ModelAudio(PIECE), OutputTranscript(" Done.")]
    assert [len(content.parts) for content in requests(world)[1].history] == [1, 3, 2]


def test_interrupted_comes_before_the_cancellation_and_that_before_turn_complete() -> None:
    world = World()
    world.speak("go")
    world.call("lights", "report")
    world.take()
    world.score(0.1, 0.9)
    interrupted, cancelled, complete = world.take()
    assert isinstance(interrupted, Interrupted)
    assert cancelled == ToolCallCancellation((world.calls[0].id,))
    assert isinstance(complete, TurnComplete)


def test_an_early_turn_complete_makes_the_answer_a_turn_of_its_own() -> None:
    world = World(SETUP, SessionSettings(early_turn_complete=True))
    world.speak("go")
    world.take()
    world.call("lights")
    world.finish()
    assert kinds(world) == ["ToolCallRequest", "GenerationComplete", "TurnComplete"]
    world.answer("lights")
    world.say("Done.")
    world.finish()
    world.wait(1)
    assert kinds(world) == ["ModelAudio", "OutputTranscript", "GenerationComplete", "TurnComplete"]


def test_an_unanswered_call_is_answered_by_us_after_its_deadline() -> None:
    world = World(SETUP, SessionSettings(tool_deadline_s=3))
    world.speak("go")
    world.call("lights")
    world.wait(2.9)
    assert len(requests(world)) == 1
    world.wait(0.2)
    assert "error" in requests(world)[1].history[-1].parts[0].response  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("scheduling", "sent", "asked"),
    [
        (Scheduling.SILENT, [], 1),
        (Scheduling.WHEN_IDLE, [], 1),
        (Scheduling.INTERRUPT, ["Interrupted", "TurnComplete"], 2),
    ],
)
def test_scheduling_of_a_result_while_the_model_speaks(
    scheduling: Scheduling, sent: list[str], asked: int
) -> None:
    world = World()
    world.speak("go")
    world.call("report")
    world.say("Working on it.", bytes(96000))
    world.take()
    world.answer("report", scheduling=scheduling)
    assert kinds(world) == sent
    assert len(requests(world)) == asked
    world.finish()
    world.wait(3)
    assert len(requests(world)) == (1 if scheduling is Scheduling.SILENT else 2)


def test_an_update_of_the_context_holds_for_what_follows() -> None:
    world = World()
    effects = world.do(ContextUpdated("be brief", Tools()))
    assert [type(effect) for effect in effects] == [PrepareGeneration]
    world.do(TextReceived("hi"))
    assert (requests(world)[0].instruction, requests(world)[0].tools) == ("be brief", Tools())
    world.call("lights")
    assert not any(isinstance(message, ToolCallRequest) for message in world.take())


# --- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_tokens", [64, 256, 258])
def test_an_image_costs_what_the_client_chose(image_tokens: int) -> None:
    world = World(replace(SETUP, image_tokens=image_tokens))
    images = Content(Role.USER, (Blob(b"1", "image/png"), Blob(b"2", "image/png"), Text("look")))
    world.do(ContentReceived((images,), True))
    world.say("A cat.")
    world.finish()
    world.wait(1)
    (complete,) = [m for m in world.take() if isinstance(m, TurnComplete)]
    assert complete.usage is not None
    assert complete.usage.prompt_images == 2 * image_tokens
