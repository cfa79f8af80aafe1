"""Machine 2: every cell of its table, the dashes included."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.actions import ACTIONS
from core.world import SETUP, TOOLS, World
from vivavoce.core.generation import Basis
from vivavoce.core.messages import TurnComplete, TurnReason
from vivavoce.core.model_output import Cause
from vivavoce.core.model_states import TRANSITIONS, ModelState, ModelTrigger
from vivavoce.core.model_turns import MAX_ROUNDS, ModelTurns
from vivavoce.core.settings import SessionSettings
from vivavoce.core.step import Step
from vivavoce.domain.content import ToolCall
from vivavoce.domain.ids import CallId, TurnId

_, S, G, T, P = ModelState
I = ModelState.IDLE  # noqa: E741 - the column heads of the table

TABLE: dict[ModelTrigger, tuple[ModelState | None, ...]] = {
    #                     IDLE  SPEC  GEN   TOOLS PLAYING
    ModelTrigger.BEGIN:      (G,    None, None, None, None),
    ModelTrigger.SPECULATE:  (S,    None, None, None, None),
    ModelTrigger.PART:       (None, S,    G,    None, None),
    ModelTrigger.CALL:       (None, S,    G,    T,    None),
    ModelTrigger.BLOCKS:     (None, S,    T,    T,    None),
    ModelTrigger.FINISHED:   (None, S,    P,    T,    None),
    ModelTrigger.FAILED:     (None, I,    P,    P,    None),
    ModelTrigger.REFUSED:    (None, I,    G,    None, None),
    ModelTrigger.ANSWERED:   (None, None, None, G,    None),
    ModelTrigger.PROMOTE:    (None, G,    None, None, None),
    ModelTrigger.DISCARD:    (None, I,    None, None, None),
    ModelTrigger.WITHDRAW:   (None, None, I,    None, None),
    ModelTrigger.PLAYED:     (None, None, None, None, I),
    ModelTrigger.INTERRUPT:  (None, None, I,    I,    I),
    ModelTrigger.ASKED:      (None, None, None, G,    None),
    ModelTrigger.CUT:        (None, None, T,    None, T),
    ModelTrigger.WAITS:      (None, None, None, None, T),
}  # fmt: skip

WAYS: dict[ModelState, tuple[str, ...]] = {
    I: (),
    S: ("speech", "hypothesis", "short silence", "hypothesis"),
    G: ("text", "part"),
    T: ("text", "part", "blocking call"),
    P: ("text", "part", "finished"),
}

DOES: dict[ModelTrigger, Callable[[World, ModelTurns, Step], object]] = {
    ModelTrigger.BEGIN: lambda w, m, step: m.begin_turn(Cause.CONTENT, step),
    ModelTrigger.SPECULATE: lambda w, m, step: m.start_speculation(
        Basis(TurnId(1), "", 0), (), step
    ),
    ModelTrigger.PART: lambda w, m, step: ACTIONS["part"](w),
    ModelTrigger.CALL: lambda w, m, step: ACTIONS["open call"](w),
    ModelTrigger.BLOCKS: lambda w, m, step: ACTIONS["blocking call"](w),
    ModelTrigger.FINISHED: lambda w, m, step: ACTIONS["finished"](w),
    ModelTrigger.FAILED: lambda w, m, step: ACTIONS["failed"](w),
    ModelTrigger.REFUSED: lambda w, m, step: ACTIONS["refused"](w),
    ModelTrigger.ANSWERED: lambda w, m, step: m.handle_answer(step),
    ModelTrigger.PROMOTE: lambda w, m, step: m.promote_generation(step),
    ModelTrigger.DISCARD: lambda w, m, step: m.discard_generation(step),
    ModelTrigger.WITHDRAW: lambda w, m, step: m.withdraw_calls(step),
    ModelTrigger.PLAYED: lambda w, m, step: m.complete_turn(step),
    ModelTrigger.INTERRUPT: lambda w, m, step: m.interrupt_turn(step),
    ModelTrigger.ASKED: lambda w, m, step: m.ask_again(step),
    ModelTrigger.CUT: lambda w, m, step: with_open_call(w).yield_floor(step),
    ModelTrigger.WAITS: lambda w, m, step: with_open_call(w).complete_turn(step),
}


def with_open_call(world: World) -> ModelTurns:
    """The model's side, where a function of an earlier answer runs."""
    talk = world.session._conversation
    talk.ledger.open_calls((ToolCall(CallId(""), "lights", {}),), TOOLS, world.now)
    return talk.model


def in_state(state: ModelState) -> World:
    world = World(SETUP, SessionSettings(speculation=True))
    for name in WAYS[state]:
        ACTIONS[name](world)
    assert world.session._conversation.model.state is state
    return world


def test_the_table_is_the_one_that_is_written_down() -> None:
    written = {
        state: {cue: row[at] for cue, row in TABLE.items() if row[at] is not None}
        for at, state in enumerate(ModelState)
    }
    assert written == TRANSITIONS


@pytest.mark.parametrize("state", ModelState)
@pytest.mark.parametrize("cue", ModelTrigger)
def test_cell(state: ModelState, cue: ModelTrigger) -> None:
    world = in_state(state)
    model = world.session._conversation.model
    before, step, sent = len(world.effects), Step(world.now), len(world.said)
    DOES[cue](world, model, step)
    wanted = TABLE[cue][list(ModelState).index(state)]
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
        assert world.session._conversation.model.idle
