"""Consoles print texts as they are."""

from __future__ import annotations

import ast
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from vivavoce.cli.errors import CliError, ErrorCode, open_console, print_error

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
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Console"
    ]
    assert others == ["cli/errors.py"]
