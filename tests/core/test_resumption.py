"""The same conversation on a new connection, from every point and after every kind of end."""

from __future__ import annotations

import math
import random
from copy import deepcopy
from dataclasses import replace

import pytest

from core.actions import ACTIONS
from core.resuming import COUNTING, SETTINGS, WANTED, history, plain, resumed
from core.world import MANUAL, SETUP, TOOLS, UNINTERRUPTED, World, model, requests, user
from support.budget import budget
from vivavoce.core.effects import SaveCheckpoint
from vivavoce.core.events import (
    AudioArrived,
    CheckpointLost,
    CheckpointSaved,
    ClientGone,
    CloseRequested,
    ContextUpdated,
    Event,
    MessageRead,
    SessionSuperseded,
    TextReceived,
    VideoArrived,
)
from vivavoce.core.lifetime import CloseReason
from vivavoce.core.messages import (
    ResumptionUpdate,
    SetupComplete,
    ToolCallRequest,
    TurnComplete,
)
from vivavoce.core.resumption import SAVE_RETRY_S
from vivavoce.core.session import LiveSession
from vivavoce.core.settings import NON_BLOCKING_DEADLINE_S, SessionSettings
from vivavoce.core.tool_calls import CANCELLED, LATE
from vivavoce.core.turn_detection import PRE_ROLL_MS
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.content import (
    Blob,
    BuiltinTool,
    Scheduling,
    ToolDeclaration,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CountingIds
from vivavoce.domain.setup import SessionSetup
from vivavoce.store.checkpoints import CheckpointEncoder

# --- as if it had not been cut ----------------------------------------------------------------

ANYTHING = [name for name in ACTIONS if name not in ("drain", "gone", "saved", "old part", "audio")]
WAYS = {
    "automatic": WANTED,
    "manual": replace(WANTED, realtime=MANUAL),
    "seeding": replace(WANTED, model="models/gemini-3.8-live", seeds_history=True),
}


@pytest.mark.walk
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(budget(1, 8)))
def test_resumed_at_every_point_it_goes_on_as_if_it_had_not_been_cut(way: str, seed: int) -> None:
    choose = random.Random(f"{way} {seed}")
    path = [choose.choice(ANYTHING) for _ in range(160)]
    whole, cut = World(WAYS[way], SETTINGS), World(WAYS[way], SETTINGS)
    cuts = 0
    for name in path:
        if cut.session.idle:
            cut = resumed(cut)
            cuts += 1
        ACTIONS[name](whole)
        ACTIONS[name](cut)
        assert plain(whole.messages()) == plain(cut.messages()), path
        assert history(whole) == history(cut), path
    assert cuts > 1


def test_a_checkpoint_is_asked_for_whenever_both_sides_rest_and_something_is_new() -> None:
    world = World(WANTED, SETTINGS)
    assert len(world.checkpoints) == 1
    world.do(CheckpointSaved("first"))
    world.speak("hello")
    world.say("hi")
    world.finish()
    assert len(world.checkpoints) == 1
    world.wait(1)
    assert len(world.checkpoints) == 2
    texts = [content.text for content in world.checkpoints[1].checkpoint.history]
    assert texts == ["hello", "hi"]
    world.take()
    world.do(CheckpointSaved("abc"))
    assert world.take() == [ResumptionUpdate("abc")]
    world.wait(600)
    assert len(world.checkpoints) == 2, "nothing is new"


def test_what_is_said_while_it_is_written_down_is_written_down_after_it() -> None:
    world = World(WANTED, SETTINGS)
    world.do(TextReceived("hi"))
    world.say("Hello.")
    world.finish()
    world.wait(1)
    assert len(world.checkpoints) == 1, "one at a time"
    world.do(CheckpointSaved("first"))
    assert len(world.checkpoints) == 2
    assert world.checkpoints[1].checkpoint.history == (user("hi"), model("Hello."))


@pytest.mark.parametrize(("setup", "settings"), [(SETUP, SETTINGS), (WANTED, SessionSettings())])
def test_who_does_not_ask_for_it_or_has_no_store_is_not_written_down(
    setup: SessionSetup, settings: SessionSettings
) -> None:
    world = World(setup, settings)
    world.speak("hello")
    world.say("hi")
    world.finish()
    world.wait(10)
    world.do(CheckpointLost())
    world.wait(10)
    assert world.checkpoints == []
    assert not any(isinstance(message, ResumptionUpdate) for message in world.messages())


def test_a_blocking_call_is_not_a_point_to_resume_from_and_another_is() -> None:
    world = World(WANTED, SETTINGS)
    world.speak("go")
    world.call("lights")
    with pytest.raises(RuntimeError):
        world.session.take_checkpoint()
    world.answer("lights")
    world.call("report")
    world.finish()
    world.wait(1)
    assert world.session.take_checkpoint().calls[0].call.name == "report"


# --- calls that stay open -----------------------------------------------------------------------


def with_an_open_call() -> World:
    world = World(WANTED, SETTINGS)
    world.speak("go")
    world.call("report")
    world.finish()
    world.wait(1)
    return world


def test_an_open_call_is_answered_after_resuming_by_its_old_name() -> None:
    world = resumed(with_an_open_call())
    assert [type(m) for m in world.messages()].count(ToolCallRequest) == 1, "not asked again"
    world.answer("report", scheduling=Scheduling.WHEN_IDLE)
    (result,) = requests(world)[-1].history[-1].parts
    assert isinstance(result, ToolResult)
    assert result.id == "function-call-1"


def test_an_open_call_is_overdue_when_it_would_have_been() -> None:
    world = with_an_open_call()
    world.wait(NON_BLOCKING_DEADLINE_S - 11)
    again = resumed(world)
    again.wait(9)
    assert requests(again) == []
    again.wait(2)
    (result,) = requests(again)[-1].history[-1].parts
    assert isinstance(result, ToolResult)
    assert result.response == LATE


# --- a new setup --------------------------------------------------------------------------------

OTHER = Tools((ToolDeclaration("other"),))


@pytest.mark.parametrize(
    ("asked", "after", "expected"),
    [
        ({}, {}, ("be brief", TOOLS.functions[1:])),
        ({}, {"instruction": "sing"}, ("sing", TOOLS.functions[1:])),
        ({}, {"tools": OTHER}, ("be brief", OTHER.functions)),
        ({"instruction": "talk"}, {"instruction": ""}, ("be brief", TOOLS.functions[1:])),
        ({"instruction": "talk"}, {"tools": Tools()}, ("be brief", TOOLS.functions[1:])),
        ({}, {"instruction": "sing", "tools": OTHER}, ("sing", OTHER.functions)),
    ],
)  # fmt: skip
def test_other_options_count_and_the_same_ones_mean_the_conversation_as_it_stood(
    asked: dict[str, str], after: dict[str, object], expected: object
) -> None:
    setup = replace(WANTED, **asked)  # type: ignore[arg-type]
    world = World(setup, SETTINGS)
    world.do(ContextUpdated("be brief", Tools(TOOLS.functions[1:])))
    again = resumed(world, replace(setup, **after))  # type: ignore[arg-type]
    again.do(TextReceived("hi"))
    request = requests(again)[-1]
    assert (request.instruction, request.tools.functions) == expected


def test_what_was_once_asked_for_is_known_over_several_connections() -> None:
    world = World(replace(WANTED, instruction="talk"), SETTINGS)
    world.do(ContextUpdated("be brief", None))
    silent = resumed(world, replace(WANTED, instruction=""))
    third = resumed(silent, replace(WANTED, instruction="talk"))
    third.do(TextReceived("hi"))
    assert requests(third)[-1].instruction == "be brief"


MCP = BuiltinTool("mcpServers", {"headers": {"authorization": "Bearer secret"}})


def test_the_options_of_a_tool_are_not_written_down_and_come_again_with_the_setup() -> None:
    setup = replace(WANTED, tools=Tools(TOOLS.functions, (MCP,)))
    world = World(setup, SETTINGS)
    checkpoint = world.session.take_checkpoint()
    assert b"secret" not in CheckpointEncoder().encode(checkpoint).data
    assert checkpoint.merge_setup(setup)[1] == Tools(TOOLS.functions, (MCP,))
    world.do(ContextUpdated(None, Tools((), (BuiltinTool("mcpServers"),))))
    assert world.session.take_checkpoint().merge_setup(setup)[1] == Tools((), (MCP,))


# --- a store that fails -------------------------------------------------------------------------


def test_a_store_that_fails_is_reported_once_and_tried_again_until_it_works() -> None:
    world = World(WANTED, SETTINGS)
    world.take()
    world.do(CheckpointSaved(None))
    assert world.take() == [ResumptionUpdate(None)]
    for tries in (2, 3):
        world.wait(SAVE_RETRY_S)
        assert len(world.checkpoints) == tries
        world.do(CheckpointSaved(None))
    assert world.take() == []
    world.wait(SAVE_RETRY_S)
    world.do(CheckpointSaved("again"))
    assert world.take() == [ResumptionUpdate("again")]


def test_talk_goes_on_while_the_store_is_away() -> None:
    world = World(WANTED, SETTINGS)
    world.do(CheckpointSaved(None))
    world.do(TextReceived("hi"))
    world.say("Hello.")
    world.finish()
    world.wait(1)
    assert isinstance(world.messages()[-1], TurnComplete)


def test_what_was_on_record_and_is_lost_is_written_down_again() -> None:
    world = World(WANTED, SETTINGS)
    world.do(CheckpointSaved("first"))
    world.take()
    world.do(CheckpointLost())
    assert world.take() == [ResumptionUpdate(None)]
    world.wait(SAVE_RETRY_S)
    world.do(CheckpointSaved("second"))
    assert world.take() == [ResumptionUpdate("second")]


def kept(world: World) -> Checkpoint:
    return world.checkpoints[-1].checkpoint


def test_the_last_message_that_is_contained_is_reported_with_the_handle() -> None:
    world = World(COUNTING, SETTINGS)
    assert kept(world).consumed is None, "nothing was sent yet"
    world.do(CheckpointSaved("first"))
    world.do(TextReceived("hi"))
    world.do(MessageRead(audio_only=False))
    world.say("Hello.")
    world.finish()
    world.wait(1)
    world.take()
    world.do(CheckpointSaved("second"))
    assert world.take() == [ResumptionUpdate("second", consumed=0)]


def test_sound_to_which_the_next_turn_may_reach_back_is_not_contained() -> None:
    world = World(COUNTING, SETTINGS)
    for _ in range(40):  # quiet, in messages of 32 ms
        world.score(0.032, 0.01)
        world.do(AudioArrived(world.position))
        world.do(MessageRead(audio_only=True))
    consumed = world.session.take_checkpoint(world.now).consumed
    assert consumed is not None
    assert consumed == 39 - math.ceil(PRE_ROLL_MS / 32)


def test_what_was_typed_is_contained_and_with_it_the_sound_before_it() -> None:
    world = World(COUNTING, SETTINGS)
    world.score(0.032, 0.01)
    world.do(MessageRead(audio_only=True))
    world.do(VideoArrived(world.position, Blob(b"jpeg", "image/jpeg")))
    world.do(MessageRead(audio_only=False))
    assert world.session.take_checkpoint(world.now).consumed == 1


@pytest.mark.walk
def test_the_smallest_pieces_of_sound_take_no_room_and_promise_no_more_than_is_so() -> None:
    world = World(replace(COUNTING, realtime=MANUAL), SETTINGS)
    count = budget(2_000, 20_000)
    for position in range(1, count + 1):
        world.do(AudioArrived(position))
        world.do(MessageRead(audio_only=True))
    assert world.session.take_checkpoint(world.now).consumed == count - 1


def test_messages_are_counted_anew_on_each_connection() -> None:
    world = World(COUNTING, SETTINGS)
    world.do(VideoArrived(0, Blob(b"jpeg", "image/jpeg")))
    world.do(MessageRead(audio_only=False))
    again = resumed(world)
    assert again.session.take_checkpoint(again.now).consumed is None


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


def test_unanswered_words_are_kept() -> None:
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


def test_a_client_that_counts_its_messages_sends_again_what_was_not_confirmed() -> None:
    world = World(COUNTING, SETTINGS)
    world.do(CheckpointSaved("first"))
    world.do(TextReceived("hi"))
    world.do(ClientGone())
    assert len(world.checkpoints) == 1


def test_what_goes_on_elsewhere_is_handed_over_to_the_waiting_session() -> None:
    world = World(WANTED, SETTINGS)
    world.do(CheckpointSaved("first"))
    world.do(TextReceived("hi"))
    effects = world.do(SessionSuperseded(handover=True))
    (left,) = [effect for effect in effects if isinstance(effect, SaveCheckpoint)]
    assert (left.new_handle, left.checkpoint.history) == (False, (user("hi"),))
    assert world.session.closed
