"""Walks over everything that can happen, in any order, with the oracle watching every step."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.actions import ACTIONS
from core.resuming import history, resumed
from core.walks import WAYS, calm, play, sketch
from core.world import World
from support.budget import budget
from support.invariants import InvariantBroken
from vivavoce.core.effects import RunTool, StopTool
from vivavoce.core.events import ClientGone
from vivavoce.core.messages import OutputTranscript
from vivavoce.core.model_turns import ModelState
from vivavoce.core.settings import SessionSettings
from vivavoce.core.user_turns import TurnState
from vivavoce.domain.setup import SessionSetup

pytestmark = pytest.mark.walk

FEW = (
    "speech", "sound", "back-channel", "short silence", "long silence", "hypothesis",
    "first words", "words", "other words",
    "no words",
    "text", "question", "result", "idle result", "urgent result", "part", "blocking call",
    "open call", "search", "tool and function", "tool ran", "fewer tools", "finished", "failed",
    "refused", "time",
)  # fmt: skip
"""Enough to reach every state; the rest is left to the random walks."""

STARTS: tuple[tuple[str, ...], ...] = (
    (),
    ("speech", "first words", "short silence"),
    ("speech", "long silence", "speech"),
    ("speech", "hypothesis", "short silence", "hypothesis"),
    ("text", "part"),
    ("text", "part", "blocking call"),
    ("text", "part", "finished"),
    ("text", "part", "sound", "back-channel"),
)

RANDOM = [name for name in ACTIONS if name not in ("drain", "gone")]


def walk_breadth_first(
    setup: SessionSetup, settings: SessionSettings, names: Sequence[str], depth: int
) -> dict[tuple[object, ...], tuple[str, ...]]:
    """Every situation within reach of one that has each state, with a way to it."""
    reached = {sketch(play(setup, settings, way)): way for way in STARTS}
    edge: list[tuple[str, ...]] = [*STARTS]
    for _ in range(depth):
        further: list[tuple[str, ...]] = []
        for path in edge:
            for name in names:
                way = (*path, name)
                try:
                    seen = sketch(play(setup, settings, way))
                except InvariantBroken as broken:
                    pytest.fail(f"{broken}\nshortest way there: {' -> '.join(way)}")
                if seen not in reached:
                    reached[seen] = way
                    further.append(way)
        edge = further
    return reached


def wander(way: str, seed: int) -> World:
    """A random walk, and rest after it."""
    choose = random.Random(f"{way} {seed}")
    path = [choose.choice(RANDOM) for _ in range(budget(50, 100))]
    setup, settings = WAYS[way]
    try:
        world = play(setup, settings, path)
        calm(world)
        world.oracle.check_idle()
    except InvariantBroken as broken:
        pytest.fail(f"{broken}\nafter {way}, seed {seed}: {shorten(way, path)}")
    return world


def shorten(way: str, path: list[str]) -> str:
    """The walk without all steps that the failure does not need."""
    at = 0
    while at < len(path):
        shorter = path[:at] + path[at + 1 :]
        try:
            world = play(*WAYS[way], shorter)
            calm(world)
            world.oracle.check_idle()
        except InvariantBroken:
            path = shorter
        else:
            at += 1
    return " -> ".join(path)


@pytest.mark.parametrize("way", ["automatic", "uninterrupted", "deliberate"])
def test_every_situation_within_reach_keeps_the_invariants(way: str) -> None:
    reached = walk_breadth_first(*WAYS[way], FEW, depth=budget(1, 4))
    assert {situation[1] for situation in reached} == set(ModelState)
    states = {entry[0] for situation in reached for entry in _spoken(situation[0])}
    assert states == set(TurnState)


def _spoken(line: object) -> list[tuple[TurnState, bool, bool, bool, object]]:
    assert isinstance(line, tuple)
    return [entry for entry in line if isinstance(entry[0], TurnState)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(budget(2, 8)))
def test_random_walks_keep_the_invariants(way: str, seed: int) -> None:
    wander(way, seed)


@pytest.mark.parametrize("way", WAYS)
def test_the_same_events_at_the_same_times_have_the_same_effects(way: str) -> None:

    assert wander(way, 99).effects == wander(way, 99).effects


@pytest.mark.parametrize("ending", ["drain", "gone"])
def test_after_the_end_nothing_follows_and_nothing_runs_on(ending: str) -> None:
    choose = random.Random(ending)
    for _ in range(budget(3, 10)):
        before = [choose.choice(RANDOM) for _ in range(30)]
        world = play(*WAYS["automatic"], [*before, ending])
        world.wait(11)
        assert world.session.closed
        effects = len(world.effects)
        for name in RANDOM:
            ACTIONS[name](world)
        assert world.session.handle_event(ClientGone(), world.now) == []
        assert len(world.effects) == effects


CALLS = (
    "blocking call", "open call", "both calls", "two functions", "search", "two tools",
    "tool and function", "call of each kind", "unknown call",
)  # fmt: skip
ANSWERS = (
    "result", "nameless result", "idle result", "urgent result", "silent result",
    "partial result", "result again", "server's result", "tool ran", "tool failed", "late tool",
)  # fmt: skip
INTERRUPTIONS = ("utterance", "speech", "text", "content", "question", "trigger", "failed")
TALK = ("fact", "part", "thought", "finished", "malformed", "refused", "searched answer")
UPDATES = ("context", "fewer tools", "all tools")
DROP = "drop"
"""The connection ends; the client comes back where the conversation can be resumed."""

STEPS = st.one_of(
    st.sampled_from(CALLS),
    st.sampled_from(ANSWERS),
    st.sampled_from(INTERRUPTIONS),
    st.sampled_from(TALK),
    st.sampled_from((*UPDATES, "time", "time", DROP)),
)


def interleave(way: str, steps: list[str]) -> World:
    """A conversation that begins with a question, so that there is something to call for."""
    world = World(*WAYS[way])
    ACTIONS["question"](world)
    for name in steps:
        if name != DROP:
            ACTIONS[name](world)
        elif world.session.idle:
            world = resumed(world)
    return world


@settings(max_examples=budget(20, 150), deadline=None, derandomize=True)
@given(st.sampled_from(sorted(WAYS)), st.lists(STEPS, min_size=4, max_size=30))
def test_every_interleaving_comes_to_rest_and_can_be_resumed(way: str, steps: list[str]) -> None:
    world = interleave(way, steps)
    calm(world)
    world.oracle.check_idle()
    assert every_run_has_one_end(world)
    calm(resumed(world))


@settings(max_examples=budget(15, 100), deadline=None, derandomize=True)
@given(st.sampled_from(sorted(WAYS)), st.lists(STEPS, max_size=20))
def test_a_client_may_go_at_any_moment_and_nothing_runs_on(way: str, steps: list[str]) -> None:
    world = interleave(way, steps)
    world.do(ClientGone())
    assert world.session.closed
    assert every_run_has_one_end(world)
    for name in (*CALLS, *ANSWERS, *TALK):
        ACTIONS[name](world)
    assert world.session.deadline() is None


def every_run_has_one_end(world: World) -> bool:
    """Each tool that was started came back in time or was stopped, and not both."""
    started = [effect.call.id for effect in world.effects if isinstance(effect, RunTool)]
    stopped = [effect.call for effect in world.effects if isinstance(effect, StopTool)]
    assert len(set(started)) == len(started)
    assert len(set(stopped)) == len(stopped)
    taken = [id for id, run in world.oracle.calls.ours.items() if run.state == "ran"]
    return sorted([*stopped, *taken]) == sorted(started)


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
