"""What others notice of one client that floods the server.

    python benchmarks/floods.py [FLOOD ...] [--seconds 8] [--talkers 6]     eleven minutes

A server with the scripted profile runs in a process of its own; so do the talkers, whose first
sound after a typed turn is measured, and the flood. The talkers are measured

1. alone, half of the time before the rest and half after it;
2. under the flood: the goal is that the 99th percentile is at most 1.2 times as long as alone;
3. beside the same flood, sent to a sink instead of the server. That is the *floor*: what a client
   costs others by running on the same machine, whatever the server does.

The fair floor is the same client with the same work. A sink that reads as fast as it can would be
flooded harder than a server that reads slowly, and one with limits of its own differently. So the
client notes how much it sent and received in each 20 ms of the flood, and does that again; the
sink throws away what arrives without parsing it, and sends as many bytes back, in frames of the
same mean size (`flood_clients.py`). Connections that the server closed are not opened again.

Two ratios are printed, to alone and to the floor; the processor time that the server and the flood
took, in percent of one core; and the load, since on a busy machine the figures say more of its
scheduler.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the root, for a script

import psutil
from benchmarks.flood_clients import FLOODS, MODEL, PATH, Json, Traffic, words
from websockets.asyncio.client import connect

from vivavoce.bench.server_process import LiveServer, run_server

CLIENTS = Path(__file__).with_name("flood_clients.py")
PORT = 18_486
GOAL = 1.2
SETTLE_S = 1.0
"""Between a flood and the next measurement."""

# --- the others ---------------------------------------------------------------------------------


async def talk(port: int, found: list[float]) -> None:
    """Typed turns, one after the other; how long each waits for its first sound."""
    url = f"ws://127.0.0.1:{port}{PATH}"
    async with connect(url, max_size=None, compression=None, ping_interval=None) as client:
        compression: Json = {"contextWindowCompression": {"slidingWindow": {}}}
        await client.send(json.dumps({"setup": {"model": MODEL, **compression}}))
        await client.recv()
        while True:
            began, heard = time.perf_counter(), False
            await client.send(json.dumps(words("hello")))
            message: Json = {}
            while "turnComplete" not in message.get("serverContent", {}):
                message = json.loads(await client.recv())
                if not heard and "modelTurn" in message.get("serverContent", {}):
                    heard = True
                    found.append(time.perf_counter() - began)
            await asyncio.sleep(0.05)


async def measure_talkers(port: int, count: int) -> None:
    """For each line read, what was found since the line before."""
    found: list[float] = []
    talkers = [asyncio.create_task(talk(port, found)) for _ in range(count)]
    while await asyncio.to_thread(sys.stdin.readline):
        for talker in talkers:
            if talker.done():
                talker.result()
        print(json.dumps(found), flush=True)
        found.clear()


class Talkers:
    """Talkers in a process of their own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def measured(self) -> list[float]:
        """The waits since this was last asked, in seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return list(json.loads(self._process.stdout.readline()))

    def measured_for(self, seconds: float) -> list[float]:
        """The waits of the next `seconds`."""
        self.measured()
        time.sleep(seconds)
        return self.measured()


@contextmanager
def talking(port: int, count: int) -> Iterator[Talkers]:
    command = [sys.executable, __file__, "--talk", str(port), "--talkers", str(count)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Talkers(process)
        finally:
            process.kill()


# --- the comparison -----------------------------------------------------------------------------


@dataclass(slots=True)
class Row:
    """One flood: what became of it, and the waits without, beside and under it, in seconds."""

    name: str
    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    flooded: list[float] = field(default_factory=list)
    outcome: str = ""
    flood_share: float = 0.0
    server_share: float = 0.0
    load: float = 0.0

    @property
    def ratio(self) -> float:
        return percentile(self.flooded, 0.99) / percentile(self.alone, 0.99)

    @property
    def floor_ratio(self) -> float:
        return percentile(self.flooded, 0.99) / percentile(self.beside, 0.99)

    def __str__(self) -> str:
        waits = (self.alone, self.beside, self.flooded)
        cells = (
            self.name.replace("-", " "),
            self.outcome,
            f"{len(self.flooded)}",
            *(f"{percentile(each, 0.99) * 1e3:.1f}" for each in waits),
            f"{self.ratio:.2f}",
            f"{self.floor_ratio:.2f}",
            f"{percentile(self.flooded, 0.5) / percentile(self.alone, 0.5):.2f}",
            f"{max(self.flooded) * 1e3:.0f}",
            f"{100 * self.server_share:.0f}",
            f"{100 * self.flood_share:.0f}",
            f"{self.load:.1f}",
        )
        return f"| {' | '.join(cells)} |"


COLUMNS = (
    "flood", "what became of it", "turns", "p99 alone, ms", "p99 beside a sink, ms",
    "p99 flooded, ms", "ratio to alone", "ratio to the floor", "ratio of p50", "longest, ms",
    "server for it, % of a core", "flood, % of a core", "load",
)  # fmt: skip
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True, slots=True)
class Bench:
    """A server, those who talk to it, and how long each measurement lasts."""

    server: LiveServer
    talkers: Talkers
    seconds: float

    def compare(self, name: str) -> Row:
        """Measure one flood, and its floor, between two spans without either."""
        row = Row(name)
        began, cpu_began = time.monotonic(), self._server_s()
        row.alone += self.talkers.measured_for(self.seconds / 2)
        share_alone = (self._server_s() - cpu_began) / (time.monotonic() - began)
        began, cpu_began = time.monotonic(), self._server_s()
        row.flooded, traffic = self._flooded(name, PORT, Traffic())
        talkers_s = share_alone * (time.monotonic() - began)
        row.server_share = max(0.0, self._server_s() - cpu_began - talkers_s) / self.seconds
        row.outcome, row.flood_share = traffic.outcome, traffic.cpu_s / self.seconds
        time.sleep(SETTLE_S)
        with sinking(name, traffic) as port:
            row.beside, _ = self._flooded(name, port, traffic)
        time.sleep(SETTLE_S)
        row.alone += self.talkers.measured_for(self.seconds / 2)
        row.load = os.getloadavg()[0]
        return row

    def _flooded(self, name: str, port: int, plan: Traffic) -> tuple[list[float], Traffic]:
        command = [sys.executable, str(CLIENTS), "flood", name, str(port), str(self.seconds)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(asdict(plan)) + "\n")
            process.stdin.flush()
            process.stdout.readline()  # what it sends is made, and it begins
            found = self.talkers.measured_for(self.seconds)
            return found, Traffic(**json.loads(process.communicate()[0]))

    def _server_s(self) -> float:
        times = psutil.Process(self.server.process_id).cpu_times()
        return float(times.user + times.system)


@contextmanager
def sinking(name: str, plan: Traffic) -> Iterator[int]:
    """A sink for a flood, in a process of its own; its port."""
    command = [sys.executable, str(CLIENTS), "sink", name]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asdict(plan)) + "\n")
        process.stdin.flush()
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("floods", nargs="*", metavar="FLOOD", help=", ".join(FLOODS))
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--talkers", type=int, default=6)
    parser.add_argument("--talk", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.talk:
        asyncio.run(measure_talkers(options.talk, options.talkers))
    else:
        run_floods(options.floods or list(FLOODS), options.seconds, options.talkers)


def run_floods(names: list[str], seconds: float, talkers: int) -> None:
    print(f"{psutil.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {talkers} talkers\n")
    print(HEAD, flush=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "PROFILE": "scripted",
            "STORE__PATH": f"{folder}/state.sqlite3",
            "SESSION__TURN_COMPLETE": "immediate",
        }
        for name in names:
            with (
                run_server(Path(folder) / "server.log", PORT, settings=settings) as server,
                talking(PORT, talkers) as others,
            ):
                others.measured_for(1.0)
                rows.append(Bench(server, others, seconds).compare(name))
            print(rows[-1], flush=True)
    alone = [row.ratio for row in rows]
    floor = [row.floor_ratio for row in rows]
    for kind, ratios in (("alone", alone), ("the floor", floor)):
        met = sum(ratio <= GOAL for ratio in ratios)
        print(f"\np99 to {kind}: worst {max(ratios):.2f}; {met} of {len(ratios)} within {GOAL:g}")


if __name__ == "__main__":
    main()
