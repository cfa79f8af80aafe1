"""What became of each turn, as a line in the log and as numbers for Prometheus."""

from __future__ import annotations

import logging

from vivavoce.metrics import Metrics
from vivavoce.runtime.turn_report import TurnReport

log = logging.getLogger("vivavoce.turn")

STAGES = (
    "endpointing",
    "asr_final",
    "llm_first_token",
    "first_clause",
    "tts_first_audio",
    "send_first_audio",
    "tool",
)


class TurnLogger:
    """A `TurnListener` for one profile. `personal` writes down what was said, too."""

    def __init__(self, profile: str, metrics: Metrics, personal: bool = False) -> None:
        self._profile = profile
        self._metrics = metrics
        self._personal = personal

    def turn_done(self, report: TurnReport) -> None:
        """One line, whose parts add up to `total_ms` for a spoken turn without tools."""
        metrics = self._metrics
        metrics.turns.labels(report.outcome.value).inc()
        metrics.audio_seconds.labels("heard").inc(report.heard_s)
        metrics.audio_seconds.labels("spoken").inc(report.spoken_s)
        metrics.tool_calls.inc(report.tool_calls)
        if report.total_s is not None:
            metrics.turn_latency.observe(report.total_s)
        if report.tool_s is not None:
            metrics.tool_duration.observe(report.tool_s)
        if report.interruption_s is not None:
            metrics.interruption_latency.observe(report.interruption_s)
        fields: dict[str, object] = {
            "session": report.session[:8],
            "turn": report.number,
            "profile": self._profile,
            "outcome": report.outcome.value,
            "total_ms": _ms(report.total_s),
        }
        for stage in STAGES:
            lasted_s: float | None = getattr(report, f"{stage}_s")
            if lasted_s is not None:
                metrics.turn_stage.labels(stage).observe(lasted_s)
                fields[f"{stage}_ms"] = _ms(lasted_s)
        for extent in ("detecting", "speech_end", "interruption"):
            if (value_s := getattr(report, f"{extent}_s")) is not None:
                fields[f"{extent}_ms"] = _ms(value_s)
        fields["heard_s"] = round(report.heard_s, 2)
        fields["spoken_s"] = round(report.spoken_s, 2)
        if report.tool_calls:
            fields["tool_calls"] = report.tool_calls
        if self._personal:
            fields["heard"], fields["said"] = report.heard or None, report.said or None
        log.info("turn", extra=fields)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
