"""The server's own account of turns: its log lines, or the means of its metrics.

A line of the log belongs to the measured turn of the same session whose speech ended at the same
position. Its spans are cut to what they add after the last word, and what no engine and no chosen
wait accounts for is the server's own part, so that the parts of a turn add up to its latency as
the client measured it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from vivavoce.bench.load import MeasuredSession
from vivavoce.bench.measure import MeasuredTurn
from vivavoce.client.session import ServerEndpoint

PARTS = {
    "release_ms": "voice detector, until it reports silence",
    "window_ms": "waiting for the end of the turn",
    "asr_final_ms": "recognizer, final text",
    "llm_first_token_ms": "language model, first token",
    "first_clause_ms": "language model, rest of the first clause",
    "tts_first_audio_ms": "synthesizer, first sound",
    "send_first_audio_ms": "from the first sound to the socket",
    "own_ms": "outside all these: the server's own part, and the network",
}
"""The parts of a latency in their order, with their meaning."""

STAGES = ("llm_first_token_ms", "first_clause_ms", "tts_first_audio_ms", "send_first_audio_ms")

MAX_SHIFT_MS = 600.0
"""The farthest that server and client may place the end of the same speech from each other."""


def read_turn_lines(log: Path) -> list[dict[str, Any]]:
    """Return the lines about turns with a reply in a server's log of JSON lines."""
    found = []
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not line.startswith("{"):
                continue
            try:
                fields = json.loads(line)
            except ValueError:  # a line that is being written
                continue
            if fields.get("event") == "turn" and fields.get("total_ms"):
                found.append(fields)
    return found


def attach_account(sessions: Iterable[MeasuredSession], lines: Iterable[dict[str, Any]]) -> int:
    """Add the server's parts to the turns that it accounts for; return their number."""
    known: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        known.setdefault(str(line.get("session")), []).append(line)
    attached = 0
    for session in sessions:
        own = known.get(session.record.session_id[:8], [])
        for turn in session.turns:
            if turn.latency_s is None or turn.call_s is not None:
                continue
            end_ms = turn.end_s * 1000
            fitting = [
                line
                for line in own
                if abs(line.get("speech_end_ms", float("inf")) - end_ms) <= MAX_SHIFT_MS
            ]
            if fitting:
                line = min(fitting, key=lambda each: abs(each["speech_end_ms"] - end_ms))
                turn.server = account_parts(turn, line)
                attached += 1
    return attached


def account_parts(turn: MeasuredTurn, line: Mapping[str, Any]) -> dict[str, float]:
    """Return the parts of a turn's latency in milliseconds; they add up to it."""
    assert turn.latency_s is not None
    parts = _visible_stages(line)
    # The detector calls some of the silence speech: that is its own release, not our delay.
    parts["release_ms"] = max(0.0, line["speech_end_ms"] - turn.end_s * 1000)
    parts["window_ms"] = line["endpointing_ms"] - line.get("detecting_ms", 0.0)
    parts["asr_final_ms"] = line.get("asr_final_ms", 0.0)
    parts["own_ms"] = turn.latency_s * 1000 - sum(parts.values())
    return {name: parts[name] for name in PARTS}


def _visible_stages(line: Mapping[str, Any]) -> dict[str, float]:
    """Return what each stage adds after the final text, in milliseconds.

    The stages follow each other and end with the first sound at the socket, so that their places
    are known from the end. A speculative answer has begun before the final text.
    """
    barrier = line["endpointing_ms"] + line.get("asr_final_ms", 0.0)
    end = line["total_ms"]
    parts = {}
    for stage in reversed(STAGES):
        start = end - line.get(stage, 0.0)
        parts[stage] = max(0.0, end - max(start, barrier))
        end = start
    return parts


# --- metrics -------------------------------------------------------------------------------------

StageTotals = dict[str, tuple[float, float]]
"""Seconds and number of turns of each stage, since the server's start."""


def read_stage_totals(endpoint: ServerEndpoint) -> StageTotals:
    """Read the stages of turns from a server's `/metrics`; empty for one that has none."""
    address = f"{endpoint.web_url}/metrics"
    try:
        with httpx2.Client(verify=endpoint.tls() or False, timeout=5, trust_env=False) as web:
            answer = web.get(address)
    except httpx2.HTTPError:
        return {}
    return parse_stage_totals(answer.text) if answer.status_code == 200 else {}


def parse_stage_totals(exposition: str) -> StageTotals:
    """Parse the stages in a Prometheus exposition; empty for any other text."""
    sums: dict[str, float] = {}
    counts: dict[str, float] = {}
    try:
        for family in text_string_to_metric_families(exposition):
            if family.name != "vivavoce_turn_stage_seconds":
                continue
            for sample in family.samples:
                kind = {"sum": sums, "count": counts}.get(sample.name.rpartition("_")[2])
                if kind is not None:
                    kind[sample.labels["stage"]] = sample.value
    except ValueError:
        return {}
    return {stage: (sums[stage], counts[stage]) for stage in sums if stage in counts}


def mean_stages(before: StageTotals, after: StageTotals) -> dict[str, float]:
    """Return the mean of each stage, in seconds, over the turns between two readings."""
    means = {}
    for stage, (total_s, count) in after.items():
        earlier_s, earlier = before.get(stage, (0.0, 0.0))
        if count > earlier:
            means[stage] = (total_s - earlier_s) / (count - earlier)
    return means
