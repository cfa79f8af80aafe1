"""Which tests continuous integration may skip.

Elsewhere a test that lacks something skips and says so. Where `CI=true`, a green run must mean
that the thing works: there a skip is a failure, unless its reason is one of those below.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from pathlib import Path

import pytest

PERMITTED = (
    r"\w+ is not on this machine",  # another shell
    r"Node and npm are not installed",
    r"Node \S+ is older than the SDK allows",
    r"espeak-ng is not installed",
    r"user namespaces may not be made here",
    r"this system has no Debian package tools",
    r"VIVAVOCE_PARTNERS is not set",
    r".* run scripts/partners\.py",
    r"the recordings of the wheel \S+ can't be fetched here",
)
"""Programs of the system that not every machine has, downloads that are not ours, and rights."""

PERMITTED_WITHOUT_SHARED = (
    r"the document with the samples is not at",
    r"the recordings are not here",
    r"no recordings under",
)
"""Material that lies beside some checkouts."""

SHARED = Path(os.environ.get("VIVAVOCE_SHARED") or Path(__file__).parent.parent.parent / "shared")


def permitted(reason: str, shared: bool) -> bool:
    """Whether a test may be skipped for this; `shared` is whether that folder is there."""
    patterns = PERMITTED if shared else (*PERMITTED, *PERMITTED_WITHOUT_SHARED)
    return any(re.match(pattern, reason) for pattern in patterns)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn what may not be skipped here into a failure."""
    report = yield
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return report
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not permitted(reason, SHARED.is_dir()):
        report.outcome = "failed"
        report.longrepr = f"Skipped, which it must not be where CI=true: {reason}"
    return report
