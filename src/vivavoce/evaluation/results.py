"""Rows of the report, made from outcomes: ours, the published figures, and what may be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from math import inf
from statistics import fmean
from typing import Any

from vivavoce.evaluation.live_turns import SpokenOutcome
from vivavoce.evaluation.measures import (
    LONGEST_S,
    DetectedTurn,
    OperatingPoint,
    OverlapOutcome,
    TimedTurn,
    cut_off_rate,
    fewest_cut_offs,
    least_delay,
    mean_delay_s,
    percentile,
    take_over_rate,
    turn_taking_score,
)
from vivavoce.evaluation.published import SOURCES, published_figures


class Comparability(Enum):
    """Comparability of a row with published figures."""

    RATIO = "ratio"
    """The ratio of two of our rows with the ratio of the same two published."""
    DEFINITION = "definition"
    """Defined as published, on other recordings: orders of magnitude, and our own progress."""
    OURS = "ours only"


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One figure. `value` is for programs, `shown` for people; `count` is what it is made of."""

    tier: str
    name: str
    value: float | None
    shown: str
    count: int
    comparable: Comparability
    note: str = ""
    measure: str = ""
    """Key of the published figures that stand beside it; empty for none."""

    def as_json(self) -> dict[str, Any]:
        """Return the row with the published figures and their source."""
        row = asdict(self) | {"comparable": self.comparable.value}
        if self.measure:
            figures = published_figures(self.measure)
            row["published"] = {figure.system: figure.value for figure in figures}
            row["source"] = SOURCES[self.measure]
        return row


@dataclass(slots=True)
class EvaluationReport:
    """Everything that an evaluation found. `details` are the outcomes of single clips."""

    rows: list[ReportRow] = field(default_factory=list)
    details: dict[str, list[Any]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "rows": [row.as_json() for row in self.rows],
            "details": {
                name: [asdict(outcome) for outcome in outcomes]
                for name, outcomes in self.details.items()
            },
            "skipped": self.skipped,
        }


def as_ms(seconds: float | None) -> str:
    """Format a duration."""
    return "–" if seconds is None else f"{1000 * seconds:.0f} ms"


def as_share(share: float | None) -> str:
    """Format a share."""
    return "–" if share is None else f"{share:.2f}"


# --- turn detection ----------------------------------------------------------------------


def turn_end_rows(outcomes: Sequence[DetectedTurn], label: str) -> Iterator[ReportRow]:
    """Yield how late turn detection finds the end of turns without pauses."""
    whole = [each for each in outcomes if not each.pauses_s]
    delays = [each.delay_s for each in whole if each.delay_s is not None]
    p50, p90 = percentile(delays, 50), percentile(delays, 90)
    missed = len(whole) - len(delays)
    yield ReportRow(
        "turn-end",
        f"delay of turn detection, {label}",
        p50,
        f"p50 {as_ms(p50)}, p90 {as_ms(p90)}" + (f", {missed} not found" if missed else ""),
        len(whole),
        Comparability.OURS,
        "no answer in it: from the last word to the end of the turn",
    )


def pause_rows(outcomes: Sequence[DetectedTurn], label: str) -> Iterator[ReportRow]:
    """Yield how often pauses are taken for the end of the turn, of all and of each kind."""
    paused = [each for each in outcomes if each.pauses_s]
    if not paused:
        return
    share = take_over_rate(paused)
    yield ReportRow(
        "pauses",
        f"turns ended in a pause, {label}",
        share,
        as_share(share),
        len(paused),
        Comparability.DEFINITION,
        "the model would take over if it answered at once",
        "pauses",
    )
    rate = cut_off_rate(paused)
    yield ReportRow(
        "pauses",
        f"pauses taken for an end, {label}",
        rate,
        as_share(rate),
        sum(len(each.pauses_s) for each in paused),
        Comparability.OURS,
        _by_kind(paused),
    )


def _by_kind(outcomes: Sequence[DetectedTurn]) -> str:
    kinds = dict.fromkeys(each.kind for each in outcomes)
    if len(kinds) < 2:
        return ""
    rates = {k: cut_off_rate(each for each in outcomes if each.kind == k) for k in kinds}
    return ", ".join(f"{kind} {as_share(rate)}" for kind, rate in rates.items())


_LIMITS: tuple[tuple[str, float, bool], ...] = (
    ("curve-300", 0.3, True),
    ("curve-600", 0.6, True),
    ("curve-5", 0.05, False),
    ("curve-10", 0.1, False),
)


def curve_rows(
    silence: Sequence[OperatingPoint],
    model: Sequence[OperatingPoint],
    label: str,
    count: int,
    heard: bool = False,
) -> Iterator[ReportRow]:
    """Yield the best policies under four limits, by silence alone and with the turn model.

    `heard`: the points contain the detector's lag and computing, so nothing published is alike.
    """
    for measure, limit, by_delay in _LIMITS:
        find: Callable[[Iterable[OperatingPoint], float], OperatingPoint | None]
        find = fewest_cut_offs if by_delay else least_delay
        alone = find(silence, limit)
        limited = f"a mean delay of {limit:g} s" if by_delay else f"{limit:.0%} of false cut-offs"
        name = f"{'false cut-offs' if by_delay else 'mean delay'} at {limited}, {label}"
        beside = "" if heard else measure
        yield _curve_row(f"{name}: silence only", alone, by_delay, count, beside, None)
        if model:
            found = find(model, limit)
            yield _curve_row(f"{name}: turn model", found, by_delay, count, beside, alone)


def _curve_row(
    name: str,
    point: OperatingPoint | None,
    by_delay: bool,
    count: int,
    measure: str,
    beside: OperatingPoint | None,
) -> ReportRow:
    value = None if point is None else point.cut_offs if by_delay else point.delay_s
    shown = as_share(value) if by_delay else as_ms(value)
    if point is not None and beside is not None and (base := _side(beside, by_delay)):
        shown += f", ratio {_side(point, by_delay) / base:.2f}"
    note = "no policy reaches it" if point is None else point.policy
    comparable = Comparability.RATIO if measure else Comparability.OURS
    return ReportRow("curve", name, value, shown, count, comparable, note, measure)


def _side(point: OperatingPoint, by_delay: bool) -> float:
    return point.cut_offs if by_delay else point.delay_s


def default_row(outcomes: Sequence[DetectedTurn], label: str) -> ReportRow:
    """Return where the settings in force lie: mean delay and false cut-offs."""
    delay_s, rate = mean_delay_s(outcomes, LONGEST_S), cut_off_rate(outcomes)
    return ReportRow(
        "curve",
        f"in force, {label}",
        rate,
        f"{as_share(rate)} at {as_ms(delay_s)}",
        len(outcomes),
        Comparability.OURS,
        "false cut-offs, and mean delay at true ends",
    )


# --- spoken to a server ------------------------------------------------------------------


def spoken_turn_rows(outcomes: Sequence[SpokenOutcome]) -> Iterator[ReportRow]:
    """Yield how soon and how surely a server answers turns without pauses."""
    latencies = [each.latency_s for each in outcomes if each.latency_s is not None]
    answered = len(latencies) / len(outcomes) if outcomes else None
    mean_s = fmean(latencies) if latencies else None
    yield ReportRow(
        "turn-end",
        "answer after a turn: mean latency, take-over rate",
        mean_s,
        f"{as_ms(mean_s)}, {as_share(answered)} (p50 {as_ms(percentile(latencies, 50))})",
        len(outcomes),
        Comparability.DEFINITION,
        "heard by the user; other sentences and voices than the benchmark's",
        "turn-end",
    )


def spoken_pause_rows(outcomes: Sequence[SpokenOutcome]) -> Iterator[ReportRow]:
    """Yield how often a server takes over in a pause."""
    share = fmean(float(each.took_over) for each in outcomes) if outcomes else None
    begun = fmean(float(each.times.overlap_count > 0) for each in outcomes) if outcomes else None
    yield ReportRow(
        "pauses",
        "turns in which the server spoke for a second before the end",
        share,
        f"{as_share(share)} ({as_share(begun)} began to)",
        len(outcomes),
        Comparability.DEFINITION,
        "heard by the user; pauses of 0.5 to 1.3 s as written in the set",
        "pauses",
    )


def overlap_rows(outcomes: Sequence[OverlapOutcome]) -> Iterator[ReportRow]:
    """Yield what the model does after sounds over its speech."""
    heard = [each for each in outcomes if each.spoke]
    quiet = len(outcomes) - len(heard)
    unheard = f"; {quiet} left out, the model was not speaking" if quiet else ""
    leaving = [each for each in heard if not each.takes_floor]
    for kind in dict.fromkeys(each.kind for each in leaving):
        some = [each for each in leaving if each.kind == kind]
        ignored = fmean(float(each.stopped_after_s is None) for each in some)
        yield ReportRow(
            "backchannels",
            f"{kind} ignored",
            ignored,
            as_share(ignored),
            len(some),
            Comparability.DEFINITION if kind == "backchannels" else Comparability.OURS,
            "stopped by: " + (", ".join(e.name for e in some if e.stopped_after_s is not None))
            if ignored < 1
            else "",
            "backchannels" if kind == "backchannels" else "",
        )
    if taking := [each for each in heard if each.takes_floor]:
        yield from _interruption_rows(taking, unheard)


def _interruption_rows(outcomes: Sequence[OverlapOutcome], unheard: str) -> Iterator[ReportRow]:
    stops = [each.stopped_after_s for each in outcomes if each.stopped_after_s is not None]
    p50, latest = percentile(stops, 50), max(stops, default=None)
    yield ReportRow(
        "interruptions",
        "onset to `interrupted`",
        p50,
        f"p50 {as_ms(p50)}, at most {as_ms(latest)}, {len(stops)} of {len(outcomes)} stopped",
        len(outcomes),
        Comparability.OURS,
        f"{sum(each.late_bytes for each in outcomes)} bytes of the old answer after it{unheard}",
    )
    replies = [e.reply_after_end_s for e in outcomes if e.reply_after_end_s is not None]
    mean_s = fmean(max(0.0, reply) for reply in replies) if replies else None
    yield ReportRow(
        "interruptions",
        "answer after an interruption: mean latency, take-over rate",
        mean_s,
        f"{as_ms(mean_s)}, {as_share(len(replies) / len(outcomes))}",
        len(outcomes),
        Comparability.DEFINITION,
        "by the model that repeats the words: no language model's time in it",
        "interruptions",
    )


def dialogue_rows(
    outcomes: Sequence[SpokenOutcome], overlaps: Sequence[OverlapOutcome]
) -> Iterator[ReportRow]:
    """Yield EVA's score of turn taking, from dialogues and, where there are any, interruptions."""
    yielded = [
        TimedTurn(None, yield_s=inf if each.stopped_after_s is None else each.stopped_after_s)
        for each in overlaps
        if each.takes_floor and each.spoke
    ]
    score = turn_taking_score([*(each.times for each in outcomes), *yielded])
    latencies = [each.latency_s for each in outcomes if each.latency_s is not None]
    yield ReportRow(
        "dialogues",
        "turn-taking score",
        score,
        f"{as_share(score)} (latency p50 {as_ms(percentile(latencies, 50))})",
        len(outcomes) + len(yielded),
        Comparability.DEFINITION,
        "version 0.2 of the formula; our short dialogues without tools are easier",
        "dialogues",
    )
