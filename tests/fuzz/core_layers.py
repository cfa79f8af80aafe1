"""Layers of the conversation: sequences of events in the core, and checkpoints written down."""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Hashable, Mapping
from functools import cache
from random import Random
from typing import Any

from core.actions import ACTIONS
from core.resuming import resumed
from core.walks import WAYS, calm, sketch
from core.world import SETUP, World
from fuzz.layer import Layer
from fuzz.mutation import BytesMutator, JsonMutator
from support.invariants import InvariantBroken
from vivavoce.core.events import ClientGone, TextReceived
from vivavoce.core.session import LiveSession
from vivavoce.core.settings import SessionSettings
from vivavoce.core.token_counts import TokenCounter
from vivavoce.domain.ids import CountingIds
from vivavoce.domain.model_family import family_behavior
from vivavoce.store.checkpoints import CheckpointEncoder, decode_checkpoint

NAMES = (*ACTIONS, "drop")
"""`drop`: the connection ends, and the client resumes where that is possible."""

_WAYS = tuple(WAYS)
LONGEST = 60


_steps = [0]
"""Steps of the core in the last input: events and deadlines that it handled."""


def run_core(data: bytes) -> Hashable:
    """A conversation: the first byte is the kind of session, each further one something happens.

    `core.world` checks every step with the oracle: each model turn has one end, nothing follows
    the close, only the newest generation speaks, and so on.
    """
    if not data:
        return None
    world = World(*WAYS[_WAYS[data[0] % len(_WAYS)]])
    for step in data[1:LONGEST]:
        name = NAMES[step % len(NAMES)]
        if name != "drop":
            ACTIONS[name](world)
        elif world.session.idle:
            world = resumed(world)
    said = tuple(type(message).__name__ for message in world.messages()[-4:])
    outcome = sketch(world), said
    if world.session.closed:
        assert world.session.deadline() is None
    else:
        _come_to_rest(world)
    _steps[0] = world.steps
    return outcome


def _come_to_rest(world: World) -> None:
    try:
        calm(world)
        world.oracle.check_idle()
    except InvariantBroken:
        if not world.session.closed:  # it was told to leave
            raise


def _walks() -> list[bytes]:
    choose = Random(1)
    return [
        bytes([way, *(choose.randrange(len(NAMES)) for _ in range(length))])
        for way in range(len(_WAYS))
        for length in (1, 3, 10, 30)
    ]


def run_checkpoint(data: bytes) -> Hashable:
    """A checkpoint as the store holds it: `None`, or a session that goes on."""
    checkpoint = decode_checkpoint(data, _media())
    if checkpoint is None:
        return None
    session = LiveSession.resume(
        checkpoint, SETUP, family_behavior(SETUP.model), SessionSettings(resumable=True),
        CountingIds(), counter=TokenCounter(10**9),
    )  # fmt: skip
    effects = [*session.open_session(0.0), *session.handle_event(TextReceived("and then?"), 1.0)]
    kinds = tuple(sorted({type(effect).__name__ for effect in effects}))
    session.handle_event(ClientGone(), 2.0)
    assert session.closed
    assert decode_checkpoint(*CheckpointEncoder().encode(checkpoint)) is not None
    parts = [type(part).__name__ for content in checkpoint.history for part in content.parts]
    return kinds, tuple(parts[:5]), len(checkpoint.calls), bool(checkpoint.frames)


@cache
def _walked() -> list[tuple[bytes, Mapping[str, bytes]]]:
    """Checkpoints of conversations, each with the media that it refers to."""
    choose = Random(2)
    found: list[tuple[bytes, Mapping[str, bytes]]] = []
    names = [name for name in ACTIONS if name not in ("drain", "gone")]
    while len(found) < 24:
        world = World(*WAYS[choose.choice(_WAYS)])
        for _ in range(choose.randrange(1, 12)):
            ACTIONS[choose.choice(names)](world)
        if not world.session.idle and choose.random() < 0.7:
            calm(world)
        if world.session.idle:
            found.append(CheckpointEncoder().encode(world.session.take_checkpoint(world.now)))
    return found


def _checkpoints() -> list[bytes]:
    return [data for data, _ in _walked()]


@cache
def _media() -> Mapping[str, bytes]:
    return ChainMap(*(dict(media) for _, media in _walked()))


@cache
def _written_names() -> list[str]:
    names: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            names.update((*value, str(value.get("is"))))
            value = list(value.values())
        for each in value if isinstance(value, list) else ():
            walk(each)

    for data in _checkpoints():
        walk(json.loads(data))
    return sorted(names)


CORE = Layer(
    "core",
    run_core,
    _walks,
    lambda: BytesMutator([bytes([number]) for number in range(len(NAMES))]),
    steps=lambda data: _steps[0],
)
CHECKPOINTS = Layer(
    "checkpoints",
    run_checkpoint,
    _checkpoints,
    lambda: JsonMutator(_written_names(), _written_names()),
)
