"""Run all checks: lint, formatting, types, and the tests with small budgets for long walks.

    python3 scripts/test.py                    everything
    python3 scripts/test.py -k interrupted     the checks, and those tests
    python3 scripts/test.py --no-lint tests/core

Without arguments of its own pytest runs in three lanes, side by side: the tests of `BESIDE`, which
mostly wait for real conversations; those of `FUZZ`, at the lowest priority, which take what two
cores have left over; and all others: first the unit tests without walks, whose coverage is measured
and printed, then the rest untraced. What one run shares with itself (a server for the whole
session, say) is not shared with another, and they must not want the same port, folder or package at
the same time. The output of the third lane is seen as it comes, that of the first two after it.

If at most `MOST_REPEATED` tests failed, they run once more on the machine that is quiet then, one
after the other. One that passes there was starved of the processor: it is listed as "passed alone",
with the last lines of its first failure, and does not fail the run. Last come the failures that
remain, and one closing line. A run without a closing line of its own, one that crashed or was
stopped, is counted as an error, and then nothing is repeated.

Arguments other than `--no-lint` go to pytest. Needs Python 3.11 and pip; with Node and npm the
JavaScript SDK is tried too, otherwise those tests are skipped and say so. Where `CI=true`, it
takes the long budgets, fails if the weights or bubblewrap can't be fetched, and tests/skips.py says
which tests may still be skipped.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import IO, Any

import environment
from coverage_summary import summarize_coverage
from environment import ROOT, say

LANE = Path(__file__).parent / "pytest_lane.py"

CHECKS = (
    ("ruff check", ["-m", "ruff", "check", "."]),
    ("ruff format", ["-m", "ruff", "format", "--check", "."]),
    ("mypy", ["-m", "mypy"]),
)

TIMEOUT = "--session-timeout"
BESIDE = ("tests/conformance", "tests/e2e")
"""Tests in real time, which use little of a processor."""

FUZZ = ("tests/fuzz",)
FUZZ_S = "30"
"""Seconds for each layer, unless `VIVAVOCE_FUZZ_S` says otherwise. About seven minutes in all, and
shorter than either of the other runs."""

TRACED = "unit and not walk"
"""Tests whose coverage is measured. Tracing doubles the time of what is traced, so that walks would
pass their time limit and conversations in real time would be late."""

COVERAGE = ("--cov=vivavoce", "--cov-branch")

MOST_REPEATED = 10
"""More failures than this are not starvation."""

REPEAT_S = 300
"""For the repetition of all of them."""

OVERTIME_S = 180
"""After its session timeout plus this, a lane that has not ended is killed."""

CLOSING = re.compile(r"^=+ .* in [0-9.]+s")
FAULT = re.compile(r"^(FAILED|ERROR) ")
KINDS = ("failed", "passed", "skipped", "xfailed", "xpassed", "warning", "error")
"""In pytest's order."""
COUNT = re.compile(rf"(\d+) ({'|'.join(KINDS)})s?\b")

FETCHES = (
    (
        "vivavoce pull",
        ["-m", "vivavoce", "pull", "silero", "moonshine", "minilm", "qwen-0.5b"],
        "The weights could not be fetched: tests of the embedded engines cannot run.",
    ),
    (
        "bubblewrap",
        ["tests/fetch.py", "bubblewrap"],
        "bubblewrap could not be fetched: tests of the stronger sandbox cannot run.",
    ),
    (
        "Redis",
        ["tests/fetch.py", "redis"],
        "Redis could not be fetched: tests of the store in it cannot run.",
    ),
)
"""What is fetched before the tests: a name, how, and what is so without it."""


def main(arguments: list[str]) -> int:
    """0 when everything passed, 1 otherwise. pytest's own closing line is the last one."""
    # Hundreds of processes import the tree: without bytecode each of them would compile it again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    python = environment.ready(("test", "lint"))
    lint = "--no-lint" not in arguments
    arguments = [argument for argument in arguments if argument != "--no-lint"]
    failed = [name for name, command in CHECKS if lint and not _passes(python, name, command)]
    for name, command, without in FETCHES:
        if not _passes(python, name, command):
            say(without)
            failed += [name] if os.environ.get("CI") == "true" else []
    if failed:
        say(f"Failed so far: {', '.join(failed)}. The tests run all the same.")
    own = [argument for argument in arguments if not argument.startswith(TIMEOUT)]
    tested = _run(python, arguments) if own else _side_by_side(python, arguments)
    return 0 if tested and not failed else 1


def _run(python: Path, arguments: list[str]) -> bool:
    return subprocess.run([str(python), "-m", "pytest", *arguments], cwd=ROOT).returncode == 0


def _side_by_side(python: Path, arguments: list[str]) -> bool:
    """All tests in three lanes, then those that failed once more. Whether all passed."""
    began = time.monotonic()
    limit_s = next(
        (float(a.partition("=")[2]) for a in arguments if a.startswith(TIMEOUT)), math.inf
    )
    with tempfile.TemporaryDirectory() as folder:
        outputs, reports = _run_lanes(python, arguments, Path(folder), began + limit_s)
        counts = sum(map(closing_counts, outputs), Counter[str]())
        failed = {test: how for report in reports for test, how in report["failed"].items()}
        finished = all(report["finished"] for report in reports)
        passed = finished and not failed
        if finished and 0 < len(failed) <= MOST_REPEATED and time.monotonic() < began + limit_s:
            output, report = _repeat(python, sorted(failed), Path(folder))
            if report["finished"]:
                passed = not report["failed"]
                counts["passed"] -= sum(how["passed"] for how in failed.values())
                counts["failed"] = counts["error"] = 0
                counts += closing_counts(output)
                outputs = [output]
                _say_passed_alone(failed, report["failed"])
    for line in filter(FAULT.search, chain.from_iterable(outputs)):
        say(line.rstrip("\n"))
    say(closing_line(counts, time.monotonic() - began))
    return passed


def _run_lanes(
    python: Path, arguments: list[str], folder: Path, ends_at: float
) -> tuple[list[list[str]], list[dict[str, Any]]]:
    """The output and the report of each run; those of two lanes are shown after the third's.

    The third lane is two runs, one after the other.

    `ends_at` is the moment of `time.monotonic` at which a session timeout for all of them is over.
    """
    beside, fuzz, unit, others = (folder / each for each in ("beside", "fuzz", "unit", "others"))
    lane = [str(python), str(LANE)]
    pytest = ["--color=no", *arguments]
    apart = {
        beside: [*pytest, *BESIDE, "-o", "cache_dir=.pytest_cache/beside"],
        fuzz: [*pytest, *FUZZ, "-o", "cache_dir=.pytest_cache/fuzz", "-rP"],
    }
    coverage = folder / "coverage.json"
    traced = (*COVERAGE, f"--cov-report=json:{coverage}")
    ignored = [f"--ignore={path}" for path in (*BESIDE, *FUZZ)]
    third = {
        unit: [*pytest, *ignored, "-m", TRACED, *traced, "-o", "cache_dir=.pytest_cache/unit"],
        others: [*pytest, *ignored, "-m", f"not ({TRACED})"],
    }

    def timeout(command: list[str]) -> tuple[list[str], float | None]:
        """The command with what is left of the session timeout, and when it is killed."""
        if ends_at == math.inf:
            return command, None
        left_s = max(1.0, ends_at - time.monotonic())
        return [*command, f"{TIMEOUT}={left_s:.0f}"], left_s + OVERTIME_S

    with ExitStack() as stack:
        kept = {path: stack.enter_context(tempfile.TemporaryFile("w+")) for path in apart}
        started = [
            stack.enter_context(
                _start([*lane, str(path), *timed], kept[path], limit_s, 19 if path == fuzz else 0)
            )
            for path, command in apart.items()
            for timed, limit_s in [timeout(command)]
        ]
        ends = {}
        outputs = []
        for path, command in third.items():
            timed, limit_s = timeout(command)
            with _start([*lane, str(path), *timed], subprocess.PIPE, limit_s) as ends[path]:
                outputs.append(list(_echo(ends[path])))
        for (path, output), process in zip(kept.items(), started, strict=True):
            process.wait()
            output.seek(0)
            outputs.append(output.readlines())
            say(f"--- {path.name}")
            say("".join(outputs[-1]).rstrip("\n"))
    for line in summarize_coverage(coverage):
        say(line)
    ends |= dict(zip(kept, started, strict=True))
    return outputs, [read_report(path, process) for path, process in ends.items()]


def _repeat(python: Path, tests: list[str], folder: Path) -> tuple[list[str], dict[str, Any]]:
    """The output and the report of `tests`, run one after the other with nothing beside them."""
    say(f"--- once more, alone: {len(tests)}")
    path = folder / "repeated"
    command = [str(python), str(LANE), str(path), "--color=no", f"{TIMEOUT}={REPEAT_S}", *tests]
    with _start(command, subprocess.PIPE, REPEAT_S + OVERTIME_S) as process:
        output = list(_echo(process))
    return output, read_report(path, process)


def _say_passed_alone(failed: dict[str, Any], again: Iterable[str]) -> None:
    for test in sorted(failed.keys() - set(again)):
        say(f"passed alone: {test}")
        say("    It failed beside the others:")
        for line in failed[test]["lines"]:
            say(f"    {line}")


def read_report(path: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    """What `pytest_lane.py` wrote. A process that crashed, even at its very end, did not finish."""
    report: dict[str, Any] = {"finished": False, "failed": {}}
    with suppress(FileNotFoundError):
        report = json.loads(path.read_text())
    report["finished"] &= process.returncode == int(bool(report["failed"]))
    return report


@contextmanager
def _start(
    command: list[str], output: int | IO[str], limit_s: float | None, priority: int = 0
) -> Iterator[subprocess.Popen[str]]:
    variables = {"VIVAVOCE_FUZZ_S": FUZZ_S, **os.environ}
    lowered = ["nice", "-n", str(priority)] if priority and shutil.which("nice") else []
    with subprocess.Popen(
        [*lowered, *command],
        cwd=ROOT,
        env=variables,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,  # a session of its own would make `priority` void where Linux groups by it
    ) as process:
        killing = threading.Timer(limit_s or threading.TIMEOUT_MAX, _signal, (process, "SIGKILL"))
        killing.daemon = True
        killing.start()
        try:
            yield process
            process.wait()
        except BaseException:
            _signal(process, "SIGINT")
            raise
        finally:
            killing.cancel()


def _signal(process: subprocess.Popen[str], name: str) -> None:
    """Send a signal to a process and to those that it started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, getattr(signal, name))
    else:
        process.kill()


def _echo(process: subprocess.Popen[str]) -> Iterator[str]:
    """The lines of a process's output, each printed as it comes."""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            say(line.rstrip("\n"))
            yield line


def closing_counts(lines: list[str]) -> Counter[str]:
    """What pytest's closing line counts; a run without one is an error."""
    last = next((line for line in reversed(lines) if CLOSING.search(line)), "1 error")
    counts: Counter[str] = Counter()
    for count, kind in COUNT.findall(last):
        counts[kind] += int(count)
    return counts


def closing_line(counts: Counter[str], seconds: float) -> str:
    """One line for all runs, as pytest ends each of them."""
    found = ", ".join(
        f"{counts[kind]} {kind}{'s' if kind in ('warning', 'error') and counts[kind] > 1 else ''}"
        for kind in KINDS
        if counts[kind] > 0
    )
    return f" {found or 'no tests ran'} in {seconds:.2f}s ".center(80, "=")


def _passes(python: Path, name: str, command: list[str]) -> bool:
    say(f"--- {name}")
    return subprocess.run([str(python), *command], cwd=ROOT).returncode == 0


if __name__ == "__main__":
    raise SystemExit(environment.interruptible(lambda: main(sys.argv[1:])))
