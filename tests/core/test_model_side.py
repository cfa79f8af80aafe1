"""Machine 2: every cell of its table, the dashes included."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.actions import ACTIONS
from core.world import SETUP, TOOLS, World
from vivavoce.core.generation import Basis
from vivavoce.core.messages import TurnComplete, TurnReason
from vivavoce.core.model_side import MAX_ROUNDS, ModelSide
from vivavoce.core.model_states import TRANSITIONS, ModelCue, ModelState
from vivavoce.core.model_turn import Cause
from vivavoce.core.settings import SessionSettings
from vivavoce.core.step import Step
from vivavoce.domain.content import ToolCall
from vivavoce.domain.ids import CallId, TurnId

_, S, G, T, P = ModelState
I = ModelState.IDLE  # noqa: E741 - the column heads of the table

TABLE: dict[ModelCue, tuple[ModelState | None, ...]] = {
    #                     IDLE  SPEC  GEN   TOOLS PLAYING
    ModelCue.BEGIN:      (G,    None, None, None, None),
    ModelCue.SPECULATE:  (S,    None, None, None, None),
    ModelCue.PART:       (None, S,    G,    None, None),
    ModelCue.CALL:       (None, S,    G,    T,    None),
    ModelCue.BLOCKS:     (None, S,    T,    T,    None),
    ModelCue.FINISHED:   (None, S,    P,    T,    None),
    ModelCue.FAILED:     (None, I,    P,    P,    None),
    ModelCue.REFUSED:    (None, I,    G,    None, None),
    ModelCue.ANSWERED:   (None, None, None, G,    None),
    ModelCue.PROMOTE:    (None, G,    None, None, None),
    ModelCue.DISCARD:    (None, I,    None, None, None),
    ModelCue.WITHDRAW:   (None, None, I,    None, None),
    ModelCue.PLAYED:     (None, None, None, None, I),
    ModelCue.INTERRUPT:  (None, None, I,    I,    I),
    ModelCue.ASKED:      (None, None, None, G,    None),
    ModelCue.CUT:        (None, None, T,    None, T),
    ModelCue.WAITS:      (None, None, None, None, T),
}  # fmt: skip

WAYS: dict[ModelState, tuple[str, ...]] = {
    I: (),
    S: ("speech", "hypothesis", "short silence", "hypothesis"),
    G: ("text", "part"),
    T: ("text", "part", "blocking call"),
    P: ("text", "part", "finished"),
}

DOES: dict[ModelCue, Callable[[World, ModelSide, Step], object]] = {
    ModelCue.BEGIN: lambda w, m, step: m.begin(Cause.CONTENT, step),
    ModelCue.SPECULATE: lambda w, m, step: m.speculate(Basis(TurnId(1), "", 0), (), step),
    ModelCue.PART: lambda w, m, step: ACTIONS["part"](w),
    ModelCue.CALL: lambda w, m, step: ACTIONS["open call"](w),
    ModelCue.BLOCKS: lambda w, m, step: ACTIONS["blocking call"](w),
    ModelCue.FINISHED: lambda w, m, step: ACTIONS["finished"](w),
    ModelCue.FAILED: lambda w, m, step: ACTIONS["failed"](w),
    ModelCue.REFUSED: lambda w, m, step: ACTIONS["refused"](w),
    ModelCue.ANSWERED: lambda w, m, step: m.answered(step),
    ModelCue.PROMOTE: lambda w, m, step: m.promote(step),
    ModelCue.DISCARD: lambda w, m, step: m.discard(step),
    ModelCue.WITHDRAW: lambda w, m, step: m.withdraw(step),
    ModelCue.PLAYED: lambda w, m, step: m.complete(step),
    ModelCue.INTERRUPT: lambda w, m, step: m.interrupt(step),
    ModelCue.ASKED: lambda w, m, step: m.ask(step),
    ModelCue.CUT: lambda w, m, step: with_open_call(w).give_way(step),
    ModelCue.WAITS: lambda w, m, step: with_open_call(w).complete(step),
}


def with_open_call(world: World) -> ModelSide:
    """The model's side, where a function of an earlier answer runs."""
    talk = world.session._talk
    talk.ledger.open((ToolCall(CallId(""), "lights", {}),), TOOLS, world.now)
    return talk.model


def in_state(state: ModelState) -> World:
    world = World(SETUP, SessionSettings(speculation=True))
    for name in WAYS[state]:
        ACTIONS[name](world)
    assert world.session._talk.model.state is state
    return world


def test_the_table_is_the_one_that_is_written_down() -> None:
    written = {
        state: {cue: row[at] for cue, row in TABLE.items() if row[at] is not None}
        for at, state in enumerate(ModelState)
    }
    assert written == TRANSITIONS


@pytest.mark.parametrize("state", ModelState)
@pytest.mark.parametrize("cue", ModelCue)
def test_cell(state: ModelState, cue: ModelCue) -> None:
    world = in_state(state)
    model = world.session._talk.model
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
        assert world.session._talk.model.idle
