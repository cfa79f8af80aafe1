"""Search the number of sessions that a server carries within a limit of latency."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vivavoce.bench.statistics import Summary
from vivavoce.errors import ConfigError

MIN_ANSWERED = 0.95
"""Below this share of answered turns, a number of sessions does not fit, however fast the rest."""

PRECISION = 8
"""The search ends when the step is smaller than the result divided by this."""


@dataclass(frozen=True, slots=True)
class LatencyLimit:
    """A limit such as `p95=1.0`: a percentile of the latency, and seconds."""

    percentile: str
    limit_s: float

    @classmethod
    def parse(cls, text: str) -> LatencyLimit:
        """Parse `p95=1.0`. Raises `ConfigError`."""
        match = re.fullmatch(r"(p50|p90|p95|p99)=(\d+(?:\.\d+)?)", text)
        if match is None or not float(match[2]):
            raise ConfigError(
                f"{text!r} is no limit of latency.", "Give one such as --fit p95=1.0 (seconds)."
            )
        return cls(match[1], float(match[2]))

    def __str__(self) -> str:
        return f"{self.percentile} ≤ {self.limit_s:g} s"

    def is_kept(self, latencies: Summary | None, answered_share: float, refused: int) -> bool:
        """Return whether a run keeps the limit; one with refused users does not."""
        if latencies is None or refused or answered_share < MIN_ANSWERED:
            return False
        return float(getattr(latencies, self.percentile)) <= self.limit_s


async def search_sessions(try_sessions: Callable[[int], Awaitable[bool]], most: int) -> int:
    """Return the largest number of sessions that fits, at most `most`; 0 if not even one does.

    Doubles the number until it does not fit, then halves the step between the last that fits and
    the first that does not. `try_sessions` runs a number of them and returns whether they fit.
    """
    fits, number = 0, 1
    while await try_sessions(number):
        fits = number
        if number == most:
            return fits
        number = min(2 * number, most)
    too_many = number
    while too_many - fits > max(1, fits // PRECISION):
        number = (fits + too_many) // 2
        if await try_sessions(number):
            fits = number
        else:
            too_many = number
    return fits
