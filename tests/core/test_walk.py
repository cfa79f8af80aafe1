"""Walks over everything that can happen, with the oracle watching every step."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from core.world import ACTIONS, MANUAL, SETUP, UNINTERRUPTED, World

from vivavoce.core.messages import TurnComplete
from vivavoce.core.model_side import ModelState
from vivavoce.core.settings import SessionSettings
from vivavoce.core.user_side import SpokenTurn
from vivavoce.domain.setup import SessionSetup
from vivavoce.testing.oracle import Broken

SPECULATING = SessionSettings(speculation=True)

FEW = (
    "speech", "short silence", "long silence", "hypothesis", "words", "other words", "no words",
    "text", "content", "question", "context", "result", "idle result", "urgent result",
    "part", "old part", "blocking call", "open call", "both calls", "unknown call", "finished",
    "failed", "refused", "time",
)  # fmt: skip
"""Enough to reach every state; the rest is left to the random walks."""


def sketch(world: World) -> tuple[object, ...]:
    """What two situations must have in common to be taken for one."""
    talk = world.session._talk
    turn = talk.model.turn
    line = tuple(
        (e.state, bool(e.text.strip()), e.tries, bool(e.typed))
        if isinstance(e, SpokenTurn)
        else e.answer
        for e in talk.user.line[-2:]
    )
    return (
        line,
        talk.model.state,
        None if turn is None else (turn.said, turn.called, turn.cause, turn.owed),
        talk.model.generation is not None and talk.model.generation.running,
        len(talk.ledger.unanswered()) > 0,
        len(talk.ledger.open_ids) > len(talk.ledger.unanswered()),
        bool(talk.ledger.waiting),
        talk.ledger.urgent,
        world.session._tracker.speaking,
    )


def play(setup: SessionSetup, settings: SessionSettings, path: tuple[str, ...]) -> World:
    world = World(setup, settings)
    for name in path:
        ACTIONS[name](world)
    return world


def walk_breadth_first(
    setup: SessionSetup, settings: SessionSettings, names: tuple[str, ...], depth: int
) -> dict[tuple[object, ...], tuple[str, ...]]:
    """Every situation within reach, with a shortest way to it."""
    reached = {sketch(World(setup, settings)): ()}
    edge: list[tuple[str, ...]] = [()]
    for _ in range(depth):
        further: list[tuple[str, ...]] = []
        for path in edge:
            for name in names:
                way = (*path, name)
                try:
                    seen = sketch(play(setup, settings, way))
                except Broken as broken:
                    pytest.fail(f"{broken}\nshortest way there: {' -> '.join(way)}")
                if seen not in reached:
                    reached[seen] = way
                    further.append(way)
        edge = further
    return reached


def test_every_situation_within_reach_keeps_the_invariants() -> None:
    reached = walk_breadth_first(SETUP, SPECULATING, FEW, depth=4)
    states = {situation[1] for situation in reached}
    assert states == set(ModelState)
