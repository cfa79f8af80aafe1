"""Walks over everything that can happen, with the oracle watching every step."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from core.actions import ACTIONS
from core.world import MANUAL, SETUP, UNINTERRUPTED, World
from support.budget import budget
from support.invariants import InvariantBroken
from vivavoce.core.events import ActivityEnded, AudioStreamEnded, ClientGone
from vivavoce.core.model_turns import ModelState
from vivavoce.core.settings import Pacing, SessionSettings
from vivavoce.core.user_turns import SpokenTurn, TurnState
from vivavoce.domain.content import Scheduling
from vivavoce.domain.setup import Modality, SessionSetup

SPECULATING = SessionSettings(speculation=True)

FEW = (
    "speech", "short silence", "long silence", "hypothesis", "first words", "words", "other words",
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
)

WAYS: dict[str, tuple[SessionSetup, SessionSettings]] = {
    "automatic": (SETUP, SPECULATING),
    "uninterrupted": (replace(SETUP, realtime=UNINTERRUPTED), SPECULATING),
    "manual": (replace(SETUP, realtime=MANUAL), SessionSettings()),
    "early": (SETUP, SessionSettings(early_turn_complete=True)),
    "text": (replace(SETUP, modality=Modality.TEXT), SPECULATING),
    "seeded 3.8": (replace(SETUP, model="gemini-3.8-live", seeds_history=True), SPECULATING),
    "tool deadline": (SETUP, SessionSettings(tool_deadline_s=2.0, speculation=True)),
    "impatient": (
        replace(SETUP, shows_server_calls=True),
        SessionSettings(tool_deadline_s=3.0, server_tool_deadline_s=1.0),
    ),
    "enterprise": (SETUP, SessionSettings(finishes_transcripts=True, speculation=True)),
    "immediate": (SETUP, SessionSettings(pacing=Pacing.IMMEDIATE)),
}
RANDOM = [name for name in ACTIONS if name not in ("drain", "gone")]


def sketch(world: World) -> tuple[object, ...]:
    """What two situations must have in common to be taken for one."""
    talk = world.session.conversation
    turn, ledger = talk.model.turn, talk.ledger
    line = tuple(
        (e.state, bool(e.text.strip()), bool(e.speculations), bool(e.sent))
        if isinstance(e, SpokenTurn)
        else (type(e).__name__, e.answer)
        for e in talk.user.queue[-2:]
    )
    return (
        line,
        talk.model.state,
        None if turn is None else (turn.said, turn.turn_complete_due),
        talk.model.generation is not None and talk.model.generation.running,
        bool(ledger.unanswered()),
        bool(ledger.running()),
        len(ledger.open_ids) > len(ledger.unanswered()),
        bool(ledger.waiting),
        ledger.urgent,
    )


def play(setup: SessionSetup, settings: SessionSettings, path: Sequence[str]) -> World:
    world = World(setup, settings)
    for name in path:
        ACTIONS[name](world)
    return world


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


def calm(world: World) -> None:
    """Let everybody finish, until both sides rest."""
    for _ in range(80):
        if world.session.idle:
            return
        manual = world.setup.realtime.detection.disabled
        world.do(ActivityEnded(world.position) if manual else AudioStreamEnded(world.position))
        while world.ended:
            world.understand("x")
        while world.running:
            world.ran()
        while world.calls:
            world.answer(world.calls[0].name, scheduling=Scheduling.SILENT)
        world.finish()
        world.wait(30)
    raise InvariantBroken("the conversation comes to rest")


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


@pytest.mark.parametrize("way", ["automatic", "uninterrupted"])
def test_every_situation_within_reach_keeps_the_invariants(way: str) -> None:
    reached = walk_breadth_first(*WAYS[way], FEW, depth=budget(1, 4))
    assert {situation[1] for situation in reached} == set(ModelState)
    states = {entry[0] for situation in reached for entry in _spoken(situation[0])}
    assert states == set(TurnState)


def _spoken(line: object) -> list[tuple[TurnState, bool, bool, bool]]:
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
