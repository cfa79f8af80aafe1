"""What the server measures, in Prometheus' form. Few names, base units, no session as a label."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
SESSION_SECONDS = (1, 10, 30, 60, 300, 600, 1800, 3600, 14400)


class Metrics:
    """The instruments of one server. Each server has a registry of its own, so tests may too."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sessions_active = Gauge(
            "vivavoce_sessions_active", "Conversations now.", registry=self.registry
        )
        self.sessions = Counter(
            "vivavoce_sessions_total",
            "Connections that ended, by profile and close code.",
            ("profile", "close_code"),
            registry=self.registry,
        )
        self.session_duration = Histogram(
            "vivavoce_session_duration_seconds",
            "How long conversations lasted.",
            registry=self.registry,
            buckets=SESSION_SECONDS,
        )
        self.turns = Counter(
            "vivavoce_turns_total",
            "Turns by outcome: complete, interrupted, error, no_speech.",
            ("outcome",),
            registry=self.registry,
        )
        self.turn_latency = Histogram(
            "vivavoce_turn_latency_seconds",
            "From the end of speech to the first sound of the answer.",
            registry=self.registry,
            buckets=SECONDS,
        )
        self.turn_stage = Histogram(
            "vivavoce_turn_stage_seconds",
            "The parts of that time.",
            ("stage",),
            registry=self.registry,
            buckets=SECONDS,
        )
        self.audio_seconds = Counter(
            "vivavoce_audio_seconds_total",
            "Sound heard and spoken.",
            ("direction",),
            registry=self.registry,
        )
        self.auth_failures = Counter(
            "vivavoce_auth_failures_total",
            "Credentials refused: missing or invalid.",
            ("reason",),
            registry=self.registry,
        )
        self.tool_calls = Counter(
            "vivavoce_tool_calls_total", "Function calls sent to clients.", registry=self.registry
        )

    def exposition(self) -> bytes:
        """The text that a Prometheus server scrapes."""
        return generate_latest(self.registry)
