"""The report of a measurement as one HTML page: plots, tables, nothing fetched, no script.

The page is made of the JSON document alone. Every plot has its figures as a table below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from vivavoce.bench.plots import Plot, Series, SeriesKind, StackedBar, cumulative_steps
from vivavoce.bench.report_lines import part_meaning
from vivavoce.bench.statistics import LEAST_VALUES, shown_percentiles

MAX_TURNS = 1_000
"""Rows of the table of turns; the JSON has them all."""


def render_page(document: dict[str, Any]) -> str:
    """Return the page for a document of `BenchReport.as_json`."""
    style = (files("vivavoce.bench") / "page.css").read_text("utf-8")
    title = f"vivavoce bench: {document['endpoint']}"
    sections = "\n".join(
        part
        for part in (
            _headline(document),
            _figures_section(document),
            _latency_section(document),
            _parts_section(document),
            _levels_section(document),
            _barge_in_section(document),
            _server_section(document),
            _turns_section(document),
        )
        if part
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{sections}\n</main>\n</body>\n</html>\n"
    )


def _headline(document: dict[str, Any]) -> str:
    users, machine = document["sessions"], document["machine"]
    facts = [
        ("endpoint", document["endpoint"]),
        ("model", document["model"]),
        ("scenario", f"{document['scenario']} ({document['speech']})"),
        ("sessions at once", users),
        ("made", f"{document['created']} by vivavoce {document['vivavoce']}"),
        ("measured from", f"{machine['system']}, {machine['cores']} cores, load {machine['load']}"),
    ]
    if document["limit"]:
        fits = any(level["fits"] for level in document["levels"])
        facts.insert(4, ("limit", f"{document['limit']}: {users if fits else 0} sessions fit"))
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in facts)
    notes = []
    if document["stopped"]:
        notes.append("The run was stopped; this is what was measured until then.")
    if document["summary"] and not document["summary"]["sender"]["reliable"]:
        notes.append(
            "The sender was too busy to keep real time; these figures are not the server's."
        )
    warning = "".join(f'<p class="note" role="note">{escape(each)}</p>' for each in notes)
    return f"<h1>How the server answers</h1>\n{warning}<dl>{rows}</dl>"


# --- tables --------------------------------------------------------------------------------------


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table whose first column is a heading of its row."""
    columns = "".join(f'<th scope="col">{escape(each)}</th>' for each in head)
    body = "".join(
        f'<tr><th scope="row">{escape(str(row[0]))}</th>'
        + "".join(f"<td>{escape(str(each))}</td>" for each in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="table" role="region" aria-label="{escape(caption)}" tabindex="0"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{columns}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value * 1000:.0f}"


def _figure_row(name: str, figures: dict[str, float] | None) -> list[str]:
    if figures is None:
        return [name, "0", *["–"] * len(LEAST_VALUES)]
    shown = shown_percentiles(figures["count"])
    cells = (_ms(figures[each]) if each in shown else "–" for each in LEAST_VALUES)
    return [name, f"{figures['count']:.0f}", *cells]


def _figures_section(document: dict[str, Any]) -> str:
    summary = document["summary"]
    if not summary:
        return "<p>Nothing was measured.</p>"
    calls, cuts = summary["calls"], summary["interruptions"]
    times = [
        _figure_row("voice to voice", summary["voice_to_voice_s"]),
        _figure_row("silence the reply begins with", summary["leading_silence_s"]),
        _figure_row("onset to interrupted", cuts["barge_in_s"]),
        _figure_row("last word to a function call", calls["to_call_s"]),
    ]
    played, sender = summary["playback"], summary["sender"]
    counts = [
        ("turns answered", f"{summary['answered']} of {summary['asked']}"),
        ("replies before the last word", summary["cut_off"]),
        ("interruptions that interrupted", f"{cuts['made']} of {cuts['meant']}"),
        ("old audio after interrupted, ms", _ms(cuts["stale_audio_s"])),
        ("back-channels that did not interrupt", f"{cuts['ignored']} of {cuts['back_channels']}"),
        ("functions called", f"{calls['made']} of {calls['meant']}, {calls['unasked']} unasked"),
        (
            "gaps in replies",
            f"{played['gaps']} in {played['replies']} replies, longest "
            f"{_ms(played['longest_gap_s'])} ms",
        ),
        ("chunks of replies that came late", f"{played['late_share']:.2%}"),
        ("steps skipped", summary["skipped"]),
        ("users refused, sessions closed", f"{summary['refused']}, {len(summary['closed'])}"),
        ("chunks that this sender sent late", f"{sender['late_share']:.2%}"),
    ]
    head = ("milliseconds", "n", *LEAST_VALUES)
    return (
        "<h2>Figures</h2>\n"
        + table("Times", head, times)
        + table("Counts", ("what", "how many"), counts)
    )


def _turns_section(document: dict[str, Any]) -> str:
    turns = document["turns"][:MAX_TURNS]
    rows = [
        (
            f"{turn['at']:.1f}", turn["session"], turn["label"], turn["expect"],
            _ms(turn["latency_s"]), _ms(turn["barge_in_s"]), _ms(turn["call_s"]),
            _remarks(turn),
        )
        for turn in turns
    ]  # fmt: skip
    head = ("s", "session", "said", "expected", "reply, ms", "barge-in, ms", "call, ms", "remarks")
    return f"<h2>Turns</h2>\n{_details('All turns', table('Turns', head, rows))}"


def _remarks(turn: dict[str, Any]) -> str:
    found = []
    if not turn["answered"] and turn["expect"] != "nothing":
        found.append("no reply")
    if turn["cut_off"]:
        found.append("reply before the last word")
    if turn["interrupted"] and turn["expect"] == "nothing":
        found.append("interrupted by a back-channel")
    if turn["playback"]["gaps_s"]:
        found.append(f"{len(turn['playback']['gaps_s'])} gaps")
    return ", ".join(found)


# --- plots ---------------------------------------------------------------------------------------


def _figure(drawing: str, caption: str, data: str = "") -> str:
    below = _details("The figures of this plot", data) if data else ""
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>{below}"


def _details(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def _plain_turns(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for turn in document["turns"]:
        if turn["latency_s"] is not None and turn["call_s"] is None and not turn["cut_off"]:
            yield turn


def _latency_section(document: dict[str, Any]) -> str:
    turns = list(_plain_turns(document))
    if not turns:
        return ""
    figures = document["summary"]["voice_to_voice_s"]
    spoken = f"Half of {len(turns)} replies began within {_ms(figures['p50'])} ms, "
    spoken += f"95 percent within {_ms(figures['p95'])} ms of the last word."
    shares = Plot(
        "Voice to voice", spoken, "seconds after the last word", "% of replies",
        [Series("replies", cumulative_steps([turn["latency_s"] for turn in turns]),
                SeriesKind.STEPS)],
        marks=[(name, figures[name]) for name in ("p50", "p95")],
    )  # fmt: skip
    over_time = Plot(
        "Voice to voice over the run",
        f"Latency of each of {len(turns)} replies at the time of its last word.",
        "seconds since the start", "seconds",
        [Series("reply", [(turn["at"], turn["latency_s"]) for turn in turns], SeriesKind.DOTS)],
    )  # fmt: skip
    rows = [(f"{turn['at']:.2f}", turn["session"], _ms(turn["latency_s"])) for turn in turns]
    data = table("Voice to voice", ("s", "session", "ms"), rows[:MAX_TURNS])
    return (
        "<h2>Voice to voice</h2>\n"
        + _figure(shares.draw(), "Replies that had begun by then, after the last word.")
        + _figure(over_time.draw(), "Each reply at its time in the run.", data)
    )


def _parts_section(document: dict[str, Any]) -> str:
    parts = document["summary"].get("parts_s")
    if not parts or not parts["mean"]:
        return ""
    named = [(part_meaning(name), value * 1000) for name, value in parts["mean"].items()]
    total = sum(value for _, value in named)
    bar = StackedBar(
        "Parts of the latency",
        f"Mean of {parts['count']} turns: {total:.0f} ms. "
        + "; ".join(f"{name}: {value:.0f} ms" for name, value in named),
        named,
    )
    legend = "".join(
        f'<li><span class="key" style="background:var(--series-{n % 8})"></span>'
        f"{escape(name)}: {value:.0f} ms</li>"
        for n, (name, value) in enumerate(named)
    )
    caption = f"Mean of {parts['count']} turns by the {parts['source']}; together {total:.0f} ms."
    stages = parts.get("server_stages") or {}
    more = (
        table("The server's own means", ("stage", "ms"), [(k, _ms(v)) for k, v in stages.items()])
        if stages
        else ""
    )
    return (
        f'<h2>Where the time goes</h2>\n{_figure(bar.draw(), caption)}<ul class="legend">{legend}'
        f"</ul>{more}"
    )


def _levels_section(document: dict[str, Any]) -> str:
    levels = sorted(
        (level for level in document["levels"] if level["voice_to_voice_s"]),
        key=lambda level: float(level["sessions"]),
    )
    if len(levels) < 2:
        return ""
    series = [
        Series(name, [(each["sessions"], each["voice_to_voice_s"][name]) for each in levels])
        for name in ("p50", "p95")
    ]
    limit = document["limit"] or ""
    limits = [(limit, float(limit.split()[2]))] if limit else []
    plot = Plot(
        "Latency by the number of sessions",
        "; ".join(
            f"{each['sessions']} sessions: p50 {_ms(each['voice_to_voice_s']['p50'])}, "
            f"p95 {_ms(each['voice_to_voice_s']['p95'])} ms"
            for each in levels
        ),
        "sessions at once", "seconds", series, limits=limits,
    )  # fmt: skip
    rows = [
        (
            each["sessions"], f"{each['voice_to_voice_s']['count']:.0f}",
            _ms(each["voice_to_voice_s"]["p50"]), _ms(each["voice_to_voice_s"]["p95"]),
            f"{each['answered']} of {each['asked']}", "fits" if each["fits"] else "does not fit",
        )
        for each in levels
    ]  # fmt: skip
    head = ("sessions", "n", "p50, ms", "p95, ms", "answered", "verdict")
    return (
        "<h2>Sessions that fit</h2>\n"
        + _figure(plot.draw(), "Solid: p50. Dashed: p95.")
        + table("Sessions that fit", head, rows)
    )


def _barge_in_section(document: dict[str, Any]) -> str:
    times = [
        turn["barge_in_s"]
        for turn in document["turns"]
        if turn["barge_in_s"] is not None and turn["expect"] == "interruption"
    ]
    if len(times) < 2:
        return ""
    plot = Plot(
        "Barge-in",
        f"Time from the onset of speech to interrupted, of {len(times)} interruptions.",
        "seconds after the onset", "% of interruptions",
        [Series("interruptions", cumulative_steps(times), SeriesKind.STEPS)],
    )  # fmt: skip
    caption = "Interruptions that had been recognized by then, after the first sample of speech."
    return f"<h2>Barge-in</h2>\n{_figure(plot.draw(), caption)}"


def _server_section(document: dict[str, Any]) -> str:
    samples, server = document["server_samples"], document["summary"].get("server")
    if not samples or not server:
        return ""
    cores = Plot(
        "Cores", f"Busy cores of the server; mean {server['cores']:.2f}.",
        "seconds since the start", "busy cores",
        [Series("cores", [(max(0.0, at), busy) for at, busy, _ in samples])],
    )  # fmt: skip
    memory = Plot(
        "Memory", f"Memory of the server; peak {server['peak_mib']:.0f} MiB.",
        "seconds since the start", "MiB",
        [Series("memory", [(max(0.0, at), size) for at, _, size in samples])],
    )  # fmt: skip
    rows = [
        ("busy cores, mean", f"{server['cores']:.2f}"),
        ("busy cores, a session", f"{server['cores_per_session']:.4f}"),
        ("MiB at the peak", f"{server['peak_mib']:.0f}"),
        ("MiB a session above the start", f"{server['grown_mib_per_session']:.2f}"),
    ]
    data = table("Samples", ("s", "cores", "MiB"), samples[:MAX_TURNS])
    return (
        "<h2>The server's process</h2>\n"
        + table("CPU and memory", ("what", "value"), rows)
        + _figure(cores.draw(), "Busy cores of the server and the processes it started.")
        + _figure(memory.draw(), "Their resident memory.", data)
    )
