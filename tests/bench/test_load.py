"""Loads against the real server with the scripted engines, beside the server's own account."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from client.stub import READY, Peer, spoken
from client.stub import serving as serving_peer
from serving import serving
from vivavoce.bench.load import Load, LoadPlan
from vivavoce.bench.measure import MeasuredTurn
from vivavoce.bench.report import (
    BenchReport,
    MeasuredLevel,
    RunDescription,
    plain_turns,
    summarize_level,
)
from vivavoce.bench.report_lines import describe_level
from vivavoce.bench.scenario import parse_scenario, record_scenario
from vivavoce.bench.server_account import (
    attach_account,
    mean_stages,
    read_stage_totals,
    read_turn_lines,
)
from vivavoce.bench.server_process import ProcessSampler
from vivavoce.client.messages import SessionClosed, SessionOptions
from vivavoce.client.session import ServerEndpoint, ServerUnreachable

pytestmark = pytest.mark.integration

TALK = """
settle_s = 0.1

[[functions]]
name = "turn_on_the_lights"
delay_s = 0.1

[[conversations]]
steps = [
    { say = "tell me one thing or two" },
    { say = "no, stop it there please", during_reply_s = 0.3 },
    { say = "turn on the lights please", expect = "call", pause_s = 0.1 },
]

[[conversations]]
steps = [{ say = "how are you" }, { say = "fine", pause_s = 0.1 }]
"""

SILENCE_S = 0.2
FRAME_S = 0.032

TOLERANCE_MS = 150.0
"""Between what the client and the server, in one process here, say of a usual turn: chunks of 40 ms
on one side, frames of 32 ms on the other, and a busy machine."""


async def plan(url: str, text: str = TALK, silence_ms: int = round(1000 * SILENCE_S)) -> LoadPlan:
    scenario = parse_scenario(text, "test")
    recorded = await record_scenario(scenario, Path(), tones=True)
    declared = tuple(function.declaration for function in scenario.functions)
    options = SessionOptions(functions=declared, silence_ms=silence_ms)
    return LoadPlan(ServerEndpoint(url), options, recorded, scenario.functions, scenario.settle_s)


def turn_lines(records: list[logging.LogRecord], path: Path) -> list[dict[str, Any]]:
    """The server's turns, as they are read from its log of JSON lines."""
    lines = [
        json.dumps(
            {"event": "turn"}
            | {key: value for key, value in vars(record).items() if isinstance(value, str | int)}
        )
        for record in records
        if record.name == "vivavoce.turn"
    ]
    path.write_text("started\n" + "\n".join(lines) + '\n{"event": "turn", "unfini')
    return read_turn_lines(path)


def labelled(load: Load, label: str) -> MeasuredTurn:
    return next(turn for turn in load.turns if turn.label.startswith(label))


@dataclass(frozen=True, slots=True)
class Run:
    """One run of two users, and what the server said of it."""

    load: Load
    sampler: ProcessSampler
    attached: int
    stages: dict[str, float]


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("server")
    logger, said = logging.getLogger("vivavoce.turn"), _Records()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(said)
    try:
        load, sampler, stages = asyncio.run(hold_and_sample(folder))
    finally:
        logger.removeHandler(said)
        logger.setLevel(level)
    attached = attach_account(load.sessions, turn_lines(said.records, folder / "log"))
    return Run(load, sampler, attached, stages)


async def hold_and_sample(folder: Path) -> tuple[Load, ProcessSampler, dict[str, float]]:
    async with serving(folder) as server:
        endpoint = ServerEndpoint(server.url())
        before = await asyncio.to_thread(read_stage_totals, endpoint)
        sampler = ProcessSampler(os.getpid())
        load = Load(await plan(server.url()), users=2)
        sampling = asyncio.ensure_future(sampler.run())
        await load.hold_conversations()
        sampling.cancel()
        after = await asyncio.to_thread(read_stage_totals, endpoint)
    return load, sampler, mean_stages(before, after)


def test_every_conversation_is_held_by_every_user(run: Run) -> None:
    assert len(run.load.sessions) == 4
    assert len(run.load.turns) == 10
    assert all(turn.answered for turn in run.load.turns)


def test_the_figures_agree_with_the_servers_own(run: Run) -> None:
    plain = plain_turns(run.load.turns)
    assert run.attached == len(plain) == 8
    for turn in plain:
        assert turn.latency_s is not None
        assert sum(turn.server.values()) == pytest.approx(turn.latency_s * 1000)
        assert turn.latency_s >= SILENCE_S - FRAME_S, "the silence asked for ends the turn"
        assert turn.server["own_ms"] > -1000 * FRAME_S, "nothing is counted twice"
    own_ms = statistics.median(turn.server["own_ms"] for turn in plain)
    assert own_ms < TOLERANCE_MS
    window_s = statistics.fmean(turn.server["window_ms"] for turn in plain) / 1000
    assert run.stages["endpointing"] == pytest.approx(window_s, abs=TOLERANCE_MS / 1000)


def test_interruptions_and_calls_are_seen(run: Run) -> None:
    cut = labelled(run.load, "no, stop")
    assert cut.interrupted
    assert cut.stale_audio_s == 0
    assert cut.barge_in_s is not None
    assert 0 <= cut.barge_in_s < labelled(run.load, "tell me").reply_audio_s
    called = labelled(run.load, "turn on")
    assert called.call_s is not None
    assert called.latency_s is not None
    assert called.latency_s >= called.call_s + 0.1, "the function took so long"


def test_the_report_holds_what_was_measured(run: Run) -> None:
    description = RunDescription("http://127.0.0.1:8482", "vivavoce", "test", "tones")
    report = BenchReport(description, [MeasuredLevel(run.load, run.sampler)])
    document = json.loads(json.dumps(report.as_json()))
    summary = document["summary"]
    assert (summary["asked"], summary["answered"], summary["skipped"]) == (10, 10, 0)
    assert summary["voice_to_voice_s"]["count"] == 8
    parts = summary["parts_s"]
    assert parts["source"] == "server log"
    assert sum(parts["mean"].values()) == pytest.approx(
        summary["voice_to_voice_s"]["mean"], abs=1e-3
    )
    assert summary["interruptions"]["made"] == summary["interruptions"]["meant"] == 2
    assert summary["calls"]["made"] == summary["calls"]["meant"] == 2
    assert summary["server"]["peak_mib"] > 10
    assert summary["sender"]["chunks"] > 50
    assert len(document["turns"]) == 10
    lines = list(describe_level(summary, 2))
    for words in ("2 sessions,", "voice to voice", "barge-in", "gaps in replies", "2 of 2 calls"):
        assert any(words in line for line in lines), words


def test_without_the_log_the_parts_are_the_clients(run: Run) -> None:
    for turn in run.load.turns:
        turn.server = {}
    summary = summarize_level(MeasuredLevel(run.load, stages=run.stages))
    parts = summary["parts_s"]
    assert (parts["source"], parts["count"]) == ("client", 8)
    assert sum(parts["mean"].values()) == pytest.approx(
        summary["voice_to_voice_s"]["mean"], abs=1e-3
    )
    assert parts["server_stages"]["endpointing"] > 0


async def test_users_go_on_until_the_time_is_over(tmp_path: Path) -> None:
    text = "settle_s = 0.1\n[[conversations]]\nsteps = [{ say = 'hi' }]"
    async with serving(tmp_path) as server:
        load = Load(await plan(server.url(), text), users=1)
        await load.hold_conversations(2.5)
    assert len(load.sessions) >= 2
    assert all(each.record.spoken[0].onset_at < load.began + 2.5 for each in load.sessions)


async def test_a_run_that_is_stopped_keeps_what_was_measured() -> None:
    text = "settle_s=0\n[[conversations]]\nsteps = [{say='hi'}, {say='again', pause_s=600}]"
    answered = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        for _ in range(10):
            await peer.take()
        await peer.say(spoken(bytes(480)), {"serverContent": {"turnComplete": True}})
        for _ in range(3):  # sent after the reply arrived
            await peer.take()
        answered.set()
        await peer.gone()

    async with serving_peer(script) as url:
        load = Load(await plan(url, text), users=1)
        running = asyncio.ensure_future(load.hold_conversations())
        await answered.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [turn.answered for turn in load.turns] == [True]
    assert load.lasted_s > 0


async def test_a_refusal_is_counted_and_kept() -> None:
    async def refusing(peer: Peer) -> None:
        await peer.take()
        await peer.close(1008, "API key not valid. Please pass a valid API key.")

    async with serving_peer(refusing) as url:
        load = Load(await plan(url), users=3)
        await load.hold_conversations()
    assert (load.refused, load.sessions) == (3, [])
    assert isinstance(load.first_refusal, SessionClosed)


async def test_no_server_is_a_refusal_too() -> None:
    load = Load(await plan("http://127.0.0.1:1"), users=1)
    await load.hold_conversations()
    assert isinstance(load.first_refusal, ServerUnreachable)
    summary = summarize_level(MeasuredLevel(load))
    assert (summary["asked"], summary["refused"], summary["voice_to_voice_s"]) == (0, 1, None)
    assert "1 users refused" in "\n".join(describe_level(summary, 1))
