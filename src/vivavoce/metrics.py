"""Prometheus metrics of one server, and one log line for each turn.

Few names, base units, no session as a label."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from vivavoce.domain.content import ToolKind
from vivavoce.runtime.turn_metrics import SpeculationCounts, TurnReport

PREFIX = "vivavoce_"
LATENCY_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
SESSION_BUCKETS_S = (1, 10, 30, 60, 300, 600, 1800, 3600, 14400)


class Metrics:
    """Prometheus metrics of one server, in a registry of its own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sessions_active = self._gauge("sessions_active", "Conversations now.")
        self.sessions = self._counter(
            "sessions_total",
            "Connections that ended, by profile and close code.",
            "profile",
            "close_code",
        )
        self.session_duration = self._histogram(
            "session_duration_seconds", "How long conversations lasted.", buckets=SESSION_BUCKETS_S
        )
        self.goaways = self._counter("goaway_total", "Conversations that got a goAway.")
        self.turns = self._counter("turns_total", "Turns by outcome.", "outcome")
        self.turn_latency = self._histogram(
            "turn_latency_seconds", "From the end of speech to the first audio of the answer."
        )
        self.turn_stage = self._histogram("turn_stage_seconds", "The parts of that time.", "stage")
        self.interruption_latency = self._histogram(
            "interruption_latency_seconds",
            "From the input that interrupted an answer to `interrupted`.",
        )
        self.ignored_speech = self._counter(
            "ignored_speech_total", "Speech that was not answered, by reason.", "reason"
        )
        self.audio_seconds = self._counter(
            "audio_seconds_total", "Audio of users and of the model.", "direction"
        )
        self.tool_calls = self._counter(
            "tool_calls_total", "Calls of functions, the client's and the server's own."
        )
        self.tool_duration = self._histogram(
            "tool_duration_seconds", "How long turns waited for the answers to their calls."
        )
        self.server_tools = self._counter(
            "server_tool_calls_total",
            "Calls of tools that the server runs, by kind (search, code, url, mcp) and outcome.",
            "kind",
            "outcome",
        )
        self.server_tool_duration = self._histogram(
            "server_tool_duration_seconds", "How long such a call took.", "kind"
        )
        self._add_speculation()
        self.auth_failures = self._counter(
            "auth_failures_total",
            "Requests refused: missing, invalid, overloaded, or origin.",
            "reason",
        )
        self.uncancelled_tasks = self._gauge(
            "engine_tasks_stubborn",
            "Engine tasks that ignored their cancellation, since the start.",
        )
        self.loop_lag = self._gauge(
            "event_loop_lag_seconds",
            "The longest recent delay of the event loop.",
        )

    def _add_speculation(self) -> None:
        self.speculations = self._counter(
            "speculations_total",
            "Answers begun before the end of a turn: started, promoted, discarded, refused.",
            "event",
        )
        self.speculation_gain = self._histogram(
            "speculation_gain_seconds",
            "For how long the first audio of promoted answers had been ready.",
        )
        self.speculation_waste = self._counter(
            "speculation_wasted_seconds_total", "How long discarded answers had run."
        )

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(PREFIX + name, meaning, registry=self.registry)

    def _histogram(
        self, name: str, meaning: str, *labels: str, buckets: Sequence[float] = LATENCY_BUCKETS_S
    ) -> Histogram:
        return Histogram(PREFIX + name, meaning, labels, registry=self.registry, buckets=buckets)


log = logging.getLogger("vivavoce.turn")
tool_log = logging.getLogger("vivavoce.tool")

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
    """`TurnListener` of one profile. `personal` also logs the texts."""

    def __init__(self, profile: str, metrics: Metrics, personal: bool = False) -> None:
        self._profile = profile
        self._metrics = metrics
        self._personal = personal

    def turn_done(self, report: TurnReport) -> None:
        """Log one line; its parts add up to `total_ms` for a spoken turn without tools."""
        metrics = self._metrics
        metrics.turns.labels(report.outcome.value).inc()
        if report.ignored:
            metrics.ignored_speech.labels(report.ignored).inc()
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
        fields |= self._count_speculation(report.speculation)
        if report.ignored:
            fields["ignored"] = report.ignored
        fields["heard_s"] = round(report.heard_s, 2)
        fields["spoken_s"] = round(report.spoken_s, 2)
        if report.tool_calls:
            fields["tool_calls"] = report.tool_calls
        if self._personal:
            fields["heard"], fields["said"] = report.heard or None, report.said or None
        log.info("turn", extra=fields)

    def _count_speculation(self, counts: SpeculationCounts) -> dict[str, object]:
        """Count the speculative answers of a turn; return the fields of its log line."""
        metrics, fields = self._metrics, dict[str, object]()
        for event in ("started", "promoted", "discarded", "refused"):
            count: int = getattr(counts, event)
            metrics.speculations.labels(event).inc(count)
            if count:
                fields[f"speculations_{event}"] = count
        if counts.gained_s is not None:
            metrics.speculation_gain.observe(counts.gained_s)
            fields["speculation_gained_ms"] = _ms(counts.gained_s)
        metrics.speculation_waste.inc(counts.wasted_s)
        if counts.discarded:
            fields["speculation_wasted_ms"] = _ms(counts.wasted_s)
            fields["speculation_wasted_audio_ms"] = _ms(counts.wasted_audio_s)
        return fields


class ToolLogger:
    """A `ToolListener` that counts the runs of the server's tools, and logs a line for each."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def tool_ran(self, kind: ToolKind, name: str, failed: str, took_s: float) -> None:
        """Record a run; `failed` is empty if it gave a result."""
        outcome = "failed" if failed else "ok"
        self._metrics.server_tools.labels(kind.value, outcome).inc()
        self._metrics.server_tool_duration.labels(kind.value).observe(took_s)
        tool_log.info(
            "tool ran", extra={"tool": name, "outcome": outcome, "ms": round(took_s * 1000)}
        )


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
