"""The commands that add libraries to this program's own environment.

The project is not on a package index, so that no extra of it can be installed by name; a message
names the libraries themselves, with the versions that the project accepts.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

_REQUIREMENT = re.compile(
    r"([A-Za-z0-9._-]+)\s*([^;\[\]]*)(?:;.*\bextra\s*==\s*['\"]([a-z]+)['\"])?"
)
_WHOLE = frozenset({"embedded", "tools"})
"""Extras whose libraries are of use only together."""


def install_command(distribution: str, *options: str) -> str:
    """The command that installs `distribution` in an accepted version, as it is typed here.

    Those of its extra come with it where one alone would be of no use. `options` are pip's own.
    """
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    pip = [str(python), "-m", "pip", "install"]
    if importlib.util.find_spec("pip") is None:
        pip = ["pip", "--python", str(python), "install"]
    return shlex.join([*pip, *options, *_wanted(distribution)])


def accepted_versions(distribution: str) -> str:
    """The version specifier that the project declares for `distribution`; empty without one."""
    return next((versions for name, versions, _ in _declared() if name == distribution), "")


def _wanted(distribution: str) -> list[str]:
    """The requirement for `distribution`, with those of its extra where they belong together."""
    declared = _declared()
    extras = {extra for name, _, extra in declared if name == distribution} & _WHOLE
    if extras:
        return [name + versions for name, versions, extra in declared if extra in extras]
    return [distribution + accepted_versions(distribution)]


def _declared() -> list[tuple[str, str, str]]:
    """Name, versions and extra of each library that the project declares."""
    try:
        declared = requires("vivavoce") or []
    except PackageNotFoundError:
        declared = []
    found = [match for each in declared if (match := _REQUIREMENT.match(each))]
    return [(each[1].lower(), each[2].strip(), each[3] or "") for each in found]
