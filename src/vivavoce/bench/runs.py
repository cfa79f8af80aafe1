"""Runs against one server: a number of sessions, or a search of how many fit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vivavoce.bench.fit import LatencyLimit, search_sessions
from vivavoce.bench.load import Load, LoadPlan
from vivavoce.bench.report import BenchReport, MeasuredLevel
from vivavoce.bench.server_account import (
    attach_account,
    mean_stages,
    read_stage_totals,
    read_turn_lines,
)
from vivavoce.bench.server_process import ProcessSampler, can_measure_processes
from vivavoce.client.session import ServerEndpoint


@dataclass(frozen=True, slots=True)
class MeasuredServer:
    """The server to measure: its address, and what of it can be read from this machine."""

    endpoint: ServerEndpoint
    process_id: int | None = None
    log: Path | None = None


@dataclass(frozen=True, slots=True)
class BenchRun:
    """Runs levels of load against one server, and adds them to the report when they begin.

    `say` gets a line for each step of a search."""

    plan: LoadPlan
    server: MeasuredServer
    report: BenchReport
    say: Callable[[str], object]

    async def run_level(self, users: int, duration_s: float | None) -> MeasuredLevel:
        """Run a number of users at once, and print the figures.

        Raises `SessionClosed` or `ServerUnreachable` if none of them got a session.
        """
        load = Load(self.plan, users)
        process_id = self.server.process_id if can_measure_processes() else None
        sampler = ProcessSampler(process_id) if process_id else None
        level = MeasuredLevel(load, sampler)
        self.report.levels.append(level)
        sampling = asyncio.ensure_future(sampler.run()) if sampler else None
        before = await asyncio.to_thread(read_stage_totals, self.server.endpoint)
        try:
            await load.hold_conversations(duration_s)
        finally:
            if sampling is not None:
                sampling.cancel()
            if self.server.log is not None:
                attach_account(load.sessions, read_turn_lines(self.server.log))
            level.stages = mean_stages(before, read_stage_totals(self.server.endpoint))
        if not load.sessions and load.first_refusal is not None:
            raise load.first_refusal
        return level

    async def search_limit(self, limit: LatencyLimit, duration_s: float, most: int) -> None:
        """Search the number of sessions that keep the limit."""

        async def try_sessions(users: int) -> bool:
            level = await self.run_level(users, duration_s)
            latencies = level.latencies
            level.fits = limit.is_kept(latencies, level.answered_share, level.load.refused)
            shown = f"{getattr(latencies, limit.percentile):.2f} s" if latencies else "no answer"
            count = latencies.count if latencies else 0
            verdict = "fits" if level.fits else "does not fit"
            self.say(
                f"{users} sessions: {limit.percentile} {shown} (n {count}), "
                f"{level.answered_share:.0%} answered: {verdict}"
            )
            return level.fits

        await search_sessions(try_sessions, most)
