"""Errors for Python libraries that an engine needs and this environment lacks."""

from __future__ import annotations

from vivavoce.errors import EngineMissing
from vivavoce.installing import install_command

DISTRIBUTIONS = {"hibari": "hibari-tts", "pydantic_monty": "pydantic-monty"}
"""Distributions of the index whose name is not that of the module they install."""


def missing_library(engine: str, error: ImportError, module: str = "") -> EngineMissing:
    """The error for a library that can't be imported, with the command that installs it.

    `module` is the library's name where `error` names none.
    """
    top = (error.name or module or "a library").partition(".")[0]
    problem = f"{top} is not installed."
    if not isinstance(error, ModuleNotFoundError):
        problem = f"{top} can't be loaded ({error})."
    command = install_command(DISTRIBUTIONS.get(top, top))
    return EngineMissing(engine, problem, f"Run `{command}`.")
