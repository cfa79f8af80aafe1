"""What the client must see of answers begun before the user has finished."""

from __future__ import annotations

import pytest

from core.world import SETUP, World, kinds, requests, user
from vivavoce.core.effects import PrepareGeneration, ReleaseGeneration
from vivavoce.core.events import ContextUpdated, GenerationRefused, TranscriptUpdated
from vivavoce.core.messages import OutputTranscript
from vivavoce.core.settings import SessionSettings


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
