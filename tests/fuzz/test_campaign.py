"""The fuzzer itself: planted faults are found, shortened, and found again from the same seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from pathlib import Path
from random import Random

import orjson
import pytest

from fuzz import campaign
from fuzz.campaign import Campaign
from fuzz.layer import Layer
from fuzz.mutation import MAX_BYTES, BytesMutator, JsonMutator

FOREVER = 60.0


def _planted(data: bytes) -> int:
    """Fails on `ab` followed by `c`; each sign on the way there is an outcome of its own."""
    depth = 0
    for sign in (b"a", b"ab", b"abc"):
        depth += sign in data
    if depth == 3:
        raise ValueError("planted")
    return depth


def _layer(run: Callable[[bytes], Hashable] = _planted) -> Layer:
    return Layer("planted", run, lambda: [b"zz"], lambda: BytesMutator([b"a", b"b", b"c"]))


def test_a_fault_behind_three_steps_is_found_and_shortened(tmp_path: Path) -> None:
    report = Campaign(_layer(), 1, tmp_path).run(FOREVER, 20_000)
    [finding] = report.findings.values()
    assert bytes.fromhex(finding.input) == b"abc"
    assert "planted" in finding.trace
    saved = [path.read_bytes() for path in tmp_path.iterdir() if not path.suffix]
    assert saved == [b"abc"]
    assert json.loads((tmp_path / "planted.json").read_text())["runs"] == report.runs >= 20_000


def test_the_same_seed_makes_the_same_inputs() -> None:
    def inputs(seed: int) -> list[bytes]:
        seen: list[bytes] = []
        layer = _layer(lambda data: seen.append(data))
        Campaign(layer, seed).run(FOREVER, 500)
        return seen

    assert inputs(1) == inputs(1)
    assert inputs(1) != inputs(2)


def test_an_input_that_takes_for_ever_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(data: bytes) -> Hashable:
        while data.startswith(b"a"):
            pass
        return None

    monkeypatch.setattr(campaign, "CPU_S", 0.05)
    report = Campaign(_layer(run), 1).run(FOREVER, 300)
    [finding] = report.findings.values()
    assert "TooSlow" in finding.place


def test_what_is_no_exception_is_a_finding_too() -> None:
    class Panic(BaseException):
        pass

    def run(data: bytes) -> Hashable:
        raise Panic

    assert Campaign(_layer(run), 1).run(FOREVER, 100).findings


def test_most_changed_json_is_json() -> None:
    chance = Random(1)
    mutator = JsonMutator(["name"], ["value"])
    data = b'{"a": {"b": [1, 2, {"c": "text"}]}, "d": null}'
    made = [mutator.mutate(data, b'{"other": 1}', chance) for _ in range(1000)]
    assert len(set(made)) > 500
    assert all(len(one) <= MAX_BYTES for one in made)
    assert sum(map(_is_json, made)) > 700
    assert sum(map(_is_json, made)) < 1000


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True
