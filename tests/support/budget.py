"""Choose how much a property walk tries: a little by default, a lot where time is not short."""

from __future__ import annotations

import os


def is_long() -> bool:
    """Whether walks take their time: in continuous integration, or with `VIVAVOCE_LONG=1`."""
    return os.environ.get("CI") == "true" or bool(os.environ.get("VIVAVOCE_LONG"))


def budget(short: int, long: int) -> int:
    """How many examples, seeds or steps to try."""
    return long if is_long() else short
