from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from vivavoce.bench.caller import ConversationRecord
from vivavoce.bench.fit import LatencyLimit
from vivavoce.bench.load import Load, LoadPlan, MeasuredSession
from vivavoce.bench.measure import MeasuredTurn
from vivavoce.bench.page import render_page
from vivavoce.bench.report import BenchReport, MeasuredLevel, RunDescription
from vivavoce.bench.scenario import Expectation
from vivavoce.bench.server_process import ProcessSample, ProcessSampler
from vivavoce.client.messages import SessionOptions
from vivavoce.client.session import ServerEndpoint

VOID = {"meta", "br"}


class Outline(HTMLParser):
    """The elements of a page; fails where one is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[str] = []
        self.headings: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


def level(users: int, latency_s: float, fits: bool | None = None) -> MeasuredLevel:
    plan = LoadPlan(ServerEndpoint("http://127.0.0.1:1"), SessionOptions(), [])
    turns = [
        MeasuredTurn("What's <this>?", Expectation.REPLY, float(n), 2.0, answered=True,
                     latency_s=latency_s + n / 100, transcript_s=latency_s / 2,
                     reply_s=latency_s / 2 + n / 100, leading_silence_s=0.0)
        for n in range(10)
    ] + [
        MeasuredTurn("Stop.", Expectation.INTERRUPTION, 20.0 + n, 3.0, answered=True,
                     interrupted=True, latency_s=latency_s, barge_in_s=0.2 + n / 10)
        for n in range(3)
    ]  # fmt: skip
    load = Load(plan, users, lasted_s=30.0)
    load.sessions.append(MeasuredSession(0, ConversationRecord("a", sent_chunks=100), turns))
    sampler = ProcessSampler(1, [ProcessSample(n, n / 4, 2**20 * (50 + n)) for n in range(5)])
    return MeasuredLevel(load, sampler, fits=fits)


def report(*levels: MeasuredLevel, limit: str = "", stopped: bool = False) -> BenchReport:
    parsed = LatencyLimit.parse(limit) if limit else None
    about = RunDescription("http://[::1]:8482/<&>", "vivavoce", "everyday", "tones", parsed)
    return BenchReport(about, list(levels), stopped)


def rendered(of: BenchReport) -> str:
    return render_page(json.loads(json.dumps(of.as_json())))


def test_the_page_is_whole_and_shows_every_plot() -> None:
    page = rendered(report(level(2, 0.5)))
    outline = Outline(page)
    assert outline.headings == [
        "How the server answers", "Figures", "Voice to voice", "Where the time goes", "Barge-in",
        "The server's process", "Turns",
    ]  # fmt: skip
    assert outline.found.count("svg") == 6
    assert "p95" in page
    assert "2 sessions" not in page


def test_nothing_is_fetched_and_no_text_becomes_markup() -> None:
    page = rendered(report(level(1, 0.5)))
    assert not re.findall(r"<script|<link|<img|@import|\bsrc=|\bhref=|url\(", page)
    assert "What&#x27;s &lt;this&gt;?" in page
    assert "&lt;&amp;&gt;" in page


def test_the_page_follows_the_readers_colors() -> None:
    page = rendered(report(level(1, 0.5)))
    assert "prefers-color-scheme: dark" in page
    used = set(re.findall(r"var\((--[\w-]+)\)", page))
    light, _, dark = page.partition("prefers-color-scheme")
    for half in (light, dark):
        assert used <= set(re.findall(r"(--[\w-]+):", half))


def test_a_search_is_drawn_with_its_limit() -> None:
    page = rendered(
        report(level(1, 0.4, True), level(2, 0.6, True), level(4, 1.9, False), limit="p95=1.0")
    )
    assert "Sessions that fit" in Outline(page).headings
    assert "p95 ≤ 1 s: 2 sessions fit" in page
    assert page.count("does not fit") == 1


@pytest.mark.parametrize("stopped", [True, False])
def test_a_stopped_run_says_so_also_before_anything_was_measured(stopped: bool) -> None:
    for each in (report(stopped=stopped), report(level(1, 0.5), stopped=stopped)):
        page = rendered(each)
        Outline(page)
        assert ("was stopped" in page) is stopped
    assert "Nothing was measured" in rendered(report(stopped=stopped))
