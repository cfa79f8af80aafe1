"""Run pytest and record which tests failed: `pytest_lane.py REPORT [ARGUMENT ...]`.

`scripts/test.py` starts one of these for each of its lanes. REPORT is JSON:

    {"finished": true, "failed": {"tests/a.py::test_b": {"passed": 0, "lines": ["...", "..."]}}}

`finished` is whether all tests ran, `passed` whether the test itself did and only its clean-up
failed, `lines` how its failure ends.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

LAST_LINES = 15


class FailureRecorder:
    """A pytest plugin that writes the report when the session ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed: dict[str, dict[str, Any]] = {}
        self._passed: set[str] = set()
        self._collected = True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._collected = self._collected and not report.failed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self._passed.add(report.nodeid)
        if report.failed and report.nodeid not in self._failed:
            self._failed[report.nodeid] = {
                "passed": int(report.nodeid in self._passed),
                "lines": report.longreprtext.splitlines()[-LAST_LINES:],
            }

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        finished = ended and self._collected and not (session.shouldfail or session.shouldstop)
        self._path.write_text(json.dumps({"finished": finished, "failed": self._failed}))


if __name__ == "__main__":
    sys.path[0] = os.getcwd()  # as `python -m pytest` has it, and not this script's folder
    raise SystemExit(pytest.main(sys.argv[2:], plugins=[FailureRecorder(Path(sys.argv[1]))]))
