"""Build the error for a missing library, with the pip command that installs it.

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

from vivavoce.errors import EngineMissing

_REQUIREMENT = re.compile(
    r"([A-Za-z0-9._-]+)\s*([^;\[\]]*)(?:;.*\bextra\s*==\s*['\"]([a-z]+)['\"])?"
)
_EXTRAS_INSTALLED_TOGETHER = frozenset({"embedded", "tools"})
"""Extras whose libraries work only together."""

DISTRIBUTIONS = {
    "charset_normalizer": "charset-normalizer",
    "hibari": "hibari-tts",
    "pydantic_monty": "pydantic-monty",
}
"""Distributions of the index whose name is not that of the module they install."""


def missing_library(engine: str, error: ImportError, module: str = "") -> EngineMissing:
    """Return the error for a library that can't be imported, with the command that installs it.

    `module` is the library's name where `error` names none.
    """
    top = (error.name or module or "a library").partition(".")[0]
    problem = f"{top} is not installed."
    if not isinstance(error, ModuleNotFoundError):
        problem = f"{top} can't be loaded ({error})."
    command = install_command(DISTRIBUTIONS.get(top, top))
    return EngineMissing(engine, problem, f"Run `{command}`.")


def install_command(distribution: str, *options: str) -> str:
    """Return the pip command that installs `distribution` in an accepted version.

    It includes the libraries of its extra where one alone does not work. `options` are pip's own.
    """
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    pip = [str(python), "-m", "pip", "install"]
    if importlib.util.find_spec("pip") is None:
        pip = ["pip", "--python", str(python), "install"]
    return shlex.join([*pip, *options, *_required(distribution)])


def accepted_versions(distribution: str) -> str:
    """Return the declared version specifier of `distribution`; empty without one."""
    return next((versions for name, versions, _ in _declared() if name == distribution), "")


def _required(distribution: str) -> list[str]:
    """Return a distribution's requirement, with those of its extra if they only work together."""
    declared = _declared()
    extras = {
        extra for name, _, extra in declared if name == distribution
    } & _EXTRAS_INSTALLED_TOGETHER
    if extras:
        return [name + versions for name, versions, extra in declared if extra in extras]
    return [distribution + accepted_versions(distribution)]


def _declared() -> list[tuple[str, str, str]]:
    """Return name, versions and extra of each library that the project declares."""
    try:
        declared = requires("vivavoce") or []
    except PackageNotFoundError:
        declared = []
    found = [match for each in declared if (match := _REQUIREMENT.match(each))]
    return [(each[1].lower(), each[2].strip(), each[3] or "") for each in found]
