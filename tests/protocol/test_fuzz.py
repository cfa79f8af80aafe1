"""Whatever bytes arrive, the outcome is events or a refusal that a close frame can hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivavoce.errors import ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.dialect import GeminiDialect
from vivavoce.protocol.wire import ClientMessage
from vivavoce.protocol.wire_base import Wire, spellings

FRAMES = [
    json.loads(line)["frame"]
    for line in Path(__file__).with_name("client_frames.jsonl").read_text().splitlines()
]


def every_name(model: type[Wire]) -> set[str]:
    """Every spelling of every field of a model and of the models in it."""
    names = set(spellings(model))
    for field in model.model_fields.values():
        for inner in _models(field.annotation):
            names |= every_name(inner)
    return names


def _models(annotation: Any) -> list[type[Wire]]:
    if isinstance(annotation, type) and issubclass(annotation, Wire):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]


NAMES = st.sampled_from(sorted(every_name(ClientMessage)))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["AUDIO", "audio/pcm", "AAAA", "1.5s", "OBJECT", "user", "image/png"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
PATHS = st.lists(st.integers(0, 50), min_size=1, max_size=6)
BOTH = pytest.mark.parametrize("strict", [False, True])


def survive(frame: bytes | str, strict: bool) -> None:
    faults = []
    for read in (GeminiDialect(strict).decode, GeminiDialect(strict).read_setup):
        try:
            read(frame)
        except ClientFault as refusal:
            faults.append(refusal)
    assert {fault.code for fault in faults} <= {1007}
    for fault in faults:
        assert 0 < len(close.cut(fault.reason).encode()) <= 123


def changed(value: Any, path: list[int], new: Any) -> Any:
    """A copy of a JSON value with one place in it replaced."""
    if not path or not isinstance(value, dict | list) or not value:
        return new
    at, *rest = path
    if isinstance(value, list):
        at %= len(value)
        return [changed(v, rest, new) if i == at else v for i, v in enumerate(value)]
    key = list(value)[at % len(value)]
    return value | {key: changed(value[key], rest, new)}


@BOTH
@given(frame=st.binary(max_size=60) | st.text(alphabet=st.characters(), max_size=60))
def test_any_bytes(frame: bytes | str, strict: bool) -> None:
    survive(frame, strict)


@BOTH
@settings(max_examples=150, deadline=None)
@given(value=st.dictionaries(st.sampled_from(sorted(spellings(ClientMessage))), VALUES, max_size=3))
def test_any_objects_with_the_protocols_names(value: Any, strict: bool) -> None:
    survive(json.dumps(value), strict)


@BOTH
@settings(max_examples=200, deadline=None)
@given(frame=st.sampled_from(FRAMES), path=PATHS, new=VALUES)
def test_real_frames_with_one_place_spoiled(
    frame: Any, path: list[int], new: Any, strict: bool
) -> None:
    survive(json.dumps(changed(frame, path, new)), strict)


@BOTH
def test_a_crowd_of_bad_entries_make_one_fault(strict: bool) -> None:
    for message in (
        {"clientContent": {"turns": [7] * 300_000}},
        {"clientContent": {f"x{n}": n for n in range(50_000)}},
        {"setup": {"model": "m", "tools": [{"functionDeclarations": [7] * 300_000}]}},
    ):
        survive(json.dumps(message), strict)


@given(frame=st.sampled_from(FRAMES), cut=st.floats(0, 1))
def test_real_frames_cut_short(frame: Any, cut: float) -> None:
    text = json.dumps(frame)
    survive(text[: int(len(text) * cut)], strict=False)
