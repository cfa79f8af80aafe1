"""What commands print: errors, their codes and fixes, and commands as they are typed here."""

from __future__ import annotations

import re
import sys
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from vivavoce.cli.errors import (
    CliError,
    ErrorCode,
    as_typed,
    command_hint,
    open_console,
    print_error,
)

SOURCE = Path(__file__).parents[2] / "src" / "vivavoce"
BRACKETS = "install 'x[aec]', [bold]not[/bold] :smile: /a[b]/c"


@pytest.mark.parametrize("terminal", [True, False])
def test_brackets_and_colons_stay(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = partial(Console, force_terminal=terminal, width=200)
    monkeypatch.setattr("vivavoce.cli.errors.Console", console)
    table = Table("[heading]")
    table.add_row(BRACKETS)

    open_console().print(BRACKETS)
    open_console().print(table)
    print_error(CliError(ErrorCode.CONFIG, BRACKETS, BRACKETS))

    shown = capsys.readouterr()
    assert shown.out.count(BRACKETS) == 2
    assert "[heading]" in shown.out
    assert shown.err.count(BRACKETS) == 2


def test_there_is_no_other_way_to_a_terminal() -> None:
    others = [
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if re.search(r"\bConsole\(", path.read_text("utf-8"))
    ]
    assert others == ["cli/errors.py"]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a virtual environment in it, which is not on the PATH."""
    beside = tmp_path / ".venv" / "bin"
    beside.mkdir(parents=True)
    (beside / "vivavoce").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(beside / "python"))
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("checkout")
def test_a_command_is_named_where_it_lies() -> None:
    assert command_hint("talk", "http://127.0.0.1:8482") == ".venv/bin/vivavoce talk"


def test_from_elsewhere_it_is_named_in_full(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "elsewhere").mkdir()
    monkeypatch.chdir(checkout / "elsewhere")
    assert command_hint("talk", "http://127.0.0.1:8482").startswith(str(checkout))


def test_on_the_path_its_name_is_enough(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout / ".venv" / "bin"))
    assert command_hint("talk", "http://127.0.0.1:8482") == "vivavoce talk"


@pytest.mark.usefixtures("checkout")
def test_another_port_is_carried_along() -> None:
    found = command_hint("run", "http://127.0.0.1:19004")
    assert found == ".venv/bin/vivavoce run --url http://127.0.0.1:19004"


@pytest.mark.usefixtures("checkout")
def test_faults_name_our_commands_as_they_are_typed_here(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fix = 'Start one with `vivavoce serve`; or eval "$(vivavoce env)". A vivavoce is a server.'

    print_error(CliError(ErrorCode.NO_SERVER, "No server answers.", fix))

    assert capsys.readouterr().err.splitlines()[1] == (
        'Start one with `.venv/bin/vivavoce serve`; or eval "$(.venv/bin/vivavoce env)". '
        "A vivavoce is a server."
    )


def test_on_the_path_the_commands_stay_as_they_are(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(checkout / ".venv" / "bin"))
    assert as_typed("Run `vivavoce index DIR`.") == "Run `vivavoce index DIR`."
