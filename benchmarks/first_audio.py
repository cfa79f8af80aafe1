"""First audio after the last word, with the embedded engines, broken into its parts.

    python benchmarks/first_audio.py [--turns 12] [--silence-ms 480]

The server runs in a process of its own; the questions are spoken by the project's own voice and
streamed at real-time pace over a real socket. The client measures from the last loud sample it
sent to the first sound it received, and the server's log names the parts. What neither an engine
nor the chosen wait accounts for is the server's own part.

The engines' spans are taken by the server around its calls of them, so they hold more than the
engines' own work: waiting for a free thread or worker process, the pipes to and from it, the
cascade's queue, and the event loop's delay in noticing an answer all count as engine. What is
called the server's own part is therefore its least: what is left outside those spans.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import soxr
from rich.console import Console
from rich.table import Table

from vivavoce.client.conversation import Conversation
from vivavoce.client.files import FileMicrophone
from vivavoce.client.live import Endpoint, connect
from vivavoce.client.messages import Wishes
from vivavoce.client.playing import ClockSpeaker
from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE, pcm_seconds
from vivavoce.engines.registry import House

QUESTIONS = (
    "What is the capital of France?",
    "Who wrote Romeo and Juliet?",
    "How many days are in a week?",
    "What color is the sky?",
)
ENGINES = ("asr_final_ms", "llm_first_token_ms", "first_clause_ms", "tts_first_audio_ms")
LABELS = {
    "release_ms": "voice detector, until it says silence",
    "window_ms": "the chosen silence window",
    "asr_final_ms": "recognizer, final text",
    "llm_first_token_ms": "language model, first token",
    "first_clause_ms": "language model, rest of the first clause",
    "tts_first_audio_ms": "synthesizer, first sound",
    "own_ms": "outside all these spans: the server's own part",
    "total_ms": "first audio after the last word, as the client hears it",
}
LOUD = 0.02
"""Amplitude, of 1, from which a sample counts as speech."""

PORT = 18_482
START_S = 120


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: where its last word ended in the sound sent, and the wait for an answer."""

    end_ms: float
    total_ms: float


@contextmanager
def server(log: Path) -> Iterator[None]:
    """An embedded server on a port of its own, its log lines in `log`."""
    environment = os.environ | {
        "VIVAVOCE_LOG__FORMAT": "json",
        "VIVAVOCE_LOG__LEVEL": "info",
        "VIVAVOCE_SESSION__TURN_COMPLETE": "immediate",
    }
    command = [sys.executable, "-m", "vivavoce", "serve", "--port", str(PORT)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stderr=file)
        try:
            wait_until_ready(process)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{PORT}/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            pass
        time.sleep(0.25)
    raise SystemExit("The server did not become ready.")


async def spoken(text: str) -> bytes:
    """The question as 16 kHz PCM, in a voice that the recognizer knows well."""
    synthesizer = await House({}).build("synthesizer", {"use": "hibari"})
    try:
        pcm = b"".join([piece.pcm async for piece in synthesizer.speak(text, "Charon")])
    finally:
        await synthesizer.aclose()
    sound = soxr.resample(np.frombuffer(pcm, "<i2"), OUTPUT_RATE, INPUT_RATE, "HQ")
    return bytes(np.asarray(sound, "<i2").tobytes())


def speech_end_ms(pcm: bytes) -> float:
    """Where the last loud sample stands."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) >= LOUD * 2**15)
    return float(loud[-1]) * 1000 / INPUT_RATE


async def ask(turns: int, silence_ms: int) -> list[Asked]:
    """When each question truly ended, and how long its first sound took from there."""
    sounds = [await spoken(question) for question in QUESTIONS]
    wishes = Wishes(instruction="Answer in one short sentence.", silence_ms=silence_ms)
    async with connect(Endpoint(f"http://127.0.0.1:{PORT}"), wishes) as session:
        conversation = Conversation(session, ClockSpeaker())
        await asyncio.sleep(5)  # the prompt is read at set-up; a person takes as long to begin

        ends: list[float] = []
        sent_ms = 0.0

        async def course() -> bool:
            nonlocal sent_ms
            for number in range(turns):
                sound = sounds[number % len(sounds)]
                microphone = FileMicrophone(sound, tail_s=1.0)
                ends.append(sent_ms + speech_end_ms(sound))
                sent_ms += 1000 * pcm_seconds(microphone.pcm, INPUT_RATE)
                await conversation.speak(microphone)
                if not await conversation.turns(number + 1, 60):
                    return False
                await asyncio.sleep(1)
            return True

        if not await conversation.held(course()):
            raise SystemExit("A question was not answered within a minute.")
    found = [turn.latency_ms(turn.first_audio_at) for turn in conversation.log.turns]
    if None in found or len(found) != turns:
        raise SystemExit("Not every question was answered by voice, once.")
    return [Asked(end, total or 0) for end, total in zip(ends, found, strict=True)]


def turn_lines(log: Path) -> list[dict[str, float]]:
    """The server's own account of each turn."""
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == "turn" and line.get("total_ms")]


def account(asked: list[Asked], lines: list[dict[str, float]]) -> list[dict[str, float]]:
    """Each turn's parts, what is left over, and the whole."""
    rows = []
    for question, line in zip(asked, lines, strict=True):
        row = {name: line.get(name, 0.0) for name in ENGINES}
        # The detector calls some of the silence speech: that is its own release, not our delay.
        row["release_ms"] = max(0.0, line["speech_end_ms"] - question.end_ms)
        row["window_ms"] = line["endpointing_ms"] - line["detecting_ms"]
        row["total_ms"] = question.total_ms
        row["own_ms"] = question.total_ms - sum(
            row[name] for name in ("release_ms", "window_ms", *ENGINES)
        )
        rows.append(row)
    return rows


def show(rows: list[dict[str, float]], silence_ms: int) -> None:
    table = Table(title=f"{len(rows)} turns, {silence_ms} ms of silence end a turn")
    table.add_column("part")
    table.add_column("p50 ms", justify="right")
    table.add_column("p90 ms", justify="right")
    for name, label in LABELS.items():
        values = sorted(row[name] for row in rows)
        p90 = values[min(len(values) - 1, round(0.9 * (len(values) - 1)))]
        table.add_row(label, f"{statistics.median(values):.0f}", f"{p90:.0f}")
    shares = [row["own_ms"] / row["total_ms"] for row in rows]
    console = Console()
    console.print(table)
    console.print(f"The server's own part: {statistics.median(shares):.1%} of the whole (median).")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--silence-ms", type=int, default=480)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with server(log):
            heard = asyncio.run(ask(wanted.turns, wanted.silence_ms))
        rows = account(heard, turn_lines(log))
    show(rows, wanted.silence_ms)


if __name__ == "__main__":
    main()
