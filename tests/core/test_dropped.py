"""A connection that ends in the midst of things: what is kept of them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from core.resuming import COUNTING, SETTINGS, WANTED, history
from core.world import TOOLS, UNINTERRUPTED, World, model, requests, user
from vivavoce.core.effects import SaveCheckpoint
from vivavoce.core.events import (
    CheckpointSaved,
    ClientGone,
    CloseRequested,
    Event,
    SessionSuperseded,
    TextReceived,
)
from vivavoce.core.lifetime import CloseReason
from vivavoce.core.messages import (
    SetupComplete,
    TurnComplete,
)
from vivavoce.core.session import LiveSession
from vivavoce.core.tool_calls import CANCELLED
from vivavoce.domain.content import ToolResult
from vivavoce.domain.ids import CountingIds


def dropped(world: World) -> World:
    """The client is gone without a word, and comes back."""
    before = deepcopy(world.oracle) if world.calls else None
    world.do(ClientGone())
    checkpoint = world.checkpoints[-1]
    assert not checkpoint.new_handle
    session = LiveSession.resume(
        checkpoint.checkpoint, world.setup, world.behavior, world.settings, CountingIds(), TOOLS
    )
    again = World(world.setup, world.settings, session=session, now=world.now + 5, before=before)
    again.calls = world.calls[:]
    return again


def test_of_an_answer_that_was_cut_off_what_was_heard_is_kept() -> None:
    world = World(WANTED, SETTINGS)
    world.do(CheckpointSaved("first"))
    world.do(TextReceived("Tell me a story."))
    world.say("Once upon a time ", bytes(48_000))
    world.say("there was a queen ", bytes(48_000))
    world.wait(1.0)
    again = dropped(world)
    assert history(again) == (
        user("Tell me a story."),
        model("Once upon a time ", cut=True),
    )
    assert [type(m) for m in again.messages()] == [SetupComplete]


def test_words_that_nobody_had_answered_are_kept() -> None:
    world = World(replace(WANTED, realtime=UNINTERRUPTED), SETTINGS)
    world.do(CheckpointSaved("first"))
    world.do(TextReceived("one"))
    world.say("Yes.", bytes(480))
    world.wait(0.1)
    world.do(TextReceived("two"))
    again = dropped(world)
    assert [content.text for content in history(again)] == ["one", "Yes.", "two"]


def test_a_turn_that_waits_for_the_client_waits_on_over_another_connection() -> None:
    world = World(WANTED, SETTINGS)
    world.do(CheckpointSaved("first"))
    world.speak("go")
    world.call("lights")
    again = dropped(world)
    assert not again.session.idle
    again.wait(100)
    assert [type(m) for m in again.messages()] == [SetupComplete], "not asked again, not withdrawn"
    again.answer("lights")
    (result,) = requests(again)[-1].history[-1].parts
    assert isinstance(result, ToolResult)
    assert (result.id, result.response) == ("function-call-1", {"ok": True})
    again.say("Done.")
    again.finish()
    again.wait(1)
    assert isinstance(again.messages()[-1], TurnComplete)


def test_half_of_the_answers_are_kept_with_the_turn_that_waits_for_the_other_half() -> None:
    world = World(WANTED, SETTINGS)
    world.speak("go")
    world.call("lights", "lights")
    world.answer("lights")
    again = dropped(world)
    assert requests(again) == []
    again.answer("lights")
    assert len(requests(again)[-1].history[-1].parts) == 2


def test_a_tool_of_the_servers_does_not_outlive_the_connection() -> None:
    world = World(WANTED, SETTINGS)
    world.speak("go")
    world.call("search")
    again = dropped(world)
    assert world.stopped == ["function-call-1"]
    (result,) = history(again)[-1].parts
    assert isinstance(result, ToolResult)
    assert result.response == CANCELLED
    assert again.session.idle


def test_at_rest_nothing_is_written_down_twice() -> None:
    world = World(WANTED, SETTINGS)
    world.do(CheckpointSaved("first"))
    world.do(ClientGone())
    assert len(world.checkpoints) == 1


@pytest.mark.parametrize("ending", [SessionSuperseded(), CloseRequested(CloseReason.SESSION, 0)])
def test_what_goes_on_elsewhere_or_is_over_is_not_written_down(ending: Event) -> None:
    world = World(WANTED, SETTINGS)
    world.do(CheckpointSaved("first"))
    world.do(TextReceived("hi"))
    world.do(ending)
    world.wait(1)
    assert world.session.closed
    assert len(world.checkpoints) == 1


def test_a_client_that_counts_its_messages_sends_again_what_it_was_not_told_of() -> None:
    world = World(COUNTING, SETTINGS)
    world.do(CheckpointSaved("first"))
    world.do(TextReceived("hi"))
    world.do(ClientGone())
    assert len(world.checkpoints) == 1


def test_what_goes_on_elsewhere_is_surrendered_to_who_waits_for_it() -> None:
    world = World(WANTED, SETTINGS)
    world.do(CheckpointSaved("first"))
    world.do(TextReceived("hi"))
    effects = world.do(SessionSuperseded(handover=True))
    (left,) = [effect for effect in effects if isinstance(effect, SaveCheckpoint)]
    assert (left.new_handle, left.checkpoint.history) == (False, (user("hi"),))
    assert world.session.closed
