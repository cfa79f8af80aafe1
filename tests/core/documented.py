"""Tables of states, as the docstrings of their modules document them."""

from __future__ import annotations

import re


def read_tables(doc: str) -> dict[str, dict[str, str]]:
    """Read all tables headed by `state` into one: a cell by state and column, without dashes."""
    cells: dict[str, dict[str, str]] = {}
    columns: list[str] = []
    for line in doc.splitlines():
        words = re.split(r"\s{2,}", line.strip())
        if words[0] == "state":
            columns = words[1:]
        elif columns and len(words) == len(columns) + 1:
            found = zip(columns, words[1:], strict=True)
            cells.setdefault(words[0], {}).update({at: cell for at, cell in found if cell != "-"})
        else:
            columns = []
    return cells
