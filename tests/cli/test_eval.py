from __future__ import annotations

import io

import pytest
from rich.console import Console
from typer.testing import CliRunner

from vivavoce.cli.errors import open_console
from vivavoce.cli.eval import print_report
from vivavoce.cli.main import app
from vivavoce.evaluation.results import Comparability, EvaluationReport, ReportRow


def test_an_unknown_tier_is_refused_with_those_that_exist() -> None:
    result = CliRunner().invoke(app, ["eval", "--only", "pauses,speed"])
    assert result.exit_code == 1
    assert "There is no tier 'speed'." in result.stderr
    assert "turn-end, pauses, curve" in result.stderr


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--json", "nowhere/found.json"], "can't be written"),
        (["--offline", "--url", "http://127.0.0.1:1"], "--offline speaks to no server"),
        (["--offline", "--only", "dialogues"], "speak to a server"),
    ],
)
def test_wrong_use_is_named_before_anything_runs(options: list[str], problem: str) -> None:
    result = CliRunner().invoke(app, ["eval", *options])
    assert result.exit_code == 1
    assert problem in result.stderr


def test_a_pipe_gets_lines_with_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    row = ReportRow(
        "pauses", "turns ended", 0.1, "0.10", 9, Comparability.DEFINITION, "n", "pauses"
    )
    print_report(EvaluationReport([row], skipped=["curve: no engines"]), open_console())
    heading, line, skipped = capsys.readouterr().out.splitlines()
    assert heading.split("\t")[2] == "ours"
    assert line.split("\t")[:4] == ["pauses", "turns ended", "0.10", "9"]
    assert "GPT-Realtime 0.01 synthetic, 0.12 Candor" in line.split("\t")[4]
    assert skipped == "Left out: curve: no engines."


def test_a_terminal_gets_a_table_with_published_figures_once() -> None:
    rows = [
        ReportRow("pauses", name, 0.1, "0.10", 9, Comparability.DEFINITION, "", "pauses")
        for name in ("first", "second")
    ]
    console = Console(force_terminal=True, width=200, file=io.StringIO())
    print_report(EvaluationReport(rows), console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.count("GPT-Realtime 0.01 synthetic") == 1
    assert "as above" in shown
