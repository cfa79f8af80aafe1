"""A green run of continuous integration has skipped nothing that matters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skips import permitted

pytestmark = pytest.mark.integration

SKIPPING = """
import pytest

@pytest.fixture
def weights():
    pytest.skip("weights are not here (silero): run `vivavoce pull`")

def test_in_a_fixture(weights):
    pass

def test_in_its_body():
    pytest.skip("npm could not install wavefile: offline")

@pytest.mark.skipif(True, reason="espeak-ng is not installed")
def test_by_a_mark():
    pass

@pytest.mark.xfail(reason="known", strict=True)
def test_known():
    raise AssertionError
"""


def closing_line(folder: Path, **surroundings: str) -> str:
    (folder / "test_it.py").write_text(SKIPPING)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "skips", "-p", "no:cacheprovider", "test_it.py"],
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if name != "CI"},
            "PYTHONPATH": str(Path(__file__).parent),
            **surroundings,
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.splitlines()[-1]


def test_a_skip_is_a_failure_there(tmp_path: Path) -> None:
    assert "1 failed, 1 skipped, 1 xfailed, 1 error in" in closing_line(tmp_path, CI="true")


def test_a_skip_is_a_skip_elsewhere(tmp_path: Path) -> None:
    assert "3 skipped, 1 xfailed in" in closing_line(tmp_path)


@pytest.mark.parametrize(
    ("reason", "with_shared", "without"),
    [
        ("zsh is not on this machine", True, True),
        ("Node and npm are not installed", True, True),
        ("user namespaces may not be made here", True, True),
        ("bubblewrap is not installed, and can't be fetched here", False, False),
        ("npm could not install wavefile: offline", False, False),
        ("weights are not here (silero): run `vivavoce pull`", False, False),
        ("google-genai is not installed", False, False),
        ("the document with the samples is not at shared/seed.txt", False, True),
    ],
)
def test_what_may_be_absent(reason: str, with_shared: bool, without: bool) -> None:
    assert permitted(reason, shared=True) is with_shared
    assert permitted(reason, shared=False) is without
