"""Everything that is checked: lint, formatting, types and all tests.

    python3 scripts/test.py                    everything
    python3 scripts/test.py -k interrupted     the checks, and those tests
    python3 scripts/test.py --no-lint tests/core

Without arguments of its own pytest runs three times, side by side: the tests of `BESIDE`, which
mostly wait for real conversations; those of `FUZZ`, at the lowest priority, which take what two
cores have left over; and all others. What one run shares with itself (a server for the whole
session, say) is not shared with another, and they must not want the same port, folder or package at
the same time. The output of the others is seen as it comes, that of the first two after it. Last
come the failures of all once more, and one closing line. A run without a closing line of its own,
one that crashed, is counted as an error.

Arguments other than `--no-lint` go to pytest. Needs Python 3.11 and pip; with Node and npm the
JavaScript SDK is tried too, otherwise those tests are skipped and say so. Where `CI=true`, it
fails if the weights or bubblewrap can't be fetched, and tests/skips.py says which tests may still
be skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import IO

import environment
from environment import ROOT, say

CHECKS = (
    ("ruff check", ["-m", "ruff", "check", "."]),
    ("ruff format", ["-m", "ruff", "format", "--check", "."]),
    ("mypy", ["-m", "mypy"]),
)

TIMEOUT = "--session-timeout"
BESIDE = ("tests/conformance", "tests/e2e")
"""What takes its time because somebody speaks, and little of a processor."""

FUZZ = ("tests/fuzz",)
FUZZ_S = "30"
"""Seconds for each layer, unless `VIVAVOCE_FUZZ_S` says otherwise. About seven minutes in all, and
shorter than either of the other runs."""

CLOSING = re.compile(r"^=+ .* in [0-9.]+s")
FAULT = re.compile(r"^(FAILED|ERROR) ")
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed|warnings?)")

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
    """All tests in three processes; the output of two of them follows that of the others."""
    pytest = [str(python), "-m", "pytest", "--color=no", *arguments]
    apart = {
        ", ".join(BESIDE): [*pytest, *BESIDE, "-o", "cache_dir=.pytest_cache/beside"],
        ", ".join(FUZZ): [*pytest, *FUZZ, "-o", "cache_dir=.pytest_cache/fuzz", "-rP"],
    }
    others = [*pytest, *(f"--ignore={path}" for path in (*BESIDE, *FUZZ))]
    began = time.monotonic()
    with ExitStack() as stack:
        kept = {name: stack.enter_context(tempfile.TemporaryFile("w+")) for name in apart}
        started = [
            stack.enter_context(_start(command, kept[name], background=name == ", ".join(FUZZ)))
            for name, command in apart.items()
        ]
        started.append(stack.enter_context(_start(others, subprocess.PIPE)))
        outputs = [list(_told(started[-1]))]
        for (name, output), process in zip(kept.items(), started, strict=False):
            process.wait()
            output.seek(0)
            outputs.append(output.readlines())
            say(f"--- {name}")
            say("".join(outputs[-1]).rstrip("\n"))
    for line in filter(FAULT.search, chain.from_iterable(outputs)):
        say(line.rstrip("\n"))
    say(closing_line(outputs, time.monotonic() - began))
    return not any(process.returncode for process in started)


def _start(
    command: list[str], output: int | IO[str], background: bool = False
) -> subprocess.Popen[str]:
    variables = {"VIVAVOCE_FUZZ_S": FUZZ_S, **os.environ}
    lowered = ["nice", "-n", "19"] if background and shutil.which("nice") else []
    return subprocess.Popen(
        [*lowered, *command],
        cwd=ROOT,
        env=variables,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _told(process: subprocess.Popen[str]) -> Iterator[str]:
    """What a process says, line by line, said on."""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            say(line.rstrip("\n"))
            yield line


def closing_line(outputs: list[list[str]], seconds: float) -> str:
    """One line for several runs, as pytest ends each of them; a run without one is an error."""
    counts: Counter[str] = Counter()
    for lines in outputs:
        last = next((line for line in reversed(lines) if CLOSING.search(line)), "1 error")
        for count, what in COUNT.findall(last):
            counts["error" if what == "errors" else what] += int(count)
    if counts["error"] > 1:
        counts["errors"] = counts.pop("error")
    found = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    found = found or "no tests ran"
    return f" {found} in {seconds:.2f}s ".center(80, "=")


def _passes(python: Path, name: str, command: list[str]) -> bool:
    say(f"--- {name}")
    return subprocess.run([str(python), *command], cwd=ROOT).returncode == 0


if __name__ == "__main__":
    raise SystemExit(environment.interruptible(lambda: main(sys.argv[1:])))
