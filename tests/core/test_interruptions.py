"""Interruptions: candidates in a conversation, what holds the output, and what settles them."""

from __future__ import annotations

import pytest

from core.world import SETUP, World, kinds, spoken
from vivavoce.core.barge_in import IgnoredReason
from vivavoce.core.effects import (
    CancelGeneration,
    DropTranscript,
    HoldOutput,
    IgnoreSpeech,
    StartTranscript,
)
from vivavoce.core.events import TextReceived, TranscriptUpdated, VoiceScored
from vivavoce.core.settings import BargeInHandling, SessionSettings
from vivavoce.domain.content import Role

DELIBERATE = SessionSettings(barge_in=BargeInHandling.DELIBERATE)


@pytest.fixture
def world() -> World:
    """An answer of one second has been produced, and has begun to play."""
    world = World(SETUP, DELIBERATE)
    spoken(world)
    world.take()
    return world


def hear(world: World, text: str, final: bool = False) -> None:
    world.do(TranscriptUpdated(world.turns[-1], world.position, text, final))


def held(world: World) -> list[bool]:
    return [effect.held for effect in world.effects if isinstance(effect, HoldOutput)]


def ignored(world: World) -> list[IgnoredReason]:
    return [effect.reason for effect in world.effects if isinstance(effect, IgnoreSpeech)]


def test_the_output_is_held_from_the_onset_until_the_decision(world: World) -> None:
    world.score(0.2, 0.9)
    assert held(world) == [True]
    hear(world, "yeah")
    assert held(world) == [True]
    world.score(0.35, 0.01)
    assert held(world) == [True, False]
    assert kinds(world) == []


def test_a_back_channel_is_neither_answered_nor_remembered(world: World) -> None:
    world.score(0.2, 0.9)
    hear(world, "yeah")
    world.score(0.9, 0.01)
    world.understand("yeah")
    world.wait(5)
    assert kinds(world) == ["TurnComplete"]
    assert ignored(world) == [IgnoredReason.BACK_CHANNEL]
    history = world.session.conversation.context.history.snapshot()
    assert [content.role for content in history] == [Role.USER, Role.MODEL]
    assert not history[-1].cut
    assert world.session.idle


def test_an_interruption_cuts_and_is_released_with_all_of_its_words(world: World) -> None:
    world.score(0.2, 0.9)
    hear(world, "stop")
    assert kinds(world) == ["Interrupted", "TurnComplete"]
    assert held(world) == [True, False]
    world.score(0.9, 0.01)
    world.understand("stop it")
    assert kinds(world) == ["InputTranscript"]
    assert world.session.conversation.context.history.snapshot()[-1].text == "stop it"


def test_words_that_come_only_with_the_final_text_still_interrupt() -> None:
    world = World(SETUP, DELIBERATE)
    world.speak("hi")
    world.say("A long story.", bytes(48_000 * 9))
    world.take()
    world.score(0.1, 0.9)
    world.score(0.9, 0.01)
    assert kinds(world) == []
    world.understand("no")
    assert kinds(world) == ["Interrupted", "TurnComplete", "InputTranscript"]


def test_typed_text_interrupts_while_a_candidate_is_undecided(world: World) -> None:
    world.score(0.1, 0.9)
    world.do(TextReceived("stop"))
    assert kinds(world) == ["Interrupted", "TurnComplete"]


def test_where_the_answer_has_ended_meanwhile_words_are_an_ordinary_turn(world: World) -> None:
    world.wait(0.9)
    world.score(0.2, 0.9)
    hear(world, "yeah")
    world.score(0.9, 0.01)
    assert kinds(world) == ["TurnComplete"]
    world.understand("yeah and who built it")
    assert kinds(world) == ["InputTranscript"]
    assert not ignored(world)


def test_a_noise_does_not_cancel_a_call() -> None:
    world = World(SETUP, DELIBERATE)
    world.speak("hi")
    world.call("lights")
    world.take()
    world.score(0.1, 0.9)
    world.score(0.9, 0.01)
    world.understand(" ")
    assert kinds(world) == []
    world.answer("lights")
    world.say("Done.")
    assert "ModelAudio" in kinds(world)


def test_a_near_voice_within_a_far_one_is_a_turn_of_its_own() -> None:
    world = World(SETUP, DELIBERATE)
    levels(world, 20, -20.0)
    world.score(0.9, 0.01)
    world.understand("hi")
    world.say("A long story.", bytes(48_000 * 9))
    levels(world, 60, -36.0)
    far = world.turns[-1]
    begun = world.position
    levels(world, 4, -20.0)
    assert world.turns[-1] != far
    assert DropTranscript(far) in world.effects
    started = [e for e in world.effects if isinstance(e, StartTranscript)][-1]
    assert begun - 16_000 < started.start < begun, "with a pre-roll"
    hear(world, "stop")
    assert any(isinstance(effect, CancelGeneration) for effect in world.effects)


def test_a_far_voice_that_outlasts_the_answer_is_answered() -> None:
    world = World(SETUP, DELIBERATE)
    levels(world, 20, -20.0)
    world.score(0.9, 0.01)
    world.understand("hi")
    world.say("Yes?", bytes(48_000))
    world.finish()
    levels(world, 60, -36.0)
    world.score(0.9, 0.01)
    world.take()
    world.understand("who built the bridge")
    assert kinds(world) == ["InputTranscript"]
    assert not ignored(world)


def test_a_late_transcript_of_the_sound_before_does_not_judge_the_next() -> None:
    world = World(SETUP, DELIBERATE)
    levels(world, 20, -20.0)
    world.score(0.9, 0.01)
    world.understand("hi")
    world.say("A long story.", bytes(48_000 * 9))
    world.score(0.2, 0.9)
    world.score(0.3, 0.01)
    before = world.position
    world.score(0.1, 0.9)
    world.do(TranscriptUpdated(world.turns[-1], before, "stop", False))
    assert not any(isinstance(effect, CancelGeneration) for effect in world.effects)


def levels(world: World, frames: int, level: float) -> None:
    """Voice of a level, frame by frame."""
    for _ in range(frames):
        world.position += 512
        world.wait(0.032)
        world.do(VoiceScored(world.position, (0.9,), levels=(level,)))


def test_held_audio_plays_when_it_is_released() -> None:
    world = World(SETUP, DELIBERATE)
    world.speak("hi")
    world.say("One ", bytes(48_000))
    world.score(0.1, 0.9)
    world.say("two ", bytes(48_000))
    playout = world.session.conversation.model.turn.playout  # type: ignore[union-attr]
    assert playout.sent_s == 2.0
    world.wait(0.5)
    assert playout.heard_s(world.now + 9.0) == 1.0
    world.score(0.5, 0.01)
    assert playout.heard_s(world.now + 9.0) == 2.0
