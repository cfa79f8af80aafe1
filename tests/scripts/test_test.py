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
        "vivavoce pull silero moonshine minilm qwen-0.5b",
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


BREAKS = {
    "assert True": "6 passed, 1 skipped",
    "assert False": "5 passed, 1 skipped, 1 failed",
    "import os; os._exit(1)": "3 passed, 1 skipped, 1 error",
}


@pytest.mark.parametrize("course", BREAKS)
def test_without_arguments_three_runs_are_one(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    course: str,
) -> None:
    """Two folders beside the others, and the rest: each test once."""
    for folder in ("slow", "fuzz", "rest"):
        (tmp_path / folder).mkdir()
    (tmp_path / "slow" / "test_one.py").write_text(f"def test_it():\n    {course}\n")
    (tmp_path / "slow" / "test_two.py").write_text("def test_a(): pass\ndef test_b(): pass\n")
    (tmp_path / "rest" / "test_three.py").write_text(
        "import pytest\ndef test_c(): pass\ndef test_d(): pass\ndef test_e(): pytest.skip('no')\n"
    )
    monkeypatch.setattr(script, "ROOT", tmp_path)
    (tmp_path / "fuzz" / "test_four.py").write_text(
        "import os\n"
        "def test_f(): assert (os.nice(0), os.environ['VIVAVOCE_FUZZ_S']) == (19, '30')\n"
    )
    monkeypatch.delenv("VIVAVOCE_FUZZ_S", raising=False)
    monkeypatch.setattr(script, "BESIDE", ("slow",))
    monkeypatch.setattr(script, "FUZZ", ("fuzz",))
    passed = script._side_by_side(Path(sys.executable), ["--session-timeout=60"])
    *told, last = capfd.readouterr().out.splitlines()
    assert passed is (course == "assert True")
    assert last.strip("= ").startswith(f"{BREAKS[course]} in ")
    assert told[-1].startswith("FAILED slow/test_one.py") is (course == "assert False")


def test_what_runs_beside_the_others_is_there_and_nothing_twice(script: ModuleType) -> None:
    paths = (*script.BESIDE, *script.FUZZ)
    assert len(set(paths)) == len(paths)
    assert [path for path in paths if not (script.ROOT / path).exists()] == []


def test_a_run_without_an_end_is_an_error(script: ModuleType) -> None:
    runs = [["=== 3 passed, 2 errors in 1.00s ===\n"], ["a crash\n"]]
    assert script.closing_line(runs, 2).strip("= ") == "3 passed, 3 errors in 2.00s"
