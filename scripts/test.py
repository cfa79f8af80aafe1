"""Everything that is checked: lint, formatting, types and all tests.

    python3 scripts/test.py                    everything
    python3 scripts/test.py -k interrupted     the checks, and those tests
    python3 scripts/test.py --no-lint tests/core

Arguments other than `--no-lint` go to pytest. Needs Python 3.11 and pip; with Node and npm the
JavaScript SDK is tried too, otherwise those tests are skipped and say so. Where `CI=true`, it
fails if the weights or bubblewrap can't be fetched, and tests/skips.py says which tests may still
be skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import environment
from environment import ROOT, say

CHECKS = (
    ("ruff check", ["-m", "ruff", "check", "."]),
    ("ruff format", ["-m", "ruff", "format", "--check", "."]),
    ("mypy", ["-m", "mypy"]),
)

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
    tested = subprocess.run([str(python), "-m", "pytest", *arguments], cwd=ROOT).returncode == 0
    return 0 if tested and not failed else 1


def _passes(python: Path, name: str, command: list[str]) -> bool:
    say(f"--- {name}")
    return subprocess.run([str(python), *command], cwd=ROOT).returncode == 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
