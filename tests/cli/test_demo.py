from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
import wave
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vivavoce.cli.demo import RECORDINGS, load_recording
from vivavoce.cli.main import app
from vivavoce.domain.audio import pcm_seconds

run = CliRunner()


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_recordings_ship_with_the_package(name: str) -> None:
    assert 1.0 < pcm_seconds(load_recording(name), 16_000) < 5.0


@pytest.mark.e2e
def test_a_whole_conversation_with_the_scripted_profile(tmp_path: Path) -> None:
    result = run.invoke(app, ["demo", "--once", "--profile", "scripted", "--port", "0"])
    assert result.exit_code == 0, result.output
    assert re.search(r"Serving at http://127.0.0.1:(\d+) and https://127.0.0.1:\1\n", result.output)
    assert "Waiting" not in result.output, "its own conversation is over"
    for number in (1, 2):
        assert f"turn {number} · transcript" in result.output
    assert result.output.count("you    speech of") == 2, "scripted ears tell how long it lasted"
    with wave.open(str(tmp_path / "answer.wav")) as file:
        assert file.getframerate() == 24_000
        assert file.getnframes() > 24_000


@pytest.mark.integration
def test_a_busy_port_is_said_with_a_way_out() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = run.invoke(app, ["demo", "--once", "--profile", "scripted", "--port", port])
    assert result.exit_code == 1
    first, fix = result.output.splitlines()
    assert first == f"E-PORT-BUSY: 127.0.0.1:{port} is in use."
    assert "--port" in fix


@pytest.mark.e2e
@pytest.mark.parametrize("level", ["", "info"])
def test_the_log_is_quiet_unless_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    if level:
        monkeypatch.setenv("VIVAVOCE_LOG__LEVEL", level)
    result = run.invoke(app, ["demo", "--once", "--profile", "scripted", "--port", "0"])
    assert result.exit_code == 0, result.output
    assert ('"level": "info"' in result.stderr) == bool(level)


@pytest.mark.e2e
def test_an_answer_that_fails_is_said_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.toml").write_text(
        'models = {"*" = "x"}\n[profiles.x]\ndetector = "energy"\nrecognizer = "tones"\n'
        'responder = { use = "cascade", model = { use = "openai", model = "m", '
        'base_url = "http://127.0.0.1:9/v1" }, voice = "tones" }\n'
    )
    monkeypatch.setenv("VIVAVOCE_CONFIG", str(tmp_path / "c.toml"))
    result = run.invoke(app, ["demo", "--once", "--port", "0"])
    assert result.exit_code == 6, result.output
    assert "E-TURN-FAILED" in result.output


def test_an_unknown_profile_is_refused() -> None:
    result = run.invoke(app, ["demo", "--once", "--profile", "nothing"])
    assert result.exit_code == 1
    assert "nothing" in result.output


@pytest.mark.e2e
def test_it_serves_on_until_it_is_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vivavoce", "demo", "--profile", "scripted", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C ends it." in line:
                break
        url = next(line.split()[2] for line in lines if line.startswith("Serving at"))
        hints = "".join(lines).split("Still serving.")[1]
        assert f"vivavoce run --url {url} -- python your.py" in hints
        assert f"vivavoce say --url {url} 'hello'" in hints
        with urllib.request.urlopen(url + "/livez", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "Stopped.\n"
        assert process.wait(20) == 0
