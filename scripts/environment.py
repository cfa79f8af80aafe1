"""The project's own virtual environment, made with the standard library and pip alone.

Fresh Debian and Ubuntu machines have Python and pip but lack `ensurepip` (it is in the package
python3-venv), so a plain `python3 -m venv` fails there. This makes the environment without
pip and has the machine's pip install into it.

Only what Python 3.8 understands is used up to `require_python`, so that an older Python gets a
sentence and not a syntax error.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv"


def interpreter(folder: Path) -> Path:
    """The Python of the virtual environment in `folder`."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


PYTHON = interpreter(FOLDER)
OLDEST = (3, 11)

# Twice: once hides what goes well, twice also the warnings, which some configurations of pip
# bring by the dozen. Errors are still written.
QUIETLY = ("--quiet", "--quiet")


def say(line: str) -> None:
    """A line for the user, at once even into a pipe."""
    print(line, flush=True)


def fail(problem: str) -> None:
    """Say what is wrong and how to mend it, and end with 1."""
    sys.stdout.flush()
    raise SystemExit(problem)


def interruptible(work: Callable[[], int]) -> int:
    """The exit code of `work`; 130, after a sentence, when Ctrl-C ends it."""
    try:
        return work()
    except KeyboardInterrupt:
        say("Interrupted. What is installed is kept: the same command continues from there.")
        return 130


def require_python() -> None:
    """End with a sentence if this Python is too old."""
    if sys.version_info < OLDEST:
        running = ".".join(str(part) for part in sys.version_info[:3])
        fail(
            f"vivavoce needs Python 3.11 or newer, and this is {running}. "
            "Run the script with a newer one, for example: python3.11 scripts/start.py"
        )


def ready(groups: tuple[str, ...] = ()) -> Path:
    """The environment's Python, with the project, its embedded engines and the groups installed.

    Does nothing when that was done before with the same pyproject.toml.
    """
    require_python()
    if is_installed(groups):
        return PYTHON
    began = time.monotonic()
    if not _is_complete():
        say(f"Making a virtual environment in {FOLDER}")
        make(FOLDER)
    extra = " and the tools for its tests" if groups else ""
    say(f"Installing vivavoce{extra} into it (about 150 MB the first time, then nothing)")
    _pip("install", "--editable", f"{ROOT}[embedded,tools,talk]", *_requirements(groups))
    _stamp(groups).write_text(_state())
    say(f"Installed in {time.monotonic() - began:.0f} s")
    return PYTHON


def is_installed(groups: tuple[str, ...] = ()) -> bool:
    """Whether `ready` has nothing to do."""
    stamp = _stamp(groups)
    return PYTHON.exists() and stamp.exists() and stamp.read_text() == _state()


def _is_complete() -> bool:
    """Whether the virtual environment runs and has pip; an interruption may have left less."""
    try:
        tried = subprocess.run([str(PYTHON), "-c", "import pip"], stderr=subprocess.DEVNULL)
    except OSError:
        return False
    return tried.returncode == 0


def _stamp(groups: tuple[str, ...]) -> Path:
    """The file that records what was installed."""
    return FOLDER / ("installed-" + "-".join(("project", *groups)))


def _state() -> str:
    """What the installation depends on: another pyproject.toml or Python makes it stale."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return f"{digest} {sys.version_info[0]}.{sys.version_info[1]} {ROOT}"


def _requirements(groups: tuple[str, ...]) -> list[str]:
    """The requirements of dependency groups; read here because older pips know no groups."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [line for group in groups for line in project["dependency-groups"][group]]


def make(folder: Path) -> Path:
    """Make an empty virtual environment with pip in `folder`. Returns its Python."""
    python = interpreter(folder)
    whole = importlib.util.find_spec("ensurepip") is not None
    without = [] if whole else ["--without-pip"]
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", *without, str(folder)])
    if made.returncode != 0:
        fail(f"The virtual environment could not be made in {folder}: see the lines above.")
    if whole:
        return python
    # The machine's pip puts a pip of the environment's own into it.
    if importlib.util.find_spec("pip") is None:
        fail(
            "This Python has neither pip nor ensurepip. "
            "Install one of them, for example: sudo apt install python3-pip"
        )
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", *QUIETLY, "pip"]
    if subprocess.run(command).returncode != 0:
        fail(
            "pip could not install into the new environment: see the lines above. "
            "If this pip is older than 22.3, run: sudo apt install python3-venv"
        )
    return python


def _pip(*arguments: str) -> None:
    # Compiling every module of every package takes 14 s of processor time, and Python compiles
    # those that it imports by itself.
    arguments = (*arguments, "--no-compile")
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", *QUIETLY, *arguments]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        fail("pip could not install: see the lines above. Is this machine online?")
