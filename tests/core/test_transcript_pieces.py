"""Input transcription in pieces: what is given out while the user speaks, and after."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.world import SETUP, UNINTERRUPTED, World, kinds, requests, spoken, user
from support.budget import budget
from vivavoce.core.events import (
    ContentReceived,
    GenerationFailed,
    TextReceived,
    TranscriptFailed,
    TranscriptUpdated,
)
from vivavoce.core.messages import InputTranscript, OutputTranscript, TurnComplete
from vivavoce.core.settings import SessionSettings
from vivavoce.core.transcript_pieces import continuation


@pytest.mark.parametrize(
    ("sent", "text", "piece"),
    [
        ("", "", ""),
        ("", "Had he married", "Had he married"),
        ("Had he", "Had he", ""),
        ("Had he", "Had he married a", " married a"),
        ("Had he married", "Had he married, a more", ", a more"),
        ("Had he", "Had", ""),
        ("had he Married", "Had he married a more", " a more"),
        ("Had he buried", "Had he married a more", " a more"),
        ("Had he buried the", "Had he married a more", " more"),
        ("Had married", "Had he married a more", " a more"),
        ("Had the he married", "Had he married a more", " a more"),
        ("ill", "illness", ""),
        ("an ill", "an ill-disposed man", "-disposed man"),
        ("Now", "How are you", " are you"),
        ("What is", "", ""),
    ],
)
def test_what_follows_the_words_sent(sent: str, text: str, piece: str) -> None:
    assert continuation(sent, text) == piece


def test_a_long_text_that_contradicts_the_words_sent_goes_on_where_they_end() -> None:
    words = [f"word{number}" for number in range(500)]
    sent, text = " ".join(["wrong", *words[1:]]), " ".join([*words, "and", "more"])
    assert continuation(sent, text) == " and more"
    assert continuation(f"{sent} and more", text) == ""


WORDS = st.lists(st.sampled_from(("a", "B", "to", "be,", "or", "not.", "-")), max_size=8)


@settings(max_examples=budget(20, 100))
@given(st.lists(WORDS, min_size=1, max_size=6))
def test_pieces_of_a_growing_text_join_to_it_and_further_ones_begin_apart(
    stretches: list[list[str]],
) -> None:
    sent, text = "", ""
    for stretch in stretches:
        text = " ".join(filter(None, [text, *stretch]))
        piece = continuation(sent, text)
        assert not sent or not piece[:1].isalnum()
        sent += piece
    assert sent == text


@settings(max_examples=budget(20, 100))
@given(WORDS, WORDS)
def test_nothing_is_left_to_send_after_a_piece(before: list[str], after: list[str]) -> None:
    """Or the rule by which words are sent would apply without end."""
    sent, text = " ".join(before), " ".join(after)
    for _ in range(10):
        if not (piece := continuation(sent, text)):
            break
        sent += piece
    assert continuation(sent, text) == ""


def hear(world: World, text: str, stable: str, final: bool = False) -> list[str]:
    """The recognizer understands this of the newest turn; the pieces that the client gets."""
    world.do(TranscriptUpdated(world.turns[-1], world.position, text, final, stable, 0.9))
    return [m.text for m in world.take() if isinstance(m, InputTranscript)]


def speaking(settings: SessionSettings | None = None) -> World:
    world = World(SETUP, settings)
    world.score(0.5, 0.9)
    world.take()
    return world


def test_stable_words_are_sent_while_the_user_speaks_and_the_rest_before_the_answer() -> None:
    world = speaking()
    assert hear(world, "turn on", "turn") == ["turn"]
    assert hear(world, "turn on", "turn") == []
    assert hear(world, "Turn on the", "Turn on") == [" on"]
    world.score(0.9, 0.0)
    world.understand("Turn on the lights.")
    world.say("Done.")
    assert world.take()[0] == InputTranscript(" the lights.")
    assert requests(world)[0].history == (user("Turn on the lights."),)


def test_words_of_a_turn_wait_while_the_model_answers() -> None:
    world = World(replace(SETUP, realtime=UNINTERRUPTED))
    spoken(world)
    world.score(0.5, 0.9)
    world.take()
    assert hear(world, "and then", "and") == []
    world.wait(3)
    assert [m.text for m in world.take() if isinstance(m, InputTranscript)] == ["and"]


def test_words_follow_the_interruption_that_their_speech_has_made() -> None:
    world = World()
    spoken(world)
    world.score(0.2, 0.9)
    assert kinds(world)[-2:] == ["Interrupted", "TurnComplete"]
    assert hear(world, "no stop", "no") == [" no"], "the user goes on"


def test_a_turn_is_sent_before_anything_of_the_next() -> None:
    world = speaking()
    assert hear(world, "one two", "one") == ["one"]
    first = world.turns[-1]
    world.score(0.9, 0.0)
    world.score(0.5, 0.9)
    assert hear(world, "three four", "three") == []
    world.do(TranscriptUpdated(first, world.position, "one two.", True))
    world.oracle.transcribed_words(first)
    told = [m.text for m in world.take() if isinstance(m, InputTranscript)]
    assert told == [" two.", " three"]


@pytest.mark.parametrize("fails", [False, True])
def test_words_that_were_sent_are_answered_though_nothing_is_understood_in_the_end(
    fails: bool,
) -> None:
    world = speaking(SessionSettings(min_confidence=0.5))
    assert hear(world, "hello there", "hello") == ["hello"]
    hear(world, "", "")
    world.score(0.9, 0.0)
    turn = world.ended[0]
    if fails:
        world.do(TranscriptFailed(turn, "broken"))
    else:
        world.understand("")
    (request,) = requests(world)
    assert request.history == (user("hello"),)
    assert request.unclear
    assert [m.text for m in world.take() if isinstance(m, InputTranscript)] == [""]


def test_without_words_sent_a_turn_of_nothing_leaves_no_trace() -> None:
    world = speaking()
    assert hear(world, "uh", "") == []
    world.score(0.9, 0.0)
    world.understand("")
    assert world.take() == []
    assert requests(world) == []


def test_turns_that_are_answered_together_stay_distinct() -> None:
    world = World()
    world.score(0.5, 0.9)
    world.score(0.9, 0.0)
    world.score(0.5, 0.9)
    world.understand("one two")
    world.score(0.9, 0.0)
    world.understand("three four")
    told = [m.text for m in world.take() if isinstance(m, InputTranscript)]
    assert told == ["one two", " three four"]
    assert len(requests(world)) == 1
    world.say("Five.", bytes(4800))
    world.finish()
    world.wait(1)
    world.take()
    world.speak("six")
    assert [m.text for m in world.take() if isinstance(m, InputTranscript)] == ["six"]


def test_nothing_is_transcribed_for_a_client_that_did_not_ask() -> None:
    world = World(replace(SETUP, input_transcription=None))
    world.score(2.0, 0.9)
    assert hear(world, "turn on the", "turn on") == []
    world.score(0.9, 0.0)
    world.understand("turn on the lights")
    assert kinds(world) == []
    assert len(requests(world)) == 1


def test_confidence_reaches_the_request_and_words_that_were_typed_are_clear() -> None:
    for typed in (False, True):
        world = speaking(SessionSettings(min_confidence=0.6))
        if typed:
            world.do(TextReceived("please"))
        world.score(0.9, 0.0)
        world.do(TranscriptUpdated(world.ended[0], world.position, "mush", True, "", 0.59))
        (request,) = requests(world)
        assert request.unclear is not typed
        assert request.history[-1].confidence == (None if typed else 0.59)


@pytest.mark.parametrize(("confidence", "least"), [(0.6, 0.6), (None, 0.6), (0.1, 0.0)])
def test_what_is_certain_enough_is_clear(confidence: float | None, least: float) -> None:
    world = speaking(SessionSettings(min_confidence=least))
    world.score(0.9, 0.0)
    world.do(TranscriptUpdated(world.ended[0], world.position, "words", True, "", confidence))
    (request,) = requests(world)
    assert not request.unclear


@pytest.mark.parametrize(("at_the_end", "holds"), [(0.3, True), (0.7, False)])
def test_a_guess_on_unclear_words_asks_again_and_holds_while_they_are_unclear(
    at_the_end: float, holds: bool
) -> None:
    world = World(SETUP, SessionSettings(min_confidence=0.6, speculation=True))
    world.score(0.5, 0.9)
    world.score(0.3, 0.0)
    heard = TranscriptUpdated(world.turns[-1], world.position, "mush", False, "", 0.4)
    world.do(heard)
    assert [request.unclear for request in requests(world)] == [True]
    world.score(0.6, 0.0)
    world.do(replace(heard, final=True, position=world.position, confidence=at_the_end))
    assert [request.unclear for request in requests(world)] == ([True] if holds else [True, False])


def test_the_pieces_end_with_a_finished_one() -> None:
    world = speaking()
    hear(world, "one two", "one")
    world.score(0.9, 0.0)
    world.do(TranscriptUpdated(world.ended[0], world.position, "one", True))
    assert [m for m in world.take() if isinstance(m, InputTranscript)] == [InputTranscript("")]
    assert not any(isinstance(message, TurnComplete) for message in world.messages())


def test_after_an_answer_that_was_heard_words_begin_anew() -> None:
    world = World()
    for _ in range(2):
        world.take()
        world.speak("hi")
        world.say("Hello.")
        world.finish()
        world.wait(3)
        assert [m.text for m in world.messages() if isinstance(m, InputTranscript)] == ["hi"]
        assert [m.text for m in world.messages() if isinstance(m, OutputTranscript)] == ["Hello."]


def test_words_of_an_answer_begin_with_a_space_where_clients_join_them() -> None:
    world = World()
    world.speak("hi")
    world.say("Hel")
    world.say("lo, how are", bytes(48000))
    world.speak("wait", silence=0.9)
    world.say("Yes?")
    world.call("lights")
    world.answer("lights")
    world.say("It is on.")
    said = [m.text for m in world.messages() if isinstance(m, OutputTranscript)]
    assert said == ["Hel", "lo, how are", " Yes?", " It is on."]


def test_after_a_rest_neither_begins_with_a_space() -> None:
    world = World()
    spoken(world)
    world.do(ContentReceived((), False))
    world.take()
    world.speak("hello")
    world.say("Yes?")
    said = [m.text for m in world.messages() if isinstance(m, InputTranscript | OutputTranscript)]
    assert said == ["hello", "Yes?"]


@pytest.mark.parametrize("ending", ["complete", "interrupted", "failed"])
def test_where_clients_wait_for_it_a_message_ends_the_transcription(ending: str) -> None:
    world = World(SETUP, SessionSettings(finishes_transcripts=True))
    world.speak("hi")
    world.say("Hello there.", bytes(48000))
    world.take()
    if ending == "complete":
        world.finish()
    elif ending == "interrupted":
        world.do(ContentReceived((), False))
    else:
        world.do(GenerationFailed(world.current, "broken"))
    world.wait(2)
    first, *rest = world.take()
    assert first == OutputTranscript("", finished=True)
    assert not any(isinstance(message, OutputTranscript) for message in rest)
