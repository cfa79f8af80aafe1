"""Percentiles, always with the number of values beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

LEAST_VALUES = {"p50": 1, "p90": 10, "p95": 20, "p99": 100, "maximum": 1}
"""Values from which on a percentile is shown: of fewer, it is only the maximum by another name."""


def shown_percentiles(count: float) -> tuple[str, ...]:
    """Return the names of the percentiles that `count` values support."""
    return tuple(name for name, least in LEAST_VALUES.items() if count >= least)


@dataclass(frozen=True, slots=True)
class Summary:
    """Percentiles of `count` values, interpolated between neighbors; all in the values' unit."""

    count: int
    mean: float
    minimum: float
    p50: float
    p90: float
    p95: float
    p99: float
    maximum: float

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


def summarize(values: Sequence[float]) -> Summary | None:
    """Summarize values; `None` without any."""
    if not values:
        return None
    p50, p90, p95, p99 = (float(each) for each in np.percentile(values, (50, 90, 95, 99)))
    mean = float(np.mean(values))
    return Summary(len(values), mean, min(values), p50, p90, p95, p99, max(values))
