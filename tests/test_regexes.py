"""No regular expression of the package takes time that grows faster than its text.

Those which only ever see text of a bounded length are held to that length.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

MADE_WHERE_USED = {
    "engines/function_calling/values.py", "engines/function_calling/phrases.py",
    "engines/function_calling/results.py", "engines/speech_text.py",
}  # fmt: skip
"""Modules with expressions that are made of parts when they are used, on bounded text."""


def pump(*arguments: str) -> list[str]:
    """The faults that `pumping.py` finds, in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("pumping.py")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_no_expression_takes_more_than_linear_time() -> None:
    faults = pump()
    made = {each.partition(":")[0] for each in faults if "is made where it is used" in each}
    assert [each for each in faults if "is made where it is used" not in each] == []
    assert made == MADE_WHERE_USED


@pytest.mark.parametrize(
    "expression", [r"(a+)+$", r"a*a*b", r"\s+x", r"[a-z]+://", r"v[0-9]+[a-z0-9]*!", r".*/ws/x"]
)
def test_an_expression_that_takes_more_is_found(expression: str) -> None:
    assert pump(expression)


@pytest.mark.parametrize("expression", [r"a+", r"(?<!\s)\s++x", r"/ws/v[0-9][a-z0-9]{0,15}!"])
def test_an_expression_that_takes_linear_time_is_not(expression: str) -> None:
    assert not pump(expression)
