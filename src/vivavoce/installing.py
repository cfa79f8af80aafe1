"""The commands that add a library to this program's own environment.

The project is not on a package index, so that no extra of it can be installed by name; a message
names the library itself, with the versions that the project accepts.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*([^;\[\]]*)")


def install_command(distribution: str, *options: str) -> str:
    """The command that installs `distribution` in an accepted version, as it is typed here.

    `options` are pip's own.
    """
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    pip = [str(python), "-m", "pip", "install"]
    if importlib.util.find_spec("pip") is None:
        pip = ["pip", "--python", str(python), "install"]
    return shlex.join([*pip, *options, distribution + accepted_versions(distribution)])


def accepted_versions(distribution: str) -> str:
    """The version specifier that the project declares for `distribution`; empty without one."""
    try:
        declared = requires("vivavoce") or []
    except PackageNotFoundError:
        declared = []
    found = [match for each in declared if (match := _REQUIREMENT.match(each))]
    return next((each[2].strip() for each in found if each[1].lower() == distribution), "")
