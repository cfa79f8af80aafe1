"""Settings of the embedded language model, and the choice of a model by the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vivavoce.engines.llamacpp import required_weights, settings
from vivavoce.engines.llamacpp.settings import (
    model_file,
    read_settings,
    select_model,
    usable_cores,
    usable_memory,
)
from vivavoce.errors import ConfigError, EngineMissing


def set_machine(monkeypatch: pytest.MonkeyPatch, cores: int, gib: float) -> None:
    monkeypatch.setattr(settings, "usable_cores", lambda: cores)
    monkeypatch.setattr(settings, "usable_memory", lambda: int(gib * 2**30))


@pytest.mark.parametrize(
    ("cores", "gib", "name"),
    [(2, 24, "qwen-0.5b"), (4, 5.9, "qwen-0.5b"), (4, 6, "qwen-1.5b"), (16, 64, "qwen-1.5b")],
)
def test_auto_takes_the_model_that_the_machine_can_carry(
    monkeypatch: pytest.MonkeyPatch, cores: int, gib: float, name: str
) -> None:
    set_machine(monkeypatch, cores, gib)
    assert select_model("auto") == name
    assert required_weights({}) == (name, "minilm")


def test_a_model_by_name_or_path_needs_no_other_weights() -> None:
    assert required_weights({"model": "qwen-1.5b", "tools": False}) == ("qwen-1.5b",)
    assert required_weights({"path": "/models/own.gguf"}) == ("minilm",)
    assert required_weights({"path": "/models/own.gguf", "router": "/minilm"}) == ()


class SmallOnly:
    """A host on which only the smaller model was fetched."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def weights(self, name: str) -> Path:
        if name != "qwen-0.5b":
            raise EngineMissing(name, "It is not on this machine.", "Fetch it.")
        return self._folder

    async def build(self, port: str, choice: object) -> object:
        raise NotImplementedError

    def say(self, line: str) -> None:
        raise NotImplementedError


def test_auto_makes_do_with_the_smaller_model_if_only_that_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_machine(monkeypatch, 8, 32)
    assert model_file(read_settings({}), SmallOnly(tmp_path)).parent == tmp_path
    with pytest.raises(EngineMissing, match=r"qwen-1\.5b"):
        model_file(read_settings({"model": "qwen-1.5b"}), SmallOnly(tmp_path))


def test_settings_with_faults_are_refused_as_a_whole() -> None:
    wrong = {"slots": True, "context": 10, "colour": "red", "model": "gpt", "greedy": "yes"}
    with pytest.raises(ConfigError) as caught:
        read_settings(wrong)
    for fault in wrong:
        assert fault in str(caught.value)


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (3, 2), (4, 3), (32, 4)])
def test_threads_leave_a_core_to_the_rest_from_three_on(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    set_machine(monkeypatch, cores, 8)
    assert read_settings({}).thread_count == threads
    assert read_settings({"threads": 7}).thread_count == 7


def test_limits_of_a_container_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert usable_cores(tmp_path) == 8
    whole = usable_memory(tmp_path)
    assert whole > 2**28
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text("1048576\n")
    assert usable_cores(tmp_path) == 2
    assert usable_memory(tmp_path) == 1048576
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert usable_cores(tmp_path) == 8
    assert usable_memory(tmp_path) == whole
