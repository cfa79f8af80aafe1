"""Transparent resumption: which of a client's messages a handle contains."""

from __future__ import annotations

import math
from dataclasses import replace

from core.resuming import resumed
from core.world import MANUAL, SETUP, World
from vivavoce.core.events import (
    AudioArrived,
    CheckpointSaved,
    MessageRead,
    TextReceived,
    VideoArrived,
)
from vivavoce.core.messages import (
    ResumptionUpdate,
)
from vivavoce.core.settings import SessionSettings
from vivavoce.core.turn_detection import PRE_ROLL_MS
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.content import (
    Blob,
)
from vivavoce.domain.setup import Resumption

WANTED = replace(SETUP, resumption=Resumption())
COUNTING = replace(SETUP, resumption=Resumption(transparent=True))
SETTINGS = SessionSettings(resumable=True)


def kept(world: World) -> Checkpoint:
    return world.checkpoints[-1].checkpoint


def test_the_last_message_that_is_contained_is_told_with_the_handle() -> None:
    world = World(COUNTING, SETTINGS)
    assert kept(world).consumed is None, "nothing was sent yet"
    world.do(CheckpointSaved("first"))
    world.do(TextReceived("hi"))
    world.do(MessageRead(sound=False))
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
        world.do(MessageRead(sound=True))
    consumed = world.session.checkpoint(world.now).consumed
    assert consumed is not None
    assert consumed == 39 - math.ceil(PRE_ROLL_MS / 32)


def test_what_was_typed_is_contained_and_with_it_the_sound_before_it() -> None:
    world = World(COUNTING, SETTINGS)
    world.score(0.032, 0.01)
    world.do(MessageRead(sound=True))
    world.do(VideoArrived(world.position, Blob(b"jpeg", "image/jpeg")))
    world.do(MessageRead(sound=False))
    assert world.session.checkpoint(world.now).consumed == 1


def test_the_smallest_pieces_of_sound_take_no_room_and_promise_no_more_than_is_so() -> None:
    world = World(replace(COUNTING, realtime=MANUAL), SETTINGS)
    for position in range(1, 20_001):
        world.do(AudioArrived(position))
        world.do(MessageRead(sound=True))
    assert world.session.checkpoint(world.now).consumed == 19_999


def test_messages_are_counted_anew_on_each_connection() -> None:
    world = World(COUNTING, SETTINGS)
    world.do(VideoArrived(0, Blob(b"jpeg", "image/jpeg")))
    world.do(MessageRead(sound=False))
    again = resumed(world)
    assert again.session.checkpoint(again.now).consumed is None
