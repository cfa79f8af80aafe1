"""Calls, answers, interruptions and drops in any order, with the oracle watching every step."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from core.actions import ACTIONS
from core.resuming import resumed
from core.test_walk import WAYS, calm
from core.world import World
from support.budget import budget
from vivavoce.core.effects import RunTool, StopTool
from vivavoce.core.events import ClientGone

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
