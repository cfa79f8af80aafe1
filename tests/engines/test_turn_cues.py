"""Turn-yielding cues: words that ask for more, words that close, and the melody of the end."""

from __future__ import annotations

import numpy as np
import pytest

from vivavoce.core.turn_detection import SURE, UNFINISHED
from vivavoce.domain.audio import INPUT_RATE
from vivavoce.engines.ports import TurnModel, TurnPause
from vivavoce.engines.registry import EngineBuilder
from vivavoce.engines.turn_cue_words import ENGLISH, LANGUAGES
from vivavoce.engines.turn_cues import TurnCues, melody_evidence, word_evidence
from vivavoce.errors import ConfigError
from vivavoce.testing.engine_contracts import TurnModelContract


class TestContract(TurnModelContract):
    def engine(self) -> TurnModel:
        return TurnCues()


def score(text: str, language: str = "en-US", pcm: bytes = b"") -> float:
    return TurnCues().score([TurnPause(pcm, text, language)])[0]


@pytest.mark.parametrize(
    "text",
    [
        "I would like",
        "Turn on the",
        "My phone number is",
        "The blue one and",
        "It happened because",
        "Could you please tell me about",
        "I was wondering",
        "We went there, um",
        "So then they",
        "This is a picture of",
        "I’d like to",
    ],
)
def test_words_that_ask_for_more_are_unfinished(text: str) -> None:
    assert score(text) < UNFINISHED
    assert score(text + ".") < UNFINISHED, "a recognizer closes whatever it hears"


@pytest.mark.parametrize(
    "text",
    [
        "What time is it?",
        "Where do you come from?",
        "Can you hear me now",
        "Can you tell me what you need?",
        "Turn off the radio in the kitchen.",
        "Thank you.",
        "Yes.",
        "That's all.",
    ],
)
def test_whole_questions_and_requests_are_finished(text: str) -> None:
    assert score(text) >= SURE


@pytest.mark.parametrize("text", ["", "Paris", "Yes, I do", "in the evening", "we were there"])
def test_what_could_be_either_is_unsure(text: str) -> None:
    assert UNFINISHED <= score(text) < SURE


def test_a_clause_that_awaits_another_and_an_open_list_mostly_go_on() -> None:
    whole = word_evidence("the shop was closed yesterday", ENGLISH)
    assert word_evidence("because the shop was closed", ENGLISH) < 0 < whole
    assert word_evidence("I need bread, butter", ENGLISH) < 0
    assert word_evidence("I need bread, butter and jam", ENGLISH) > 0
    assert word_evidence("I need bread, butter,", ENGLISH) < 0


def test_a_preposition_at_the_end_is_whole_in_some_questions_and_requests() -> None:
    whole = ["What is it for?", "Who are you going with?", "Turn it on."]
    open_ended = [
        "Who wrote the book about?",
        "I am looking for",
        "She lives in",
        "Set a timer for",
    ]
    assert min(map(score, whole)) > 0.5 > UNFINISHED > max(map(score, open_ended))


@pytest.mark.parametrize(
    ("cut", "whole"),
    [
        ("Did you", "Nor do I"),
        ("How can I", "Where are they?"),
        ("We want", "What do you want?"),
        ("When did they find", "How many did they find?"),
        ("I think it's", "Yes, I did"),
        ("Even though it was late", "We all went to bed late"),
    ],
)
def test_a_verb_or_its_object_is_due(cut: str, whole: str) -> None:
    assert score(cut) < UNFINISHED <= score(whole)


@pytest.mark.parametrize("language", ["de-DE", "ja", ""])
def test_words_of_an_unknown_language_say_nothing(language: str) -> None:
    assert language.partition("-")[0] not in LANGUAGES
    assert score("I would like the", language) == score("", language) == 0.5


def tone(*stretches: tuple[float, float, float]) -> bytes:
    """A buzz of (seconds, first and last pitch in Hz) for each stretch; 0 Hz is silence."""
    pitch = np.concatenate(
        [np.linspace(low, high, int(INPUT_RATE * seconds)) for seconds, low, high in stretches]
    )
    phase = 2 * np.pi * np.cumsum(pitch) / INPUT_RATE
    sound = sum(np.sin(k * phase) / k for k in (1, 2, 3, 4)) * (pitch > 0)
    return (np.asarray(sound) * 6000).astype("<i2").tobytes()


SPEECH = ((0.3, 130, 150), (0.2, 150, 120), (0.3, 120, 140))


@pytest.mark.parametrize(
    ("end", "sign"),
    [
        ((0.3, 130, 90), 1),  # falls to the bottom
        ((0.3, 130, 190), 1),  # rises
        ((0.25, 133, 133), -1),  # stays
    ],
)
def test_the_melody_of_the_end_counts(end: tuple[float, float, float], sign: int) -> None:
    assert np.sign(melody_evidence(tone(*SPEECH, (0.05, 0, 0), end, (0.12, 0, 0)))) == sign


def test_a_drawn_out_level_sound_goes_on_more_than_a_short_one() -> None:
    short, long = ((seconds, 133, 133) for seconds in (0.2, 0.6))
    gap = (0.06, 0.0, 0.0)
    assert (
        melody_evidence(tone(*SPEECH, gap, long)) < melody_evidence(tone(*SPEECH, gap, short)) < 0
    )


def test_noise_and_silence_have_no_melody() -> None:
    noise = np.random.default_rng(3).standard_normal(2 * INPUT_RATE) * 3000
    assert melody_evidence(noise.astype("<i2").tobytes()) == 0.0
    assert melody_evidence(bytes(2 * INPUT_RATE)) == melody_evidence(b"") == 0.0


def test_loudness_does_not_count() -> None:
    loud = tone(*SPEECH, (0.05, 0, 0), (0.3, 130, 90))
    quiet = (np.frombuffer(loud, "<i2") // 8).astype("<i2").tobytes()
    assert melody_evidence(quiet) == melody_evidence(loud)


async def test_it_is_built_by_its_name_and_has_no_settings() -> None:
    engine = await EngineBuilder().build("turn_model", "cues")
    assert isinstance(engine, TurnCues)
    await engine.aclose()
    with pytest.raises(ConfigError, match="`threshold` is not known"):
        await EngineBuilder().build("turn_model", {"use": "cues", "threshold": 1})
