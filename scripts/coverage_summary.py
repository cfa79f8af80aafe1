"""Summarize coverage.py's JSON report: the shares of lines and branches that ran, by package."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

ALL = "all"


def summarize_coverage(report: Path) -> list[str]:
    """A table with a row a package and one for all; empty without a report."""
    if not report.exists():
        return []
    counts: dict[str, Counter[str]] = {}
    for name, file in json.loads(report.read_text())["files"].items():
        for key in (_package(name), ALL):
            counts.setdefault(key, Counter()).update(file["summary"])
    rows = [(key, counts[key]) for key in sorted(counts, key=lambda key: (key == ALL, key))]
    return [f"{'coverage':<14} lines  branches", *(_row(key, counted) for key, counted in rows)]


def _package(path: str) -> str:
    """The package of a file of `vivavoce`, or its name if it is in none."""
    return Path(path.rpartition("vivavoce/")[2]).parts[0].removesuffix(".py")


def _row(key: str, counts: Counter[str]) -> str:
    lines = _share(counts["covered_lines"], counts["num_statements"])
    branches = _share(counts["covered_branches"], counts["num_branches"])
    return f"{key:<14} {lines:>5}  {branches:>8}"


def _share(covered: int, of: int) -> str:
    return f"{covered / of:.0%}" if of else "-"
