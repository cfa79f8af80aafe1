"""Errors for Python libraries that an engine needs and this environment lacks."""

from __future__ import annotations

import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError, requires

from vivavoce.errors import EngineMissing

DISTRIBUTIONS = {"hibari": "hibari-tts", "pydantic_monty": "pydantic-monty"}
"""Distributions of the index whose name is not that of the module they install."""

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*([^;\[\]]*)")


def missing_library(engine: str, error: ImportError, module: str = "") -> EngineMissing:
    """The error for a library that can't be imported, with the command that installs it.

    `module` is the library's name where `error` names none.
    """
    top = (error.name or module or "a library").partition(".")[0]
    problem = f"{top} is not installed."
    if not isinstance(error, ModuleNotFoundError):
        problem = f"{top} can't be loaded ({error})."
    return EngineMissing(engine, problem, f"Run `{_command(top)}`.")


def _command(module: str) -> str:
    """The command that installs the versions which this project accepts, into this environment."""
    name = DISTRIBUTIONS.get(module, module)
    try:
        declared = requires("vivavoce") or []
    except PackageNotFoundError:
        declared = []
    found = [match for each in declared if (match := _REQUIREMENT.match(each))]
    versions = next((each[2].strip() for each in found if each[1].lower() == name), "")
    return shlex.join([sys.executable, "-m", "pip", "install", name + versions])
