"""Limit the log lines that clients can cause before they are admitted.

Such lines are written by `refusals`, and by uvicorn; no client may fill a disk or hide a line that
matters among thousands of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

LINES = 10
PERIOD_S = 60.0


@dataclass(slots=True)
class _Period:
    began: float
    lines: int = 0
    left_out: int = 0


class LineRateLimit(logging.Filter):
    """Pass at most `lines` of the same sentence in `period_s` seconds.

    The first line of the next period carries the number that was left out, as `left_out`.
    Sentences are told apart by their text before arguments are filled in.
    """

    def __init__(
        self,
        lines: int = LINES,
        period_s: float = PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._lines, self._period_s, self._clock = lines, period_s, clock
        self._periods: dict[str, _Period] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        now = self._clock()
        period = self._periods.get(str(record.msg))
        if period is None or now - period.began >= self._period_s:
            if period is not None and period.left_out:
                record.left_out = period.left_out
            period = self._periods[str(record.msg)] = _Period(now)
        period.lines += 1
        if period.lines <= self._lines:
            return True
        period.left_out += 1
        return False


refusals = logging.getLogger("vivavoce.http.refusals")
refusals.addFilter(LineRateLimit())
