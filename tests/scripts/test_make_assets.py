"""The script that makes the recordings which ship with the project."""

from __future__ import annotations

import importlib.util
import os
import wave
from pathlib import Path
from types import ModuleType

import pytest

from vivavoce.engines.registry import locate_weights
from vivavoce.errors import EngineMissing

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_assets.py"

pytestmark = pytest.mark.embedded


@pytest.fixture
def script() -> ModuleType:
    """The script, where the recognizer's weights are on this machine; no test fetches them."""
    try:
        locate_weights("moonshine")
    except EngineMissing as missing:
        pytest.skip(str(missing))
    spec = importlib.util.spec_from_file_location("make_assets", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_what_is_understood_is_written_and_what_is_not_is_left_out(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"lights.wav": "Turn on the lights, please.", "odd.wav": "Xyzzy frobnicates."}

    assert await script.main(tmp_path / "new", texts) == 1

    assert "understood as 'Turn on the lights" in capsys.readouterr().out
    assert os.listdir(tmp_path / "new") == ["lights.wav"]
    with wave.open(str(tmp_path / "new" / "lights.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        assert 1 < file.getnframes() / 16_000 < 4
