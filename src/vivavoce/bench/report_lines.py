"""The figures of a measurement as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vivavoce.bench.server_account import PARTS
from vivavoce.bench.statistics import shown_percentiles

CLIENT_PARTS = {
    "transcript": "from the last word to its last transcription",
    "reply": "from there to the first sample of the reply",
}


def describe_level(summary: dict[str, Any], users: int) -> Iterator[str]:
    """Yield the figures of one level as lines."""
    yield (
        f"{users} session{'s' if users != 1 else ''}, {summary['lasted_s']:g} s: "
        f"{summary['answered']} of {summary['asked']} turns answered"
        + (f", {summary['cut_off']} before the last word" if summary["cut_off"] else "")
        + (f", {summary['skipped']} steps skipped" if summary["skipped"] else "")
        + (f", {summary['refused']} users refused" if summary["refused"] else "")
    )
    yield _percentile_line("voice to voice", summary["voice_to_voice_s"])
    yield from _describe_parts(summary["parts_s"])
    yield from _describe_interruptions(summary["interruptions"])
    calls = summary["calls"]
    if calls["meant"]:
        yield _percentile_line(
            "to the call", calls["to_call_s"], f"{calls['made']} of {calls['meant']} calls made"
        )
    played = summary["playback"]
    yield (
        f"{'gaps in replies':22}{played['gaps']} in {played['replies']} replies, "
        f"{played['gaps_s'] * 1000:.0f} ms in all, "
        f"longest {played['longest_gap_s'] * 1000:.0f} ms; "
        f"{played['late_share']:.1%} of chunks late"
    )
    yield from _describe_machines(summary)
    for reason in dict.fromkeys(summary["closed"]):
        yield f"{'closed':22}{reason} ({summary['closed'].count(reason)} times)"


def _percentile_line(name: str, figures: dict[str, float] | None, note: str = "") -> str:
    if figures is None:
        return f"{name:22}none measured" + (f"; {note}" if note else "")
    names = shown_percentiles(figures["count"])
    shown = " · ".join(f"{name} {figures[name] * 1000:.0f}" for name in names)
    tail = f"; {note}" if note else ""
    return f"{name:22}{shown} ms · n {figures['count']:.0f}{tail}"


def _describe_parts(parts: dict[str, Any]) -> Iterator[str]:
    if not parts["mean"]:
        return
    yield f"{'of that, mean':22}by the {parts['source']}, n {parts['count']}"
    for name, value in parts["mean"].items():
        yield f"{value * 1000:20.0f}  {part_meaning(name)}"


def part_meaning(name: str) -> str:
    """Return what a part of the latency is."""
    return PARTS.get(f"{name}_ms") or CLIENT_PARTS[name]


def _describe_interruptions(figures: dict[str, Any]) -> Iterator[str]:
    if figures["meant"]:
        note = f"{figures['made']} of {figures['meant']} interrupted"
        if figures["stale_audio_s"]:
            note += f", {figures['stale_audio_s'] * 1000:.0f} ms of old audio after that"
        yield _percentile_line("barge-in", figures["barge_in_s"], note)
    if figures["back_channels"]:
        yield (
            f"{'back-channels':22}{figures['ignored']} of {figures['back_channels']} "
            "did not interrupt"
        )


def _describe_machines(summary: dict[str, Any]) -> Iterator[str]:
    server, sender = summary["server"], summary["sender"]
    if server is not None:
        yield (
            f"{'server':22}{server['cores']:.2f} cores ({server['cores_per_session']:.3f} a "
            f"session), {server['peak_mib']:.0f} MiB at its peak "
            f"({server['grown_mib_per_session']:.2f} a session above the start)"
        )
    yield (
        f"{'this sender':22}{sender['cores']:.2f} cores, "
        f"{sender['late_share']:.2%} of chunks late, worst {sender['worst_late_s'] * 1000:.0f} ms"
    )
    if not sender["reliable"]:
        yield (
            "These figures say more of the sending machine than of the server: it was too busy "
            "to keep real time."
        )
