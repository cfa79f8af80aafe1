from __future__ import annotations

import pytest

from vivavoce.bench.fit import LatencyLimit, search_sessions
from vivavoce.bench.statistics import summarize
from vivavoce.errors import ConfigError


@pytest.mark.parametrize("limit", range(60))
async def test_the_search_ends_close_below_the_limit(limit: int) -> None:
    tried: list[int] = []

    async def try_sessions(number: int) -> bool:
        tried.append(number)
        return number <= limit

    found = await search_sessions(try_sessions, 40)
    expected = min(limit, 40)
    assert found <= expected
    assert expected - found <= found // 8
    assert len(tried) == len(set(tried)) <= 12
    assert found == 0 or found in tried


def test_a_limit_is_a_percentile_and_seconds() -> None:
    limit = LatencyLimit.parse("p95=1.5")
    assert (limit.percentile, limit.limit_s) == ("p95", 1.5)


@pytest.mark.parametrize("text", ["", "p95", "p95=", "p95=-1", "p95=0", "p42=1", "p95=1s", "1.0"])
def test_other_limits_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no limit of latency"):
        LatencyLimit.parse(text)


def test_slow_refused_and_unanswered_runs_do_not_fit() -> None:
    limit = LatencyLimit.parse("p90=1.0")
    fast, slow = summarize([0.5] * 19 + [3.0]), summarize([0.5] * 17 + [3.0] * 3)
    assert limit.is_kept(fast, 1.0, 0)
    assert not limit.is_kept(slow, 1.0, 0)
    assert not limit.is_kept(fast, 0.9, 0)
    assert not limit.is_kept(fast, 1.0, 1)
    assert not limit.is_kept(None, 1.0, 0)
