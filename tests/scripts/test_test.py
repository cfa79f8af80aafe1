"""The command of the README that checks everything: what makes it fail, and what it ends with."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
from collections import Counter
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


class Lanes:
    """A small project whose tests run in three lanes: folders slow, fuzz and rest."""

    def __init__(self, script: ModuleType, root: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self._script = script
        self._capfd = capfd
        self.root = root
        for folder in ("slow", "fuzz", "rest"):
            (root / folder).mkdir()
        self.write("pytest.ini", "[pytest]\nmarkers =\n  unit\n  walk\n")
        self.write("slow/test_two.py", "def test_a(): pass\ndef test_b(): pass\n")
        self.write(
            "rest/test_three.py",
            "import pytest\n"
            "@pytest.mark.unit\ndef test_c():\n    pass\n"
            "@pytest.mark.unit\n@pytest.mark.walk\ndef test_d():\n    pass\n"
            "def test_e():\n    pytest.skip('no')\n",
        )
        self.write(
            "fuzz/test_four.py",
            "import os\n"
            "def test_f(): assert (os.nice(0), os.environ['VIVAVOCE_FUZZ_S']) == (19, '30')\n",
        )

    def write(self, path: str, text: str) -> None:
        (self.root / path).write_text(text)

    def run(self, timeout_s: int = 60) -> tuple[bool, list[str], str]:
        """Whether the run passed, what it printed, and its closing line without the signs."""
        arguments = [f"--session-timeout={timeout_s}"]
        passed = self._script._side_by_side(Path(sys.executable), arguments)
        *printed, last = self._capfd.readouterr().out.splitlines()
        return passed, printed, last.strip("= ").rpartition(" in ")[0]


@pytest.fixture
def lanes(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> Lanes:
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setattr(script, "BESIDE", ("slow",))
    monkeypatch.setattr(script, "FUZZ", ("fuzz",))
    monkeypatch.delenv("VIVAVOCE_FUZZ_S", raising=False)
    # Each run is a process, and most of its time would go into plug-ins that it does not use.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p pytest_timeout -p pytest_cov")
    monkeypatch.setattr(script, "COVERAGE", ("--cov=rest", "--cov-branch"))
    return Lanes(script, tmp_path, capfd)


def test_without_arguments_three_lanes_are_one(lanes: Lanes) -> None:
    """Two folders beside the others: each test once, and one of them traced."""
    passed, printed, closing = lanes.run()
    assert passed
    assert closing == "5 passed, 1 skipped"
    assert not repeated(printed)
    assert "coverage       lines  branches" in printed
    assert "all              80%         -" in printed, "the bodies of two do not run"


def test_a_lane_that_crashes_is_an_error_and_nothing_is_repeated(lanes: Lanes) -> None:
    lanes.write("slow/test_one.py", "import os\ndef test_it(): os._exit(0)\n")
    lanes.write("rest/test_five.py", "def test_bad(): raise ValueError('always')\n")
    passed, printed, closing = lanes.run()
    assert not passed
    assert closing == "1 failed, 3 passed, 1 skipped, 1 error"
    assert not repeated(printed)
    assert printed[-1] == "FAILED rest/test_five.py::test_bad - ValueError: always"


def test_a_lane_that_hangs_is_killed(script: ModuleType) -> None:
    """With what it started, which would keep its output open."""
    hanging = [sys.executable, "-c", "import os, time; os.fork(); time.sleep(600)"]
    with script._start(hanging, subprocess.PIPE, limit_s=1) as process:
        assert list(script._echo(process)) == []
    assert process.returncode == -signal.SIGKILL


def test_an_interruption_reaches_the_lanes(script: ModuleType) -> None:
    """They are no part of the terminal's foreground, to which Ctrl-C is sent."""
    waiting = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
    lanes = []

    def interrupt() -> None:
        with script._start(waiting, subprocess.PIPE, limit_s=None) as process:
            lanes.append(process)
            assert process.stdout.readline() == "up\n"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert lanes[0].returncode == -signal.SIGINT


def repeated(printed: list[str]) -> list[str]:
    return [line for line in printed if line.startswith("--- once more")]


FLAKY = """
import pathlib
import pytest

ONCE = pathlib.Path(__file__).with_suffix(".once")

def fail_once():
    if not ONCE.exists():
        ONCE.touch()
        raise AssertionError("starved of the processor")

@pytest.fixture
def cleaned():
    yield
    fail_once()
"""


def test_what_passes_alone_does_not_fail_the_run(lanes: Lanes) -> None:
    lanes.write("slow/test_one.py", FLAKY + "def test_it(): fail_once()")
    lanes.write("rest/test_five.py", FLAKY + "def test_cleaned(cleaned): pass")
    passed, printed, closing = lanes.run()
    assert passed
    assert closing == "7 passed, 1 skipped"
    assert repeated(printed) == ["--- once more, alone: 2"]
    assert "passed alone: rest/test_five.py::test_cleaned" in printed
    alone = printed.index("passed alone: slow/test_one.py::test_it")
    assert any("AssertionError: starved of the processor" in line for line in printed[alone:])
    assert not [line for line in printed[alone:] if line.startswith(("FAILED", "ERROR"))]


def test_what_fails_again_fails_the_run(lanes: Lanes) -> None:
    lanes.write("slow/test_one.py", FLAKY + "def test_it(): fail_once()")
    lanes.write("rest/test_five.py", "def test_bad(): raise ValueError('always')\n")
    passed, printed, closing = lanes.run()
    assert not passed
    assert closing == "1 failed, 6 passed, 1 skipped"
    assert "passed alone: slow/test_one.py::test_it" in printed
    assert printed[-1] == "FAILED rest/test_five.py::test_bad - ValueError: always"


def test_many_failures_are_not_repeated(lanes: Lanes) -> None:
    many = "import pytest\n@pytest.mark.parametrize('n', range(11))\n"
    lanes.write("rest/test_five.py", many + "def test_bad(n): assert False\n")
    passed, printed, closing = lanes.run()
    assert not passed
    assert closing == "11 failed, 5 passed, 1 skipped"
    assert not repeated(printed)


def test_what_runs_beside_the_others_is_there_and_nothing_twice(script: ModuleType) -> None:
    paths = (*script.BESIDE, *script.FUZZ)
    assert len(set(paths)) == len(paths)
    assert [path for path in paths if not (script.ROOT / path).exists()] == []


def test_a_run_without_an_end_is_an_error(script: ModuleType) -> None:
    runs = [["=== 3 passed, 2 errors in 1.00s ===\n"], ["a crash\n"]]
    counts = sum(map(script.closing_counts, runs), Counter[str]())
    assert script.closing_line(counts, 2).strip("= ") == "3 passed, 3 errors in 2.00s"
