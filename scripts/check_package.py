"""Build the wheel and the source distribution, install the wheel, and converse with it.

    python3 scripts/check_package.py

The wheel is built from the source distribution and installed into an empty virtual environment
without extras; there, `vivavoce demo --once` holds a conversation with the scripted engines.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import environment
from environment import QUIETLY, ROOT, say


def main() -> int:
    """0 when the installed wheel holds the conversation."""
    with tempfile.TemporaryDirectory(prefix="vivavoce-package-") as name:
        folder = Path(name)
        wheel = build_wheel(folder / "dist")
        python = environment.make(folder / "venv")
        _run(python, "-m", "pip", "install", *QUIETLY, "--no-compile", str(wheel), cwd=folder)
        say(f"Installed {wheel.name} without extras")
        _run(
            python, "-m", "vivavoce", "demo", "--once", "--plain", "--profile", "scripted",
            "--port", "0", cwd=folder,
        )  # fmt: skip
        say("The installed wheel held the scripted conversation")
    return 0


def build_wheel(folder: Path) -> Path:
    """Build both distributions into `folder`. Returns the wheel."""
    python = environment.ready(("package",))
    _run(python, "-m", "build", "--outdir", str(folder), str(ROOT), cwd=ROOT)
    wheels, archives = list(folder.glob("*.whl")), list(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(archives) != 1:
        environment.fail(f"Expected a wheel and a source archive, found {os.listdir(folder)}")
    return wheels[0]


def _run(python: Path, *arguments: str, cwd: Path) -> None:
    """Run a command; end with its sentence and 1 if it fails."""
    private = {"VIVAVOCE_STORE__PATH": str(cwd / "state.db"), "PYTHONPATH": ""}
    done = subprocess.run([str(python), *arguments], cwd=cwd, env=os.environ | private)
    if done.returncode != 0:
        environment.fail(f"`{' '.join(arguments[:4])}` failed with {done.returncode}: see above.")


if __name__ == "__main__":
    raise SystemExit(environment.interruptible(main))
