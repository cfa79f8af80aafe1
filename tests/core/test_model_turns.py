"""Model turns: every cell of the table, the dashes included."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.actions import ACTIONS
from core.documented import read_tables
from core.world import SETUP, TOOLS, World
from vivavoce.core import model_turns
from vivavoce.core.effects import Step
from vivavoce.core.messages import TurnComplete, TurnReason
from vivavoce.core.model_output import TurnCause
from vivavoce.core.model_turns import (
    MAX_ROUNDS,
    TRANSITIONS,
    Basis,
    ModelState,
    ModelTrigger,
    ModelTurns,
)
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.content import ToolCall
from vivavoce.domain.ids import CallId, TurnId

DOCUMENTED = {
    ModelState[state]: {
        ModelTrigger[column.upper()]: ModelState.__members__.get(cell, ModelState[state])
        for column, cell in cells.items()
    }
    for state, cells in read_tables(model_turns.__doc__ or "").items()
}
"""`send` and `hold` keep the state."""

WAYS: dict[ModelState, tuple[str, ...]] = {
    ModelState.IDLE: (),
    ModelState.SPECULATING: ("speech", "hypothesis", "short silence", "hypothesis"),
    ModelState.GENERATING: ("text", "part"),
    ModelState.TOOLS: ("text", "part", "blocking call"),
    ModelState.PLAYING: ("text", "part", "finished"),
}

DOES: dict[ModelTrigger, Callable[[World, ModelTurns, Step], object]] = {
    ModelTrigger.BEGIN: lambda w, m, step: m.begin_turn(TurnCause.CONTENT, step),
    ModelTrigger.SPECULATE: lambda w, m, step: m.start_speculation(
        Basis(TurnId(1), "", 0), (), step
    ),
    ModelTrigger.PART: lambda w, m, step: ACTIONS["part"](w),
    ModelTrigger.CALL: lambda w, m, step: ACTIONS["open call"](w),
    ModelTrigger.BLOCKS: lambda w, m, step: ACTIONS["blocking call"](w),
    ModelTrigger.FINISHED: lambda w, m, step: ACTIONS["finished"](w),
    ModelTrigger.FAILED: lambda w, m, step: ACTIONS["failed"](w),
    ModelTrigger.REFUSED: lambda w, m, step: ACTIONS["refused"](w),
    ModelTrigger.ANSWERED: lambda w, m, step: m.continue_with_results(step),
    ModelTrigger.PROMOTE: lambda w, m, step: m.promote_generation(step),
    ModelTrigger.DISCARD: lambda w, m, step: m.discard_generation(step),
    ModelTrigger.WITHDRAW: lambda w, m, step: m.withdraw_turn(step),
    ModelTrigger.PLAYED: lambda w, m, step: m.complete_turn(step),
    ModelTrigger.INTERRUPT: lambda w, m, step: m.interrupt_turn(step),
    ModelTrigger.ASKED: lambda w, m, step: m.answer_within_turn(step),
    ModelTrigger.CUT: lambda w, m, step: with_open_call(w).interrupt_answer(step),
    ModelTrigger.WAITS: lambda w, m, step: with_open_call(w).complete_turn(step),
}


def with_open_call(world: World) -> ModelTurns:
    """The model's side, where a function of an earlier answer runs."""
    talk = world.session.conversation
    talk.ledger.open_calls((ToolCall(CallId(""), "lights", {}),), TOOLS, world.now)
    return talk.model


def in_state(state: ModelState) -> World:
    world = World(SETUP, SessionSettings(speculation=True))
    for name in WAYS[state]:
        ACTIONS[name](world)
    assert world.session.conversation.model.state is state
    return world


def test_the_documented_table_is_the_one_in_force() -> None:
    assert DOCUMENTED == TRANSITIONS
    columns = {trigger for row in DOCUMENTED.values() for trigger in row}
    assert columns == set(ModelTrigger)


@pytest.mark.parametrize("state", ModelState)
@pytest.mark.parametrize("cue", ModelTrigger)
def test_cell(state: ModelState, cue: ModelTrigger) -> None:
    world = in_state(state)
    model = world.session.conversation.model
    before, step, sent = len(world.effects), Step(world.now), len(world.said)
    DOES[cue](world, model, step)
    wanted = DOCUMENTED[state].get(cue)
    assert model.state is (wanted or state)
    said = [*step.effects, *world.effects[before:]]
    if wanted is None:
        assert said == []
    elif state is ModelState.SPECULATING and wanted is state:
        assert said == []
        assert len(world.said) == sent
        assert model.generation is not None
        assert len(model.generation.held) == 1


def test_a_model_that_calls_for_ever_is_stopped() -> None:
    for early in (False, True):
        world = World(SETUP, SessionSettings(early_turn_complete=early))
        ACTIONS["text"](world)
        for _ in range(MAX_ROUNDS):
            world.call("lights")
            world.answer("lights")
        world.take()
        world.call("lights")
        assert world.calls == []
        (complete,) = [m for m in world.take() if isinstance(m, TurnComplete)]
        assert complete.reason is TurnReason.GENERATED_OTHER
        assert world.session.conversation.model.idle
