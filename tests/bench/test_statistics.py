from __future__ import annotations

import statistics

from vivavoce.bench.statistics import shown_percentiles, summarize


def test_percentiles_agree_with_the_standard_library() -> None:
    values = [float(n * n % 97) for n in range(1, 60)]
    summary = summarize(values)
    assert summary is not None
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    for name, percent in (("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99)):
        assert abs(getattr(summary, name) - cuts[percent - 1]) < 1e-9
    assert (summary.count, summary.minimum, summary.maximum) == (59, min(values), max(values))


def test_one_value_is_every_percentile_and_none_is_no_summary() -> None:
    one = summarize([0.25])
    assert one is not None
    assert one.p50 == one.p99 == one.mean == 0.25
    assert summarize([]) is None


def test_a_percentile_is_shown_of_enough_values() -> None:
    assert shown_percentiles(3) == ("p50", "maximum")
    assert shown_percentiles(99) == ("p50", "p90", "p95", "maximum")
    assert shown_percentiles(100) == ("p50", "p90", "p95", "p99", "maximum")
