"""The table of coverage that continuous integration prints."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("coverage_summary")


def measured(lines: int, of: int, branches: int, of_branches: int) -> dict[str, dict[str, int]]:
    return {
        "summary": {
            "covered_lines": lines,
            "num_statements": of,
            "covered_branches": branches,
            "num_branches": of_branches,
        }
    }


def test_files_are_added_up_by_package(script: ModuleType, tmp_path: Path) -> None:
    report = tmp_path / "coverage.json"
    files = {
        "src/vivavoce/core/session.py": measured(9, 10, 1, 4),
        "src/vivavoce/core/rules.py": measured(60, 90, 2, 2),
        "src/vivavoce/server.py": measured(0, 100, 0, 4),
        "src/vivavoce/http/__init__.py": measured(0, 0, 0, 0),
    }
    report.write_text(json.dumps({"files": files}))
    assert script.summarize_coverage(report) == [
        "coverage       lines  branches",
        "core             69%       50%",
        "http               -         -",
        "server            0%        0%",
        "all              34%       30%",
    ]


def test_a_run_without_a_report_has_no_table(script: ModuleType, tmp_path: Path) -> None:
    assert script.summarize_coverage(tmp_path / "coverage.json") == []
