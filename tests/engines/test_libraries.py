"""The error of a missing library, and the command that it names."""

from __future__ import annotations

import sys
from pathlib import Path

from vivavoce.engines.libraries import missing_library


def test_the_command_installs_into_this_environment() -> None:
    absent = ModuleNotFoundError("No module named 'no_such'", name="no_such.inner")
    error = missing_library("detector.toy", absent)
    assert str(error).startswith("detector.toy: no_such is not installed.")
    python, *rest = error.fix.removeprefix("Run `").removesuffix("`.").split()
    assert Path(python).absolute() == Path(sys.executable), "relative to the current folder"
    assert rest == ["-m", "pip", "install", "no_such"]


def test_a_library_that_is_there_and_breaks_says_why() -> None:
    error = missing_library("model.toy", ImportError("libomp.so.5: cannot open"), "toy_library")
    assert "toy_library can't be loaded (libomp.so.5: cannot open)." in str(error)


def test_the_command_names_the_versions_that_this_project_accepts() -> None:
    error = missing_library("edge", ModuleNotFoundError(name="uvicorn"))
    assert "'uvicorn<0.60,>=0.50'" in error.fix


def test_a_module_whose_distribution_has_another_name_is_found() -> None:
    error = missing_library("sandbox.monty", ModuleNotFoundError(name="pydantic_monty"))
    assert "'pydantic-monty>=" in error.fix
