"""Checkpoints as bytes: everything comes back, and what is none is no accident."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.core.events import TextReceived
from vivavoce.core.session import LiveSession
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.checkpoint import CHECKPOINT_VERSION, Asked, Checkpoint, OpenCall
from vivavoce.domain.content import (
    Behavior,
    Blob,
    BuiltinTool,
    CodeResult,
    Content,
    ExecutableCode,
    FileRef,
    Role,
    Scheduling,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId, CountingIds, SessionId
from vivavoce.domain.model_family import family_behavior
from vivavoce.domain.setup import SessionSetup
from vivavoce.store.checkpoints import (
    MAX_QUICK_BYTES,
    CheckpointEncoder,
    decode_checkpoint,
)

WORDS = st.text(st.characters(), max_size=20)
JSON = st.dictionaries(
    WORDS,
    st.recursive(
        st.none() | st.booleans() | st.integers() | WORDS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)
IDS = st.builds(CallId, WORDS)
BLOBS = st.builds(Blob, st.binary(max_size=20), WORDS)
FILES = st.builds(FileRef, WORDS, WORDS)
CALLS = st.builds(ToolCall, IDS, WORDS, JSON)
RESULTS = st.builds(
    ToolResult, IDS, WORDS, JSON, st.sampled_from(Scheduling), st.booleans(),
    st.lists(BLOBS | FILES, max_size=2).map(tuple),
)  # fmt: skip
PARTS = (
    st.builds(Text, WORDS, st.booleans()) | BLOBS | FILES | CALLS | RESULTS
    | st.builds(ExecutableCode, WORDS) | st.builds(CodeResult, WORDS, WORDS)
)  # fmt: skip
CONTENTS = st.lists(
    st.builds(
        Content, st.sampled_from(Role), st.lists(PARTS, max_size=3).map(tuple), st.booleans()
    ),
    max_size=4,
).map(tuple)
TOOLS = st.builds(
    Tools,
    st.lists(
        st.builds(ToolDeclaration, WORDS, WORDS, st.none() | JSON, st.sampled_from(Behavior)),
        max_size=2,
    ).map(tuple),
    st.lists(st.builds(BuiltinTool, WORDS), max_size=2).map(tuple),
)
CHECKPOINTS = st.builds(
    Checkpoint,
    session=st.builds(SessionId, WORDS),
    model=WORDS,
    instruction=WORDS,
    tools=TOOLS,
    history=CONTENTS,
    position=st.integers(0, 2**40),
    asked=st.builds(Asked, WORDS, TOOLS),
    calls=st.lists(
        st.builds(
            OpenCall, CALLS, st.none() | st.floats(0, 1e6), st.booleans(), st.none() | RESULTS
        ),
        max_size=2,
    ).map(tuple),
    frames=st.lists(st.tuples(st.integers(0, 10**9), BLOBS), max_size=2).map(tuple),
    seeding=st.booleans(),
    spent_s=st.floats(0, 1e6),
)


@given(CHECKPOINTS)
def test_everything_comes_back(checkpoint: Checkpoint) -> None:
    assert decode_checkpoint(*CheckpointEncoder().encode(checkpoint)) == checkpoint


PLAIN = Checkpoint(SessionId("s"), "m", "", Tools(), (), 0)


def _with(**fields: Any) -> bytes:
    return json.dumps(json.loads(CheckpointEncoder().encode(PLAIN).data) | fields).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff", b"[]", b"null", b"{}",
        b'{"version":2}', b'{"version":2,"is":"Text","text":""}',
        _with(version=1), _with(version=CHECKPOINT_VERSION + 1), _with(**{"is": "Popen"}),
        _with(surprise=1), _with(tools={"is": "os"}),
        _with(history=[{"is": "Content"}]), _with(frames=[{"media": "!"}]),
        b"[" * 100_000,
        _with(position="0"), _with(position=1.5), _with(position=True), _with(position=None),
        _with(session=None), _with(model=3), _with(instruction=[]), _with(tools=[]),
        _with(history=None), _with(history=["hello"]), _with(history=[[]]), _with(asked=None),
        _with(frames=[[0]]), _with(frames=[[0, "image"]]), _with(calls=[{"json": {}}]),
        _with(seeding="no"), _with(spent_s=None), _with(spent_s=float("nan")),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_of_this_version_gives_nothing(data: bytes) -> None:
    assert decode_checkpoint(_with(), {}) == PLAIN
    assert decode_checkpoint(data, {}) is None


SPOKEN = Checkpoint(
    SessionId("s"), "m", "Be brief.",
    Tools((ToolDeclaration("f", "does", {"type": "object"}),), (BuiltinTool("googleSearch"),)),
    (
        Content(Role.USER, (Text("hello"), Blob(b"png", "image/png"), FileRef("u", "text/plain"))),
        Content(Role.MODEL, (ToolCall(CallId("c"), "f", {"a": 1}), ExecutableCode("1"))),
        Content(Role.USER, (ToolResult(CallId("c"), "f", {"b": 2}), CodeResult("OK", "1"))),
    ),
    16_000,
    calls=(OpenCall(ToolCall(CallId("d"), "f", {}), 3.0),),
    frames=((8_000, Blob(b"png", "image/png")),),
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, but for the user's own objects."""
    if path:
        yield path
    if isinstance(value, dict) and "json" not in value:
        inner: Iterable[Any] = value.items()
    else:
        inner = enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _places(item, (*path, key))


PNG = sha256(b"png").hexdigest()
OTHER_VALUES: tuple[Any, ...] = (
    None, True, 7, 2.5, "x", [], ["x"], {"json": {}}, {"media": PNG}, {"is": "Text", "text": "x"},
    {"is": "Role", "value": "user"}, {"is": "Content", "role": "user", "parts": []},
)  # fmt: skip


def test_no_value_of_another_type_gets_as_far_as_a_session() -> None:
    """What can be read is a session that begins; what cannot gives nothing, and never an error."""
    data, media = CheckpointEncoder().encode(SPOKEN)
    written = json.loads(data)
    read = 0
    for place in _places(written):
        for other in OTHER_VALUES:
            changed = copy.deepcopy(written)
            holder = changed
            for step in place[:-1]:
                holder = holder[step]
            holder[place[-1]] = other
            checkpoint = decode_checkpoint(json.dumps(changed).encode(), media)
            if checkpoint is not None:
                read += 1
                setup = SessionSetup("m")
                session = LiveSession.resume(
                    checkpoint, setup, family_behavior("m"), SessionSettings(), CountingIds()
                )
                session.open_session(0.0)
                session.handle_event(TextReceived("and now?"), 1.0)
    assert read > 0


# --- one session, again and again -----------------------------------------------------------------

SENTENCE = Content(Role.USER, (Text("Once more."),))
PICTURE = Content(Role.USER, (Blob(b"png" * 1000, "image/png"), Text("What is this?")))


@given(st.lists(CHECKPOINTS, max_size=2), st.randoms())
def test_an_encoder_that_remembers_encodes_what_one_does_that_does_not(
    checkpoints: list[Checkpoint], random: Random
) -> None:
    encoder = CheckpointEncoder()
    contents = [content for each in checkpoints for content in each.history]
    for checkpoint in checkpoints:
        history = tuple(random.choice(contents) for _ in range(len(contents)))
        mixed = replace(checkpoint, history=history)
        assert encoder.encode(mixed) == CheckpointEncoder().encode(mixed)


def test_what_is_new_decides_whether_a_thread_is_needed() -> None:
    encoder = CheckpointEncoder()
    long = replace(PLAIN, history=(SENTENCE, PICTURE) * 500)
    assert encoder.is_quick(PLAIN)
    assert not encoder.is_quick(long)
    encoder.encode(long)
    assert encoder.is_quick(replace(long, history=(*long.history, replace(SENTENCE))))
    heavier = replace(SENTENCE, parts=(Text("word " * 10_000),))
    for added in (replace(PICTURE), heavier, Content(Role.MODEL, (ToolCall(CallId(""), "f", {}),))):
        assert not encoder.is_quick(replace(long, history=(*long.history, added)))


def test_a_large_checkpoint_needs_a_thread_however_little_of_it_is_new() -> None:
    encoder = CheckpointEncoder()
    paragraph = Content(Role.USER, (Text("word " * 1000),))
    large = replace(PLAIN, history=(paragraph,) * (MAX_QUICK_BYTES // 4000))
    encoder.encode(large)
    assert not encoder.is_quick(replace(large, history=(*large.history, SENTENCE)))
    encoder.encode(PLAIN)
    assert encoder.is_quick(PLAIN)


def test_an_instruction_is_encoded_once() -> None:
    encoder = CheckpointEncoder()
    instructed = replace(PLAIN, instruction="rule " * 10_000, asked=Asked("other " * 10_000))
    assert not encoder.is_quick(instructed)
    encoder.encode(instructed)
    assert encoder.is_quick(replace(instructed, history=(SENTENCE,)))
    assert not encoder.is_quick(replace(instructed, instruction="new " * 10_000))
    assert encoder.encode(instructed) == CheckpointEncoder().encode(instructed)


def test_media_stands_beside_the_text_once() -> None:
    data, media = CheckpointEncoder().encode(
        replace(PLAIN, history=(PICTURE, SENTENCE, replace(PICTURE)))
    )
    assert list(media.values()) == [b"png" * 1000]
    assert len(data) < 1500
