"""What an examination found: a severity, a sentence, and for a fault its code and fix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from vivavoce.cli.errors import CliError, ErrorCode


class Severity(IntEnum):
    """How bad it is; the worst one is the exit status of `vivavoce doctor`.

    A note is something to know that is not wrong.
    """

    NOTE = -1
    OK = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `group` is what it belongs to: host, tls, engines, …"""

    group: str
    severity: Severity
    text: str
    code: ErrorCode | None = None
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        found: dict[str, Any] = {
            "group": self.group,
            "severity": self.severity.name.lower(),
            "what": self.text,
        }
        if self.code is not None:
            found |= {"code": self.code.value, "fix": self.fix}
        return found


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried next, and may take seconds."""

    text: str


def ok_finding(group: str, text: str) -> Finding:
    """Nothing is wrong."""
    return Finding(group, Severity.OK, text)


def error_finding(group: str, failure: CliError, severity: Severity = Severity.ERROR) -> Finding:
    """Something is wrong."""
    return Finding(group, severity, failure.problem, failure.code, failure.fix)


def worst_severity(findings: Sequence[Finding]) -> Severity:
    """The severity of the whole."""
    return max((each.severity for each in findings if each.severity > 0), default=Severity.OK)
