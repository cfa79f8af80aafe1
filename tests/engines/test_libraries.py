"""The command that a missing library's error names."""

from __future__ import annotations

import sys
from importlib.metadata import requires

from vivavoce.engines.libraries import DISTRIBUTIONS, missing_library


def test_the_command_installs_into_this_environment() -> None:
    error = missing_library("detector.toy", "no_such_library.inner")
    assert str(error).startswith("detector.toy: no_such_library is not installed.")
    assert error.fix == f"Run `{sys.executable} -m pip install no_such_library`."


def test_the_command_names_the_versions_that_this_project_accepts() -> None:
    assert "'uvicorn<0.60,>=0.50'" in missing_library("edge", "uvicorn").fix


def test_a_module_whose_distribution_has_another_name_is_found() -> None:
    declared = " ".join(requires("vivavoce") or [])
    assert DISTRIBUTIONS["pydantic_monty"] in declared
    assert "'pydantic-monty>=" in missing_library("sandbox.monty", "pydantic_monty").fix
