"""The report of a measurement: the figures of its loads as a JSON document."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from vivavoce import __version__
from vivavoce.bench.fit import LatencyLimit
from vivavoce.bench.load import Load
from vivavoce.bench.measure import MeasuredTurn
from vivavoce.bench.scenario import Expectation
from vivavoce.bench.server_account import PARTS
from vivavoce.bench.server_process import ProcessSampler
from vivavoce.bench.statistics import Summary, summarize

MEBIBYTE = 2**20
BUSY_SENDER_SHARE = 0.01
"""Share of chunks sent late from which the figures say more of the sender than of the server."""


@dataclass(slots=True)
class MeasuredLevel:
    """A number of sessions that was run, with what is known of the server meanwhile.

    `stages` are the means of the server's metrics in seconds, `fits` is the verdict of a search.
    """

    load: Load
    sampler: ProcessSampler | None = None
    stages: dict[str, float] = field(default_factory=dict)
    fits: bool | None = None

    @property
    def latencies(self) -> Summary | None:
        """Voice to voice, of answered turns without functions and without a cut-off."""
        return summarize([turn.latency_s for turn in plain_turns(self.load.turns)])  # type: ignore[misc]

    @property
    def answered_share(self) -> float:
        asked = [turn for turn in self.load.turns if turn.expect is not Expectation.NOTHING]
        return sum(turn.answered for turn in asked) / len(asked) if asked else 0.0


@dataclass(frozen=True, slots=True)
class RunDescription:
    """Description of a run, as a report names it."""

    endpoint: str
    model: str
    scenario: str
    speech: str
    limit: LatencyLimit | None = None


@dataclass(slots=True)
class BenchReport:
    """All levels of a run. `stopped`: by Ctrl-C, so that it holds only what was measured."""

    description: RunDescription
    levels: list[MeasuredLevel] = field(default_factory=list)
    stopped: bool = False

    @property
    def main_level(self) -> MeasuredLevel | None:
        """The level that the headlines show: the largest that fits, or else the last."""
        fitting = [level for level in self.levels if level.fits]
        if fitting:
            return max(fitting, key=lambda level: level.load.users)
        return self.levels[-1] if self.levels else None

    def as_json(self) -> dict[str, Any]:
        level = self.main_level
        return {
            "vivavoce": __version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "endpoint": self.description.endpoint,
            "model": self.description.model,
            "scenario": self.description.scenario,
            "speech": self.description.speech,
            "stopped": self.stopped,
            "limit": str(self.description.limit) if self.description.limit else None,
            "machine": {
                "system": f"{platform.system()} {platform.machine()}",
                "cores": os.cpu_count(),
                "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
            },
            "sessions": level.load.users if level else 0,
            "summary": summarize_level(level) if level else {},
            "levels": [
                {"sessions": each.load.users, "fits": each.fits, **summarize_level(each)}
                for each in self.levels
            ],
            "turns": [turn_json(each, level) for each in level.load.turns] if level else [],
            "server_samples": _sample_rows(level) if level else [],
        }


def plain_turns(turns: Sequence[MeasuredTurn]) -> list[MeasuredTurn]:
    """Return the turns whose latency counts: answered, without a function, not cut off."""
    return [
        turn
        for turn in turns
        if turn.latency_s is not None and turn.call_s is None and not turn.cut_off
    ]


def turn_json(turn: MeasuredTurn, level: MeasuredLevel) -> dict[str, Any]:
    """Return one turn; its time counts from the run's start."""
    fields = asdict(turn)
    fields["at"] = turn.at - level.load.began
    return {name: _rounded(value) for name, value in fields.items()}


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return round(value, 4)
        case dict():
            return {name: _rounded(each) for name, each in value.items()}
        case list() | tuple():
            return [_rounded(each) for each in value]
        case _:
            return value


def _sample_rows(level: MeasuredLevel) -> list[list[float]]:
    """Return rows of time since the start, busy cores since the row before, and MiB."""
    samples = level.sampler.samples if level.sampler else []
    return [
        [
            round(now.at - level.load.began, 2),
            round((now.cpu_s - before.cpu_s) / max(1e-9, now.at - before.at), 3),
            round(now.resident / MEBIBYTE, 1),
        ]
        for before, now in pairwise(samples)
    ]


# --- the figures of one level --------------------------------------------------------------------


def summarize_level(level: MeasuredLevel) -> dict[str, Any]:
    """Return the figures of one level. Times are seconds unless a name says otherwise."""
    turns = level.load.turns
    plain = plain_turns(turns)
    asked = [turn for turn in turns if turn.expect is not Expectation.NOTHING]
    return {
        "turns": len(turns),
        "asked": len(asked),
        "answered": sum(turn.answered for turn in asked),
        "cut_off": sum(turn.cut_off for turn in asked),
        "skipped": sum(len(each.record.skipped) for each in level.load.sessions),
        "refused": level.load.refused,
        "closed": [each.closed for each in level.load.sessions if each.closed],
        "lasted_s": round(level.load.lasted_s, 1),
        "voice_to_voice_s": _figures([turn.latency_s for turn in plain]),
        "leading_silence_s": _figures([turn.leading_silence_s for turn in plain]),
        "parts_s": _summarize_parts(level, plain),
        "interruptions": _summarize_interruptions(turns),
        "calls": _summarize_calls(turns),
        "playback": _summarize_playback(asked),
        "sender": _summarize_sender(level.load),
        "server": _summarize_server(level),
    }


def _figures(values: Sequence[float | None]) -> dict[str, float] | None:
    summary = summarize([value for value in values if value is not None])
    return summary.as_json() if summary else None


def _summarize_parts(level: MeasuredLevel, plain: list[MeasuredTurn]) -> dict[str, Any]:
    """Return mean parts that add up to the mean latency, from the best source there is."""
    accounted = [turn for turn in plain if turn.server]
    if accounted:
        means = {
            name.removesuffix("_ms"): _mean([turn.server[name] / 1000 for turn in accounted])
            for name in PARTS
        }
        return {"source": "server log", "count": len(accounted), "mean": means}
    visible = [turn for turn in plain if turn.transcript_s is not None]
    parts: dict[str, Any] = {"source": "client", "count": len(visible), "mean": {}}
    if visible:
        parts["mean"] = {
            "transcript": _mean([turn.transcript_s or 0.0 for turn in visible]),
            "reply": _mean([turn.reply_s or 0.0 for turn in visible]),
        }
    if level.stages:
        parts["server_stages"] = _rounded(level.stages)
    return parts


def _mean(values: Sequence[float]) -> float:
    return round(statistics.fmean(values), 4)


def _summarize_interruptions(turns: Sequence[MeasuredTurn]) -> dict[str, Any]:
    meant = [turn for turn in turns if turn.expect is Expectation.INTERRUPTION]
    small = [turn for turn in turns if turn.expect is Expectation.NOTHING]
    return {
        "meant": len(meant),
        "made": sum(turn.interrupted for turn in meant),
        "barge_in_s": _figures([turn.barge_in_s for turn in meant]),
        "stale_audio_s": round(sum(turn.stale_audio_s for turn in meant), 4),
        "back_channels": len(small),
        "ignored": sum(not turn.interrupted for turn in small),
    }


def _summarize_calls(turns: Sequence[MeasuredTurn]) -> dict[str, Any]:
    meant = [turn for turn in turns if turn.expect is Expectation.CALL]
    others = [turn for turn in turns if turn.expect is not Expectation.CALL]
    return {
        "meant": len(meant),
        "made": sum(turn.call_s is not None for turn in meant),
        "unasked": sum(turn.call_s is not None for turn in others),
        "to_call_s": _figures([turn.call_s for turn in meant]),
        "to_reply_s": _figures([turn.latency_s for turn in meant if turn.call_s is not None]),
    }


def _summarize_playback(asked: Sequence[MeasuredTurn]) -> dict[str, Any]:
    played = [turn.playback for turn in asked if turn.playback.chunks]
    gaps = [gap for each in played for gap in each.gaps_s]
    chunks = sum(each.chunks for each in played)
    late = sum(each.late_chunks for each in played)
    return {
        "replies": len(played),
        "replies_with_gaps": sum(bool(each.gaps_s) for each in played),
        "gaps": len(gaps),
        "gaps_s": round(sum(gaps), 4),
        "longest_gap_s": round(max(gaps, default=0.0), 4),
        "chunks": chunks,
        "late_chunks": late,
        "late_share": round(late / chunks, 5) if chunks else 0.0,
    }


def _summarize_sender(load: Load) -> dict[str, Any]:
    records = [session.record for session in load.sessions]
    sent = sum(each.sent_chunks for each in records)
    late = sum(each.late_chunks for each in records)
    share = late / sent if sent else 0.0
    return {
        "chunks": sent,
        "late_chunks": late,
        "late_share": round(share, 5),
        "worst_late_s": round(max((each.worst_late_s for each in records), default=0.0), 4),
        "cores": round(load.cpu_s / load.lasted_s, 3) if load.lasted_s else 0.0,
        "reliable": share < BUSY_SENDER_SHARE,
    }


def _summarize_server(level: MeasuredLevel) -> dict[str, Any] | None:
    sampler = level.sampler
    if sampler is None or len(sampler.samples) < 2:
        return None
    users = max(1, level.load.users)
    return {
        "process_id": sampler.process_id,
        "cores": round(sampler.cores, 3),
        "cores_per_session": round(sampler.cores / users, 4),
        "peak_mib": round(sampler.peak_bytes / MEBIBYTE, 1),
        "grown_mib_per_session": round(sampler.grown_bytes / MEBIBYTE / users, 3),
    }
