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


def missing_library(engine: str, module: str) -> EngineMissing:
    """The error for a `module` that can't be imported, with the command that installs it."""
    top = module.partition(".")[0]
    return EngineMissing(engine, f"{top} is not installed.", f"Run `{_command(top)}`.")


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
