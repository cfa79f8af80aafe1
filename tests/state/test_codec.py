"""Checkpoints as bytes: everything comes back, and what is none is no accident."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.domain.checkpoint import Asked, Checkpoint, OpenCall
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
from vivavoce.domain.ids import CallId, SessionId
from vivavoce.state.codec import decode, encode

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
    assert decode(encode(checkpoint)) == checkpoint


PLAIN = Checkpoint(SessionId("s"), "m", "", Tools(), (), 0)


def _with(**fields: Any) -> bytes:
    return json.dumps(json.loads(encode(PLAIN)) | fields).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff", b"[]", b"null", b"{}",
        b'{"version":1}', b'{"version":1,"is":"Text","text":""}',
        _with(version=2), _with(**{"is": "Popen"}), _with(surprise=1), _with(tools={"is": "os"}),
        _with(history=[{"is": "Content"}]), _with(frames=[{"base64": "!"}]),
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_of_this_version_gives_nothing(data: bytes) -> None:
    assert decode(_with()) == PLAIN
    assert decode(data) is None
