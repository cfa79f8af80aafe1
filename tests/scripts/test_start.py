"""The first command of the README: what it says before it installs anything."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from vivavoce.cli.demo import demo

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "start.py"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A copy elsewhere: were anything to be installed, its folder would have to appear."""
    (tmp_path / "scripts").mkdir()
    for name in ("start.py", "environment.py"):
        (tmp_path / "scripts" / name).write_bytes((SCRIPT.parent / name).read_bytes())
    return tmp_path / "scripts" / "start.py"


def test_help_names_every_option_and_installs_nothing(script: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(script), "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    app = typer.Typer(add_completion=False)
    app.command()(demo)
    options = {name for each in typer.main.get_command(app).params for name in each.opts}
    assert set(re.findall(r"^ +(--[a-z]+)", shown, re.MULTILINE)) == options
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("form", ["--port {}", "--port={}", "variable"])
def test_a_port_in_use_is_said_before_anything_is_installed(
    form: str, script: Path, tmp_path: Path
) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        environment = {"PATH": ""}
        if form == "variable":
            environment["VIVAVOCE_SERVER__PORT"] = port
        arguments = [] if form == "variable" else form.format(port).split()
        ended = subprocess.run(
            [sys.executable, str(script), *arguments],
            capture_output=True, text=True, cwd=tmp_path, env=environment,
        )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"127.0.0.1:{port} is in use by another server.")
    assert "scripts/start.py --port NUMBER" in ended.stderr
    assert not (tmp_path / ".venv").exists()
