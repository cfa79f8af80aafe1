"""The programs in `examples/` do what they say, run as their first lines say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from conformance.seed import ROOT
from conformance.servers import Running
from vivavoce.client.audio import Recording
from vivavoce.engines.scripted import say

pytestmark = [pytest.mark.sdk, pytest.mark.e2e]


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    recording = Recording.empty(rate=16_000)
    recording.add_audio(bytes(8_000) + say("good day", 16_000))
    recording.save(tmp_path / "spoken.wav")
    return tmp_path / "spoken.wav"


def run(name: str, server: Running, folder: Path, *arguments: str) -> list[str]:
    """The lines that an example printed."""
    pytest.importorskip("google.genai", reason="google-genai is not installed")
    return server.lines(folder, sys.executable, str(ROOT / "examples" / name), *arguments)


def test_transcribe(scripted: Running, tmp_path: Path, spoken: Path) -> None:
    assert run("transcribe.py", scripted, tmp_path, str(spoken)) == ["good day"]


def test_tool(scripted: Running, tmp_path: Path) -> None:
    assert run("tool.py", scripted, tmp_path) == [
        "called: current_time",
        "answer: current time is done.",
    ]
    assert (tmp_path / "answer.wav").stat().st_size > 24_000


def test_barge_in(scripted: Running, tmp_path: Path, spoken: Path) -> None:
    lines = run("barge_in.py", scripted, tmp_path, str(spoken))
    happened = [line.split("s  ", 1)[1].split(";")[0] for line in lines]
    assert happened == ["interrupted", "turn complete", "you said: good day", "turn complete"]


def test_grounding(tooled: Running, tmp_path: Path) -> None:
    question = "When is the library open?"
    lines = run("grounding.py", tooled, tmp_path, question)
    answer, searched, *supports = lines
    assert searched == f"searched: {question}"
    stretches = [line.removeprefix("cited: ") for line in supports[::2]]
    assert stretches
    assert all(stretch in answer for stretch in stretches)
    assert any(stretch.endswith("and on Saturday from ten to two.") for stretch in stretches)
    assert all("library" in source for source in supports[1::2])


def test_slow_tool(scripted: Running, tmp_path: Path) -> None:
    assert run("slow_tool.py", scripted, tmp_path) == [
        "you: Order pizza, please.",
        "you: Good day.",
        "model: Good day.",
        "(the pizza is ordered)",
        "model: order pizza is done.",
    ]


def test_resume(scripted: Running, tmp_path: Path) -> None:
    words = ("My dog is called Bruno.", "What did I tell you before?")
    assert run("resume.py", scripted, tmp_path, *words) == [
        "connected with a token",
        "  you:    My dog is called Bruno.",
        "  answer: My dog is called Bruno.",
        "connected anew, with the handle",
        "  you:    What did I tell you before?",
        "  answer: My dog is called Bruno.",
    ]
