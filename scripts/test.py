"""Everything that is checked: lint, formatting, types and all tests.

    python3 scripts/test.py                    everything
    python3 scripts/test.py -k interrupted     the checks, and those tests
    python3 scripts/test.py --no-lint tests/core

Without arguments of its own pytest runs twice, side by side: those tests that mostly wait for
real conversations (`SLOW`), and all others. What both found is one closing line.

Arguments other than `--no-lint` go to pytest. Needs Python 3.11 and pip; with Node and npm the
JavaScript SDK is tried too, otherwise those tests are skipped and say so. Where `CI=true`, it
fails if the weights or bubblewrap can't be fetched, and tests/skips.py says which tests may still
be skipped.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import environment
from environment import ROOT, say

CHECKS = (
    ("ruff check", ["-m", "ruff", "check", "."]),
    ("ruff format", ["-m", "ruff", "format", "--check", "."]),
    ("mypy", ["-m", "mypy"]),
)

TIMEOUT = "--session-timeout"
SLOW = ("tests/conformance", "tests/e2e")
"""What takes its time because somebody speaks, and little of a processor."""

CLOSING = re.compile(r"^=+ .* in [0-9.]+s")
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed|warnings?)")

FETCHES = (
    (
        "vivavoce pull",
        ["-m", "vivavoce", "pull"],
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
    """All tests in two processes; the slow ones' output follows the others'."""
    pytest = [str(python), "-m", "pytest", *arguments]
    others = [f"--ignore={folder}" for folder in SLOW]
    began = time.monotonic()
    told: list[str] = []
    with tempfile.TemporaryFile("w+") as kept:
        slow = [*pytest, *SLOW, "-o", "cache_dir=.pytest_cache/slow"]
        side = subprocess.Popen(slow, cwd=ROOT, stdout=kept, stderr=subprocess.STDOUT)
        with (
            side,
            subprocess.Popen(
                [*pytest, *others],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as quick,
        ):
            assert quick.stdout is not None
            for line in quick.stdout:
                say(line.rstrip("\n"))
                told.append(line)
        kept.seek(0)
        say("--- " + ", ".join(SLOW))
        slow_told = kept.readlines()
        say("".join(slow_told).rstrip("\n"))
    say(closing_line([told, slow_told], time.monotonic() - began))
    return (quick.returncode, side.returncode) == (0, 0)


def closing_line(outputs: list[list[str]], seconds: float) -> str:
    """One line for several runs, as pytest ends each of them."""
    counts: Counter[str] = Counter()
    for lines in outputs:
        last = next((line for line in reversed(lines) if CLOSING.search(line)), "")
        for count, what in COUNT.findall(last):
            counts[what.rstrip("s") if what == "errors" else what] += int(count)
    found = ", ".join(f"{count} {what}" for what, count in counts.items()) or "no tests ran"
    return f" {found} in {seconds:.2f}s ".center(80, "=")


def _passes(python: Path, name: str, command: list[str]) -> bool:
    say(f"--- {name}")
    return subprocess.run([str(python), *command], cwd=ROOT).returncode == 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
