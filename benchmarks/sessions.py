"""How many open conversations the embedded engines carry on this machine.

    python benchmarks/sessions.py [--model qwen-0.5b] [--counts 1 2 4 6 8 10 12] [--turns 5]
                                  [--period 12] [--speculation on|off]

Each conversation is a microphone that is always on, with a spoken question every `--period` seconds
(a person's pace); the conversations begin evenly spread over the period. Printed for every count:
the first audio after the last word (p50, p90), how many questions were answered, the server's
memory and its CPU. The count that matters is the last one whose p50 is at most twice that of one
conversation. Questions, microphones and loudspeakers run in this process, beside the server.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the root, for a script

import psutil
from benchmarks.first_audio import QUESTIONS
from benchmarks.live_server import LiveServer, run_server

from vivavoce.bench.speech import synthesize_texts
from vivavoce.client.audio import ClockSpeaker, FileMicrophone
from vivavoce.client.conversation import ClientConversation
from vivavoce.client.messages import SessionOptions
from vivavoce.client.session import ServerEndpoint, connect
from vivavoce.domain.audio import INPUT_RATE

PORT = 18_484
SETTLE_S = 6
"""Silence before the first question: the prompt is read in that time."""

GOAL = 2.0
"""Times the first audio of one conversation."""


@dataclass(frozen=True, slots=True)
class Load:
    """What was measured with `count` conversations. Latencies in ms, CPU in cores."""

    count: int
    asked: int
    latencies: list[int]
    memory_mib: float
    cores: float

    @property
    def p50(self) -> float:
        return statistics.median(self.latencies) if self.latencies else float("inf")

    @property
    def p90(self) -> float:
        ordered = sorted(self.latencies)
        return ordered[round(0.9 * (len(ordered) - 1))] if ordered else float("inf")


def microphone_pcm(sounds: list[bytes], first: int, turns: int, period_s: float) -> bytes:
    """A question every `period_s`, beginning with number `first`, with silence in between."""
    size = 2 * round(INPUT_RATE * period_s)
    pieces = [bytes(2 * INPUT_RATE * SETTLE_S)]
    for turn in range(turns):
        sound = sounds[(first + turn) % len(sounds)]
        pieces.append(sound.ljust(size, b"\0"))
    return b"".join(pieces)


async def converse(url: str, pcm: bytes, delay_s: float) -> list[int]:
    """The first audio of every answered question of one conversation, in milliseconds."""
    await asyncio.sleep(delay_s)
    options = SessionOptions(instruction="Answer in one short sentence.")
    async with connect(ServerEndpoint(url), options) as session:
        conversation = ClientConversation(session, ClockSpeaker())

        async def course() -> bool:
            await conversation.send_microphone(FileMicrophone(pcm, tail_s=1.0))
            return True

        await conversation.run_while_receiving(course())
    found = [turn.latency_ms(turn.first_audio_at) for turn in conversation.log.turns]
    return [latency for latency in found if latency is not None]


async def measure(server: LiveServer, count: int, turns: int, period_s: float) -> Load:
    """`count` conversations of `turns` questions each, at the same time."""
    sounds = await synthesize_texts(QUESTIONS)
    process = psutil.Process(server.process_id)
    before, began = cpu_seconds(process), time.monotonic()
    latencies = await asyncio.gather(
        *(
            converse(
                server.url,
                microphone_pcm(sounds, number, turns, period_s),
                number * period_s / count,
            )
            for number in range(count)
        )
    )
    cores = (cpu_seconds(process) - before) / (time.monotonic() - began)
    every = [latency for one in latencies for latency in one]
    return Load(count, count * turns, every, memory_mib(process), cores)


def cpu_seconds(process: psutil.Process) -> float:
    """CPU of the server and of the processes that it started."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(float(each.user + each.system) for each in times)


def memory_mib(process: psutil.Process) -> float:
    """Resident memory of the server and of the processes that it started."""
    every = (process, *process.children(recursive=True))
    return float(sum(each.memory_info().rss for each in every)) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="", help="as in the configuration")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2, 4, 6, 8, 10, 12])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--period", type=float, default=12.0)
    parser.add_argument("--speculation", choices=("on", "off"), help="default: as configured")
    options = parser.parse_args()
    speculation = None if options.speculation is None else options.speculation == "on"
    print(f"{psutil.cpu_count()} cores, model {options.model or 'default'}")
    print("conversations  answered  p50 ms  p90 ms  times one  memory MiB  cores")
    alone: float | None = None
    carried = 0
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with run_server(log, PORT, model=options.model, speculation=speculation) as server:
            for count in options.counts:
                load = asyncio.run(measure(server, count, options.turns, options.period))
                alone = load.p50 if alone is None else alone
                ratio = load.p50 / alone
                answered = f"{len(load.latencies)}/{load.asked}"
                print(
                    f"{count:13}  {answered:>8}  {load.p50:6.0f}  {load.p90:6.0f}  {ratio:9.2f}  "
                    f"{load.memory_mib:10.0f}  {load.cores:5.2f}",
                    flush=True,
                )
                if ratio > GOAL:
                    break
                carried = count
    print(f"first audio at most {GOAL:g} times that of the first row: {carried} conversations")


if __name__ == "__main__":
    main()
