"""Published figures to stand beside ours, with their sources and what they can be compared to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """A figure of another system: the measure, the system, the value as it was published."""

    measure: str
    system: str
    value: str


FULL_DUPLEX_BENCH = "Full-Duplex-Bench v1 (arXiv 2503.04721; github.com/DanielLin94144)"
EOT_BENCH = "eot-bench, English (github.com/livekit/eot-bench)"
EVA = "EVA (arXiv 2605.13841; github.com/ServiceNow/eva)"
TAU = "tau2-bench, voice, airline (github.com/sierra-research/tau2-bench)"

SOURCES = {
    "turn-end": FULL_DUPLEX_BENCH,
    "pauses": FULL_DUPLEX_BENCH,
    "interruptions": FULL_DUPLEX_BENCH,
    "backchannels": TAU,
    "curve-300": EOT_BENCH,
    "curve-600": EOT_BENCH,
    "curve-5": EOT_BENCH,
    "curve-10": EOT_BENCH,
    "dialogues": EVA,
}

_V1 = {
    "PersonaPlex": ("0.07 s, 0.99", "0.58 synthetic, 0.66 Candor", "0.40 s, 1.00"),
    "Moshi": ("0.27 s, 0.94", "0.98 synthetic", "0.26 s, 1.00"),
    "Freeze-Omni": ("0.95 s, 0.34", "", "1.41 s"),
    "Gemini Live 2.0": ("1.30 s, 0.66", "0.26 synthetic, 0.31 Candor", "1.18 s, 0.89"),
    "GPT-Realtime": ("1.47 s, 1.00", "0.01 synthetic, 0.12 Candor", "1.50 s, 0.97"),
}
"""Latency and take-over rate at turn ends; take-over rate in pauses; both after interruptions."""

_EOT = {
    "LiveKit Turn Detector v1": ("9.9 %, 0.18", "4.5 %", "543 ms", "295 ms"),
    "Baton": ("12.3 %, 0.22", "4.8 %", "577 ms", "350 ms"),
    "Deepgram Flux": ("12.9 %, 0.23", "9.9 %", "1151 ms", "548 ms"),
    "turn-1-mini": ("22.6 %, 0.41", "", "849 ms", ""),
    "LiveKit v1-mini": ("27.8 %, 0.50", "12.1 %", "1070 ms", "698 ms"),
    "Smart Turn v3.2": ("35.2 %, 0.63", "14.8 %", "1051 ms", "739 ms"),
    "silence only": ("55.6 %, 1.00", "21.7 %", "1600 ms", "1000 ms"),
}

_TAU = {
    "gpt-realtime-2": "0.06",
    "Grok 2.0": "0.55",
    "Gemini 3.1 high": "0.94",
    "LiveKit cascade": "0.75",
}

_EVA = {
    "ElevenAgents": "0.882",
    "Grok": "0.862",
    "Gemini 3.1": "0.83",
    "GPT-Realtime 1.5": "0.815",
    "Whisper, Qwen3.5-27B, Voxtral": "0.561",
    "Parakeet, Gemma-31B, Kokoro": "0.308",
}


def published_figures(measure: str) -> list[PublishedFigure]:
    """Return the figures of other systems for one of the measures in `SOURCES`."""
    columns: dict[str, dict[str, str]] = {
        "turn-end": {system: row[0] for system, row in _V1.items()},
        "pauses": {system: row[1] for system, row in _V1.items()},
        "interruptions": {system: row[2] for system, row in _V1.items()},
        "backchannels": _TAU,
        "curve-300": {system: row[0] for system, row in _EOT.items()},
        "curve-600": {system: row[1] for system, row in _EOT.items()},
        "curve-5": {system: row[2] for system, row in _EOT.items()},
        "curve-10": {system: row[3] for system, row in _EOT.items()},
        "dialogues": _EVA,
    }
    return [PublishedFigure(measure, name, text) for name, text in columns[measure].items() if text]
