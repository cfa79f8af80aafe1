"""Walks that once broke an invariant, found by fuzzing and made short."""

from __future__ import annotations

import pytest

from core.actions import ACTIONS
from core.resuming import history
from core.test_walk import WAYS, calm, play
from core.world import World
from vivavoce.core.messages import OutputTranscript

FOUND = {
    "history holds only what was sent": (
        "uninterrupted",
        ("other utterance", "part", "other utterance", "refused", "part"),
    ),
    "only the live one speaks": (
        "enterprise",
        ("blank", "call of each kind", "urgent result", "call of each kind", "blank"),
    ),
    "content leaves functions of the client's alone": (
        "seeded 3.8",
        ("other utterance", "call of each kind", "trigger"),
    ),
    "the model waits for all calls that block": (
        "automatic",
        (
            "speech", "time", "question", "thinking aloud", "long silence", "question",
            "other utterance", "two functions", "blank", "open call", "urgent result",
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", FOUND)
def test_a_walk_that_broke_a_rule_keeps_it(rule: str) -> None:
    way, path = FOUND[rule]
    world = play(*WAYS[way], path)
    calm(world)
    world.oracle.check_idle()


@pytest.mark.parametrize("first", ["Once upon", "Once upon "])
def test_words_of_a_further_generation_stand_apart_in_the_history_too(first: str) -> None:
    world = World(*WAYS["automatic"])
    ACTIONS["text"](world)
    world.say(first)
    ACTIONS["refused"](world)
    world.say("a time")
    world.finish()
    told = [each.text for each in world.messages() if isinstance(each, OutputTranscript)]
    assert "".join(told) == "Once upon a time"
    assert history(world)[-1].text == "Once upon a time"
