"""The command of the README that checks everything: what makes it fail, and what it ends with."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with nothing to install."""
    monkeypatch.syspath_prepend(SCRIPTS)
    spec = importlib.util.spec_from_file_location("checks", SCRIPTS / "test.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.environment, "ready", lambda groups: Path(sys.executable))
    return module


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The programs that were run; one that `FAILS` names does not succeed."""
    commands: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        said = [part for part in command[1:] if part != "-m"]
        commands.append(" ".join(said))
        failed = any(said[: len(each)] == each for each in FAILS)
        return subprocess.CompletedProcess(command, int(failed))

    FAILS.clear()
    monkeypatch.setattr(subprocess, "run", run)
    return commands


FAILS: list[list[str]] = []


def test_all_is_checked_and_pytest_has_the_last_word(script: ModuleType, ran: list[str]) -> None:
    assert script.main(["-k", "one"]) == 0
    assert ran == [
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "vivavoce pull",
        "tests/fetch.py bubblewrap",
        "tests/fetch.py redis",
        "pytest -k one",
    ]


@pytest.mark.parametrize("failing", [["mypy"], ["pytest"]])
def test_a_failed_check_fails_and_the_tests_run_all_the_same(
    script: ModuleType, ran: list[str], failing: list[str]
) -> None:
    FAILS.append(failing)
    assert script.main([]) == 1
    assert ran[-1] == "pytest"


@pytest.mark.parametrize("fetching", [["vivavoce", "pull"], ["tests/fetch.py", "bubblewrap"]])
@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_what_cannot_be_fetched_fails_where_it_matters(
    script: ModuleType,
    ran: list[str],
    monkeypatch: pytest.MonkeyPatch,
    fetching: list[str],
    ci: str,
    status: int,
) -> None:
    monkeypatch.setenv("CI", ci)
    FAILS.append(fetching)
    assert script.main([]) == status
    assert ran[-1] == "pytest"
