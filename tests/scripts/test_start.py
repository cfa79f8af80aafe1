"""The first command of the README: what it says before it installs anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import typer

from vivavoce.cli.demo import demo

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "start.py"


def test_help_names_every_option_and_installs_nothing(tmp_path: Path) -> None:
    # A copy elsewhere: were anything to be installed, its folder would have to appear.
    (tmp_path / "scripts").mkdir()
    for name in ("start.py", "environment.py"):
        (tmp_path / "scripts" / name).write_bytes((SCRIPT.parent / name).read_bytes())
    command = [sys.executable, str(tmp_path / "scripts" / "start.py"), "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    app = typer.Typer(add_completion=False)
    app.command()(demo)
    options = {name for each in typer.main.get_command(app).params for name in each.opts}
    assert set(re.findall(r"^ +(--[a-z]+)", shown, re.MULTILINE)) == options
    assert not (tmp_path / ".venv").exists()
