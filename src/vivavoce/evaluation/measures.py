"""Measures of turn taking, computed from times alone.

Definitions follow public benchmarks, whose code is not used:

    Full-Duplex-Bench v1    the model takes over if it speaks for a second or says more than three
                            words; take-over rate over clips; latency from the user's last word to
                            the model's first, negative ones as 0, over clips in which it took over
    Full-Duplex-Bench v1.5  what the model does after a sound over its speech: goes on, or stops,
                            and how long after the sound's onset
    eot-bench               each pause of 0.2 to 5 s inside a turn is cut off or not; mean delay at
                            true ends; the best policy under a limit of one of the two
    EVA, turn taking v0.2   a score of 0 to 1 for each turn from latency, overlap and yielding
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean

import numpy as np

from vivavoce.evaluation.clips import LabelledClip

MIN_PAUSE_S, MAX_PAUSE_S = 0.2, 5.0
"""Pauses of other lengths do not count."""

RESUME_LAG_S = 0.15
"""A detector sees up to so much later that speech goes on: an end within it belongs to the pause
before."""

SOFT_END_S = 0.2
"""Words may end so softly that a detector hears none of their last part: an end that was found so
shortly before a silence belongs to it."""


# --- ends and pauses ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DetectedTurn:
    """Turn ends detected in one clip: the pauses taken for its end, and the delay of its end.

    `delay_s` counts from the last word; `None` if the end was not found before the clip's own.
    `inside_speech` are ends that were found while the voice spoke.
    """

    name: str
    kind: str
    pauses_s: tuple[float, ...]
    cut_off: tuple[bool, ...]
    delay_s: float | None
    inside_speech: int = 0


def judge_ends(clip: LabelledClip, ends_s: Iterable[float]) -> DetectedTurn:
    """Assign each end that was found to the silence in which it was, or to speech."""
    cut_off = [False] * len(clip.pauses)
    delay_s: float | None = None
    inside_speech = 0
    for found_s in sorted(ends_s):
        if found_s >= clip.end_s - SOFT_END_S:
            delay_s = max(0.0, found_s - clip.end_s) if delay_s is None else delay_s
            continue
        places = [
            place
            for place, (begin, end) in enumerate(clip.pauses)
            if begin - SOFT_END_S <= found_s <= end + RESUME_LAG_S
        ]
        if places:
            cut_off[places[-1]] = True
        else:
            inside_speech += 1
    lengths = tuple(end - begin for begin, end in clip.pauses)
    return DetectedTurn(clip.name, clip.kind, lengths, tuple(cut_off), delay_s, inside_speech)


def cut_off_rate(outcomes: Iterable[DetectedTurn]) -> float | None:
    """Return the share of pauses that were taken for an end; `None` without pauses."""
    return _mean(
        float(cut_off)
        for outcome in outcomes
        for length_s, cut_off in zip(outcome.pauses_s, outcome.cut_off, strict=True)
        if MIN_PAUSE_S - 0.02 <= length_s <= MAX_PAUSE_S
    )


def take_over_rate(outcomes: Iterable[DetectedTurn]) -> float | None:
    """Return the share of clips with pauses in which one, or speech, was taken for the end."""
    return _mean(
        float(any(outcome.cut_off) or outcome.inside_speech > 0)
        for outcome in outcomes
        if outcome.pauses_s
    )


def mean_delay_s(outcomes: Sequence[DetectedTurn], missed_s: float) -> float | None:
    """Return the mean delay of ends; one that was not found counts as `missed_s`."""
    return _mean(missed_s if each.delay_s is None else each.delay_s for each in outcomes)


# --- the curve of false cut-offs against delay -------------------------------------------


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One policy: its settings in words, the mean delay at true ends, the share of cut-offs."""

    policy: str
    delay_s: float
    cut_offs: float


def fewest_cut_offs(points: Iterable[OperatingPoint], delay_s: float) -> OperatingPoint | None:
    """Return the point with the fewest cut-offs whose mean delay is at most `delay_s`."""
    allowed = [point for point in points if point.delay_s <= delay_s + 1e-9]
    return min(allowed, key=lambda point: (point.cut_offs, point.delay_s), default=None)


def least_delay(points: Iterable[OperatingPoint], cut_offs: float) -> OperatingPoint | None:
    """Return the point with the least delay whose share of cut-offs is at most `cut_offs`."""
    allowed = [point for point in points if point.cut_offs <= cut_offs + 1e-9]
    return min(allowed, key=lambda point: (point.delay_s, point.cut_offs), default=None)


def frontier(points: Iterable[OperatingPoint]) -> list[OperatingPoint]:
    """Return the points that no other one beats in both delay and cut-offs, by delay."""
    best: list[OperatingPoint] = []
    for point in sorted(points, key=lambda each: (each.delay_s, each.cut_offs)):
        if not best or point.cut_offs < best[-1].cut_offs:
            best.append(point)
    return best


LONGEST_S = 3.5
"""Delay of a turn's end that is not found."""


@dataclass(frozen=True, slots=True)
class ScoredSilence:
    """One silence with the model's scores: (seconds since it began, probability of the end).

    `duration_s` is how long the silence lasts; that of an end is unlimited.
    """

    is_end: bool
    duration_s: float
    scores: tuple[tuple[float, float], ...]

    def acts_at(self, threshold: float, action_s: float, timeout_s: float) -> float:
        """Return when a policy ends the turn.

        That is when the latest score is above the threshold, but not before `action_s` of silence,
        and in any case at `timeout_s`. A silence without a score was not seen by the detector, and
        ends no turn: `LONGEST_S`.
        """
        if not self.scores:
            return LONGEST_S
        for place, (time_s, score) in enumerate(self.scores):
            until_s = self.scores[place + 1][0] if place + 1 < len(self.scores) else inf
            at_s = max(time_s, action_s)
            if score > threshold and at_s < until_s:
                return min(at_s, timeout_s)
        return timeout_s


WINDOWS_S = tuple(step / 20 for step in range(1, 71))
"""Windows of silence alone."""

THRESHOLDS = tuple(step / 50 for step in range(50))
ACTION_DELAYS_S = tuple(step / 20 for step in range(4, 21))
TIMEOUTS_S = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
"""What a policy chooses from: the score that ends a turn, the least silence before that, and the
silence after which it ends in any case."""


def sweep_windows(silences: Sequence[ScoredSilence], lag_s: float) -> list[OperatingPoint]:
    """Return a point for every window of silence alone. Any score is above its threshold.

    The silences are those of `sweep_policies`: a model that knows nothing has the same points.
    """
    return _points(
        silences,
        (
            (f"silence of {1000 * window_s:.0f} ms", (-1.0, window_s + lag_s, LONGEST_S))
            for window_s in WINDOWS_S
        ),
    )


def sweep_policies(silences: Sequence[ScoredSilence], lag_s: float) -> list[OperatingPoint]:
    """Return a point for every policy. `lag_s` is how late the detector sees a silence begin."""
    return _points(
        silences,
        (
            (
                f"score > {threshold:g}, {action_s:g} to {timeout_s:g} s",
                (threshold, action_s + lag_s, timeout_s + lag_s),
            )
            for threshold in THRESHOLDS
            for action_s in ACTION_DELAYS_S
            for timeout_s in TIMEOUTS_S
        ),
    )


def _points(
    silences: Sequence[ScoredSilence], policies: Iterable[tuple[str, tuple[float, float, float]]]
) -> list[OperatingPoint]:
    ends = [each for each in silences if each.is_end]
    pauses = [each for each in silences if not each.is_end]
    if not ends or not pauses:
        return []
    points = []
    for policy, limits in policies:
        delays = [each.acts_at(*limits) for each in ends]
        cut = [each.duration_s > each.acts_at(*limits) for each in pauses]
        points.append(OperatingPoint(policy, fmean(delays), sum(cut) / len(cut)))
    return points


# --- overlaps ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OverlapOutcome:
    """Response of the model to a sound over its speech; times from the sound's first sample.

    `stopped_after_s` is when it was interrupted, `None` if it went on. `reply_after_end_s` is when
    an answer to the sound began, counted from the sound's end. `late_bytes` is the old answer's
    audio that came after the interruption. `spoke` says whether it was speaking at all.
    """

    name: str
    kind: str
    takes_floor: bool
    spoke: bool
    stopped_after_s: float | None
    reply_after_end_s: float | None = None
    late_bytes: int = 0


# --- EVA ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TimedTurn:
    """The times of one user's turn and of the model's answer to it, in seconds.

    `latency_s` is from the user's last word to the model's first, `None` without an answer.
    `overlap_s` and `overlap_count` are of the model's speech during the user's turn. `yield_s` is
    how long the model spoke on after the user interrupted it; `None` if it was not interrupted.
    """

    latency_s: float | None
    overlap_s: float = 0.0
    overlap_count: int = 0
    yield_s: float | None = None


_EARLIEST_MS, _EARLY_MS, _LATE_MS, _LATEST_MS = -500.0, 500.0, 2000.0, 3500.0
_MAX_AFTER_INTERRUPTING = 0.5
_WORST_MS = 2000.0
_WORST_COUNT = 3


def latency_score(latency_s: float) -> float:
    """Return 1 from 0.5 to 2 s, falling to 0 at -0.5 s and at 3.5 s."""
    latency_ms = 1000 * latency_s
    rising = (latency_ms - _EARLIEST_MS) / (_EARLY_MS - _EARLIEST_MS)
    falling = (_LATEST_MS - latency_ms) / (_LATEST_MS - _LATE_MS)
    return max(0.0, min(1.0, rising, falling))


def turn_score(turn: TimedTurn) -> float | None:
    """Return the score of one turn; `None` for one that has no times.

    A turn in which the model interrupted the user scores 0.5 at most; one in which the user
    interrupted the model scores by how soon it yielded; the least of them counts.
    """
    scores: list[float] = []
    if turn.overlap_count:
        half = _MAX_AFTER_INTERRUPTING
        scores += [
            max(0.0, half * (1 - 1000 * turn.overlap_s / _WORST_MS)),
            max(0.0, half * (1 - (turn.overlap_count - 1) / (_WORST_COUNT - 1))),
        ]
        if turn.latency_s is not None and turn.latency_s > 0:
            scores.append(latency_score(turn.latency_s))
    if turn.yield_s is not None:
        scores.append(max(0.0, 1 - 1000 * max(0.0, turn.yield_s) / _WORST_MS))
    if not scores and turn.latency_s is not None:
        scores.append(latency_score(turn.latency_s))
    return min(scores, default=None)


def turn_taking_score(turns: Iterable[TimedTurn]) -> float | None:
    """Return the mean score of all turns that have one."""
    return _mean(score for turn in turns if (score := turn_score(turn)) is not None)


# --- numbers -----------------------------------------------------------------------------


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return a percentile, interpolated between neighbors; `None` of nothing."""
    return float(np.percentile(values, percent)) if values else None


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return fmean(found) if found else None
