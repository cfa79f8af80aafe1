"""Walks through a conversation: the setups to walk in, steps by name, and the way back to idle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.actions import ACTIONS
from core.world import MANUAL, SETUP, UNINTERRUPTED, World
from support.invariants import InvariantBroken
from vivavoce.core.events import ActivityEnded, AudioStreamEnded
from vivavoce.core.settings import BargeInHandling, Pacing, SessionSettings
from vivavoce.core.user_turns import SpokenTurn
from vivavoce.domain.content import Scheduling
from vivavoce.domain.setup import Modality, SessionSetup

SPECULATING = SessionSettings(speculation=True)
SCORED = SessionSettings(speculation=True, turn_model=True)


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
    "scored": (SETUP, SCORED),
    "deliberate": (SETUP, replace(SPECULATING, barge_in=BargeInHandling.DELIBERATE)),
    "immediate": (SETUP, SessionSettings(pacing=Pacing.IMMEDIATE)),
}


def sketch(world: World) -> tuple[object, ...]:
    """What two situations must have in common to be taken for one."""
    talk = world.session.conversation
    turn, ledger = talk.model.turn, talk.ledger
    line = tuple(
        (
            e.state,
            bool(e.text.strip()),
            bool(e.speculations),
            bool(e.sent),
            e.barge_in and e.barge_in.verdict,
        )
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
        talk.interruptions.holds_output,
    )


def play(setup: SessionSetup, settings: SessionSettings, path: Sequence[str]) -> World:
    world = World(setup, settings)
    for name in path:
        ACTIONS[name](world)
    return world


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
