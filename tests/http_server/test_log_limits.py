"""Lines that clients cause are counted, and beyond a number left out."""

from __future__ import annotations

import logging

from vivavoce.http.log_limits import LineRateLimit


def record(sentence: str) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, "x.py", 1, sentence, None, None)


def test_a_sentence_is_written_so_often_in_a_period_and_others_are_not_affected() -> None:
    now = [0.0]
    limit = LineRateLimit(lines=2, period_s=60.0, clock=lambda: now[0])
    assert [limit.filter(record("a")) for _ in range(5)] == [True, True, False, False, False]
    assert limit.filter(record("b"))
    now[0] = 60.0
    line = record("a")
    assert limit.filter(line)
    assert vars(line)["left_out"] == 3
    line = record("b")
    assert limit.filter(line)
    assert "left_out" not in vars(line)
