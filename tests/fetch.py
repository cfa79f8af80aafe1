"""Programs that tests run, fetched from Debian's archive: `python tests/fetch.py bubblewrap redis`.

Where one can't be had it says so, and its tests skip; it is no failure where this user may not run
it in any case.
"""

from __future__ import annotations

import sys
from pathlib import Path

from engines import bwrap
from store import redis_server


def main(names: list[str]) -> int:
    """0 when all of them are there."""
    lacks = {"bubblewrap": _bubblewrap, "redis": _redis}
    return max(lacks[name]() for name in names)


def _bubblewrap() -> int:
    absent = bwrap.lack()
    return _said(absent or str(bwrap._had(Path(bwrap.FOLDER))), absent == bwrap.NOT_HERE)


def _redis() -> int:
    there = redis_server.program()
    return _said(there or redis_server.NOT_HERE, there is None)


def _said(line: str, failed: bool) -> int:
    sys.stdout.write(f"{line}\n")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
