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
    assert script.main(["-q"]) == 1
    assert ran[-1] == "pytest -q"


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
    assert script.main(["-q"]) == status
    assert ran[-1] == "pytest -q"


@pytest.mark.parametrize("slow_one", ["assert True", "assert False"])
def test_without_arguments_two_runs_are_one(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    slow_one: str,
) -> None:
    for folder in ("slow", "quick"):
        (tmp_path / folder).mkdir()
    (tmp_path / "slow" / "test_slow.py").write_text(f"def test_it():\n    {slow_one}\n")
    (tmp_path / "quick" / "test_quick.py").write_text(
        "import pytest\ndef test_one(): pass\ndef test_two(): pytest.skip('no')\n"
    )
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setattr(script, "SLOW", ("slow",))
    passed = script._side_by_side(Path(sys.executable), ["--session-timeout=60"])
    last = capfd.readouterr().out.splitlines()[-1]
    assert passed is (slow_one == "assert True")
    counts = "2 passed, 1 skipped" if passed else "1 passed, 1 skipped, 1 failed"
    assert last.strip("= ").startswith(f"{counts} in ")


def test_a_run_that_found_nothing_adds_nothing(script: ModuleType) -> None:
    runs = [["=== 3 passed, 1 error in 1.00s ===\n"], ["a crash\n"]]
    assert script.closing_line(runs, 2).strip("= ") == "3 passed, 1 error in 2.00s"
