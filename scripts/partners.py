"""Real frameworks against the server: makes an environment for each, and runs their tests.

    python3 scripts/partners.py                     all of them
    python3 scripts/partners.py pipecat livekit     only these
    python3 scripts/partners.py adk -- -x -v        what follows `--` goes to pytest

Each framework goes into a virtual environment of its own in .venv/partners (or in the folder that
VIVAVOCE_PARTNERS names), because they disagree about versions of Google's SDK. They take about
2 GB together. Nothing leaves this machine but the downloads.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import environment
from environment import ROOT, say

PACKAGES = {
    "adk": ["google-adk"],
    "livekit": ["livekit-agents", "livekit-plugins-google"],
    "pipecat": ["pipecat-ai[google]"],
    "vision": ["vision-agents[gemini]"],
}


def main(arguments: list[str]) -> int:
    """pytest's status; 2 for an unknown framework."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    names, rest = arguments[:at] or list(PACKAGES), arguments[at + 1 :]
    if unknown := [name for name in names if name not in PACKAGES]:
        say(f"Unknown: {', '.join(unknown)}. There are {', '.join(PACKAGES)}.")
        return 2
    python = environment.ready(("test",))
    folder = Path(os.environ.get("VIVAVOCE_PARTNERS") or environment.FOLDER / "partners").resolve()
    missing = [name for name in names if not _install(python, folder / name, PACKAGES[name])]
    if missing:
        say(f"Not installed, so skipped: {', '.join(missing)}")
    chosen = " or ".join(names)
    tests = [str(python), "-m", "pytest", "tests/partners", "-k", chosen, *rest]
    surroundings = {**os.environ, "VIVAVOCE_PARTNERS": str(folder)}
    return subprocess.run(tests, cwd=ROOT, env=surroundings).returncode


def _install(python: Path, folder: Path, packages: list[str]) -> bool:
    """A framework in an environment of its own; the project's pip installs into it."""
    done = folder / "installed"
    if done.exists():
        return True
    say(f"Installing {' '.join(packages)} into {folder}")
    made = subprocess.run([str(python), "-m", "venv", "--without-pip", str(folder)])
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--python", str(folder)]
    if made.returncode or subprocess.run([*pip, "install", "--quiet", *packages]).returncode:
        return False
    done.touch()
    return True


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
