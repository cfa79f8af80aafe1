"""The script that makes the recordings which ship with the project."""

from __future__ import annotations

import importlib.util
import os
import wave
from pathlib import Path
from types import ModuleType

import pytest

from vivavoce.engines.flite import create
from vivavoce.engines.registry import House
from vivavoce.errors import EngineMissing

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_assets.py"


@pytest.fixture
async def script() -> ModuleType:
    """The script, where flite is on this machine; no test fetches it."""
    try:
        engine = await create({"fetch": False}, House())
    except EngineMissing as missing:
        pytest.skip(str(missing))
    await engine.aclose()
    spec = importlib.util.spec_from_file_location("make_assets", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_a_recording_that_is_understood_is_written(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await script.main(tmp_path / "new", {"lights.wav": "Turn on the lights, please."}) == 0

    assert "heard as 'turn on the lights please'" in capsys.readouterr().out
    with wave.open(str(tmp_path / "new" / "lights.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        assert 1 < file.getnframes() / 16_000 < 4


async def test_what_nobody_understands_is_not_kept(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "TRIES", 1)

    assert await script.main(tmp_path / "new", {"odd.wav": "Xyzzy."}) == 1

    assert "new" not in os.listdir(tmp_path)
