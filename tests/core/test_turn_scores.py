"""The end of a turn by scores: when they are requested, and what follows from them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.world import SETUP, World, kinds, requests
from vivavoce.core.effects import Effect
from vivavoce.core.events import ClientGone, TranscriptUpdated, TurnEndScored
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.setup import ActivityDetection, RealtimeInput, Sensitivity, SessionSetup

SCORED = SessionSettings(speculation=True, turn_model=True)


def paused(settings: SessionSettings = SCORED, setup: SessionSetup = SETUP) -> World:
    """The user has spoken for half a second and been silent for 0.128."""
    world = World(setup, settings)
    world.take()
    world.score(0.5, 0.9)
    world.score(0.128, 0.01)
    return world


def hypothesis(world: World, text: str) -> list[Effect]:
    return world.do(TranscriptUpdated(world.turns[-1], world.position, text, False))


def test_a_score_is_requested_at_a_pause_and_again_when_its_words_are_known() -> None:
    world = paused()
    (asked,) = world.scores
    assert (asked.text, asked.position) == ("", world.position)
    hypothesis(world, "turn it on please")
    hypothesis(world, "turn it on please")
    hypothesis(world, "turn it on, please")
    hypothesis(world, "turn it off, please")
    assert [each.text for each in world.scores] == ["", "turn it on please", "turn it on, please"]
    assert {each.position for each in world.scores} == {asked.position}, "at most three a pause"


def test_words_that_end_before_the_pause_are_not_its_words() -> None:
    world = World(SETUP, SCORED)
    world.score(0.5, 0.9)
    hypothesis(world, "turn it")
    world.score(0.5, 0.9)
    world.score(0.128, 0.01)
    assert [each.text for each in world.scores] == [""]


def test_a_sure_end_is_answered_after_the_short_silence() -> None:
    world = paused()
    world.score(0.096, 0.01)
    hypothesis(world, "turn it on please")
    assert world.ended == []
    world.score_end(0.9)
    assert len(world.ended) == 1
    assert requests(world) == []
    world.understand("turn it on please")
    world.say("It is on.")
    assert kinds(world) == ["InputTranscript", "ModelAudio", "OutputTranscript"]
    assert [each.speculative for each in requests(world)] == [False]


def test_an_unfinished_sentence_waits_longer_and_is_one_turn() -> None:
    world = paused()
    hypothesis(world, "i would like")
    world.score_end(0.05)
    world.score(1.0, 0.01)
    assert world.ended == []
    assert requests(world) == []
    world.score(0.5, 0.9)
    world.score(1.0, 0.01)
    assert len(world.ended) == len(world.turns) == 1


def test_an_unfinished_sentence_is_speculated_on_half_a_second_before_its_end() -> None:
    world = paused()
    hypothesis(world, "i would like")
    world.score_end(0.05)
    world.score(1.3, 0.01)
    assert requests(world) == []
    world.score(0.1, 0.01)
    assert [each.speculative for each in requests(world)] == [True]
    world.score(0.6, 0.01)
    assert len(world.ended) == 1


def test_words_are_scored_before_they_are_speculated_on() -> None:
    """By the sound alone the end was likely; the words say that it is not."""
    world = paused()
    world.score_end(0.7)
    world.score(0.2, 0.01)
    hypothesis(world, "i would like")
    assert requests(world) == []
    world.score_end(0.05)
    world.score(0.5, 0.01)
    assert not requests(world)
    assert not world.ended


def test_without_a_score_the_turn_ends_and_is_speculated_on_as_without_a_model() -> None:
    world = paused()
    hypothesis(world, "i would like")
    assert requests(world) == []
    world.score(0.2, 0.01)
    assert [each.speculative for each in requests(world)] == [True]
    world.score(0.4, 0.01)
    assert len(world.ended) == 1


@pytest.mark.parametrize("stale", ["resumed", "ended", "next pause", "closed", "words known"])
def test_a_score_that_comes_late_changes_nothing(stale: str) -> None:
    world = paused()
    first = world.scores[0]
    late = TurnEndScored(first.turn, first.position, 0.95, first.number)
    match stale:
        case "resumed":
            world.score(0.2, 0.9)
        case "next pause":
            world.score(0.2, 0.9)
            world.score(0.3, 0.01)
        case "ended":
            world.score(0.9, 0.01)
        case "words known":
            hypothesis(world, "i would like")
        case "closed":
            world.do(ClientGone())
    ended = list(world.ended)
    assert world.do(late) == []
    assert world.ended == ended


@pytest.mark.parametrize(
    "detection",
    [
        ActivityDetection(silence_duration_ms=700),
        ActivityDetection(end_sensitivity=Sensitivity.LOW),
        ActivityDetection(disabled=True),
    ],
)
def test_no_score_is_requested_where_the_client_decides(detection: ActivityDetection) -> None:
    setup = replace(SETUP, realtime=RealtimeInput(detection))
    world = paused(setup=setup)
    if world.turns:
        hypothesis(world, "i would like")
    assert world.scores == []
    assert paused(SessionSettings(speculation=True)).scores == []
