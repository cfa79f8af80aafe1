"""Thirty conversations for two hours: what the server holds at the end, against the beginning.

    python benchmarks/soak.py [--minutes 120] [--sessions 30] [--pause 4] [--seed 1]

The server (scripted engines, a SQLite store) runs in a process of its own and is reached over
loopback. Each client speaks, types, barges in, has functions called and answers them or leaves
them open, sends noise, drops its connection in the middle of a turn, and resumes, with `--pause`
seconds between two steps on average. Sampled every ten seconds: resident memory, descriptors,
threads, asyncio tasks.

Exits 1 unless all of it is flat: medians of the last quarter at most 5 % above those of the second
one (the first is for warming up), descriptors and tasks without clients as before the first one;
and unless every turn had its end and nothing was logged as an error.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the root, for a script

import psutil
from benchmarks.soak_client import SoakClient, SoakTally

SAMPLE_S = 10.0
ROWS = 12
SETTLE_S = 15.0
"""After the last client has gone, until what it held is given back."""

GROWTH = 1.05
IDLE_MORE = 2
"""Descriptors and tasks that may be open besides those before the first client."""

Pipe = Connection


def serve(pipe: Pipe, resume_s: float) -> None:
    """A server that answers each `"sample"` with its tasks and its logged errors."""
    from vivavoce.config.loading import load_config
    from vivavoce.server import Server

    errors = _ErrorCount()
    logging.getLogger().addHandler(errors)

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            flags = {
                "profile": "scripted", "server.port": 0, "server.drain_s": 0.5,
                "store.path": str(Path(folder) / "state.sqlite3"), "store.resume_s": resume_s,
            }  # fmt: skip
            server = Server(load_config(None, flags), folder=Path(folder))
            await server.start()
            pipe.send(server.listener.address[1])
            while await asyncio.to_thread(pipe.recv) == "sample":
                pipe.send((len(asyncio.all_tasks()), errors.lines))
            await server.stop()

    asyncio.run(run())


class _ErrorCount(logging.Handler):
    """The errors that were logged, by their sentence."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines[str(record.msg)[:120]] += 1


@dataclass(frozen=True, slots=True)
class ServerSample:
    """What the server holds. Memory in MB."""

    memory: float
    descriptors: int
    threads: int
    tasks: int


class SoakServer:
    """The server's process, and a look into it."""

    def __init__(self, resume_s: float) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=serve, args=(theirs, resume_s), daemon=True)
        self._process.start()
        self.port: int = self._pipe.recv()
        self._usage = psutil.Process(self._process.pid)
        self.errors: Counter[str] = Counter()

    def sample(self) -> ServerSample:
        """What it holds now. Raises `EOFError` when it has ended."""
        self._pipe.send("sample")
        tasks, self.errors = self._pipe.recv()
        usage = self._usage
        memory = usage.memory_info().rss / 1e6
        return ServerSample(memory, usage.num_fds(), usage.num_threads(), tasks)

    def stop(self) -> None:
        self._pipe.send("stop")
        self._process.join(20)


async def soak(
    server: SoakServer, tally: SoakTally, minutes: float, clients: list[SoakClient]
) -> list[ServerSample]:
    """Samples while the clients talk; a row of the table is printed now and then."""
    began = time.monotonic()
    until = began + minutes * 60
    samples: list[ServerSample] = []
    talking = [asyncio.create_task(client.talk(until)) for client in clients]
    wait_s = min(SAMPLE_S, minutes * 60 / 40)
    every = max(1, round(minutes * 60 / wait_s / ROWS))
    while time.monotonic() < until:
        await asyncio.wait(talking, timeout=wait_s)
        samples.append(await asyncio.to_thread(server.sample))
        if len(samples) % every == 0:
            row(f"{(time.monotonic() - began) / 60:.1f} min", samples[-1], tally)
    await asyncio.gather(*talking)
    return samples


HEAD = "| time | RSS, MB | descriptors | threads | tasks | steps | drops | resumed | p50, ms |"


def row(name: str, sample: ServerSample, tally: SoakTally) -> None:
    """One line of the table, in Markdown."""
    done = (tally.count[what] for what in ("steps", "drops", "resumed"))
    held = (f"{sample.memory:.1f}", sample.descriptors, sample.threads, sample.tasks)
    cells = (name, *held, *done, tally.take_first_sound_ms())
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


NAMES = tuple(each.name for each in fields(ServerSample))


def growths(samples: list[ServerSample]) -> list[str]:
    """What grew, as sentences: the last quarter against the second."""
    quarter = len(samples) // 4
    parts = samples[quarter : 2 * quarter], samples[-quarter:]
    found = []
    for name in NAMES:
        before, after = (statistics.median(getattr(one, name) for one in part) for part in parts)
        if after > before * GROWTH:
            found.append(f"{name}: {before:g} in the second quarter, {after:g} in the last")
    return found


def leftovers(before: ServerSample, after: ServerSample) -> list[str]:
    """What is still held without clients, as sentences."""
    return [
        f"{name}: {getattr(before, name)} before the first client, {getattr(after, name)} after all"
        for name in ("descriptors", "tasks")
        if getattr(after, name) > getattr(before, name) + IDLE_MORE
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--sessions", type=int, default=30)
    parser.add_argument("--pause", type=float, default=4, help="seconds between steps, on average")
    parser.add_argument("--resume", type=float, default=120, help="seconds sessions are kept for")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    server = SoakServer(options.resume)
    try:
        return report(server, options)
    finally:
        with contextlib.suppress(OSError):
            server.stop()


def report(server: SoakServer, options: argparse.Namespace) -> int:
    """Print the table and what is wrong with it: the exit status."""
    tally = SoakTally()
    clients = [
        SoakClient(server.port, tally, random.Random(options.seed + number), options.pause)
        for number in range(options.sessions)
    ]
    before = server.sample()
    print(HEAD + "\n" + "| --- " * HEAD.count(" |") + "|")
    row("start", before, tally)
    samples = asyncio.run(soak(server, tally, options.minutes, clients))
    time.sleep(SETTLE_S)
    after = server.sample()
    row("end, no clients", after, tally)
    print("\n" + ", ".join(f"{count:,} {name}" for name, count in sorted(tally.count.items())))
    faults = [*growths(samples), *leftovers(before, after)]
    faults += [f"{count} times logged: {line}" for line, count in server.errors.items()]
    faults += [f"{count} times: {fault}" for fault, count in tally.faults.items()]
    print("\n".join(faults) if faults else f"flat over {options.minutes:g} minutes")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
