"""First audio after the last word, with the embedded engines, broken into its parts.

    python benchmarks/first_audio.py [--turns 12] [--model qwen-0.5b] [--speculation on|off]
                                     [--silence-ms N]

The server runs in a process of its own; the questions are spoken by the embedded voice and streamed
at real-time pace over a real socket. The client measures from the last loud sample that it sent to
the first sound that it received, and the server's log names the parts. Each part is the time that
it adds: what a speculative answer does before the end of the turn is certain costs nothing. What
neither an engine nor the chosen wait accounts for is the server's own part.

The engines' spans are taken by the server around its calls of them, so they hold more than the
engines' own work: waiting for a free thread, the cascade's queue, and the event loop's delay in
noticing an answer all count as engine. What is called the server's own part is therefore its least.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the root, for a script

import numpy as np
from benchmarks.live_server import run_server
from rich.console import Console
from rich.table import Table

from vivavoce.bench.speech import synthesize_texts
from vivavoce.client.audio import ClockSpeaker, FileMicrophone
from vivavoce.client.conversation import ClientConversation
from vivavoce.client.messages import SessionOptions
from vivavoce.client.session import ServerEndpoint, connect
from vivavoce.domain.audio import INPUT_RATE, pcm_seconds

QUESTIONS = (
    "What is the capital of France?",
    "Who wrote Romeo and Juliet?",
    "How many days are in a week?",
    "What color is the sky?",
    "Can you tell me what bees make?",
    "Which planet is the largest one?",
)
STAGES = ("llm_first_token_ms", "first_clause_ms", "tts_first_audio_ms", "send_first_audio_ms")
LABELS = {
    "release_ms": "voice detector, until it reports silence",
    "window_ms": "the window of silence",
    "asr_final_ms": "recognizer, final text",
    "llm_first_token_ms": "language model, first token",
    "first_clause_ms": "language model, rest of the first clause",
    "tts_first_audio_ms": "synthesizer, first sound",
    "send_first_audio_ms": "from the first sound to the socket",
    "own_ms": "outside all these spans: the server's own part",
    "total_ms": "first audio after the last word, as the client measures it",
}
LOUD = 0.02
"""Amplitude, of 1, from which a sample counts as speech."""

PORT = 18_482


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: where its last word ended in the sound sent, and the wait for an answer."""

    end_ms: float
    total_ms: float


def speech_end_ms(pcm: bytes) -> float:
    """Position of the last loud sample."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) >= LOUD * 2**15)
    return float(loud[-1]) * 1000 / INPUT_RATE


async def ask(url: str, turns: int, silence_ms: int | None) -> list[Asked]:
    """Put spoken questions one after the other; raises `SystemExit` if one is not answered."""
    sounds = await synthesize_texts(QUESTIONS)
    options = SessionOptions(instruction="Answer in one short sentence.", silence_ms=silence_ms)
    async with connect(ServerEndpoint(url), options) as session:
        conversation = ClientConversation(session, ClockSpeaker())
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
                await conversation.send_microphone(microphone)
                if not await conversation.wait_for_turns(number + 1, 60):
                    return False
                await asyncio.sleep(1)
            return True

        if not await conversation.run_while_receiving(course()):
            raise SystemExit("A question was not answered within a minute.")
    found = [turn.latency_ms(turn.first_audio_at) for turn in conversation.log.turns]
    if None in found or len(found) != turns:
        raise SystemExit("Not every question was answered by voice, once.")
    return [Asked(end, total or 0) for end, total in zip(ends, found, strict=True)]


def turn_lines(log: Path) -> list[dict[str, float]]:
    """The server's own account of each turn."""
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == "turn" and line.get("total_ms")]


def visible_parts(line: dict[str, float]) -> dict[str, float]:
    """What each stage adds after the final text, in milliseconds.

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


def account(asked: list[Asked], lines: list[dict[str, float]]) -> list[dict[str, float]]:
    """Each turn's parts, what is left over, and the whole."""
    rows = []
    for question, line in zip(asked, lines, strict=True):
        row = visible_parts(line)
        # The detector calls some of the silence speech: that is its own release, not our delay.
        row["release_ms"] = max(0.0, line["speech_end_ms"] - question.end_ms)
        row["window_ms"] = line["endpointing_ms"] - line["detecting_ms"]
        row["asr_final_ms"] = line.get("asr_final_ms", 0.0)
        row["own_ms"] = question.total_ms - sum(row.values())
        row["total_ms"] = question.total_ms
        rows.append(row)
    return rows


def show(rows: list[dict[str, float]], title: str) -> None:
    table = Table(title=title)
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
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--silence-ms", type=int, help="silence that ends a turn; default: ours")
    parser.add_argument("--model", default="", help="as in the configuration")
    parser.add_argument("--speculation", choices=("on", "off"), help="default: as configured")
    options = parser.parse_args()
    speculation = None if options.speculation is None else options.speculation == "on"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with run_server(log, PORT, model=options.model, speculation=speculation) as server:
            asked = asyncio.run(ask(server.url, options.turns, options.silence_ms))
        rows = account(asked, turn_lines(log))
    title = (
        f"{len(rows)} turns, model {options.model or 'default'}, "
        f"speculation {options.speculation or 'as configured'}"
    )
    show(rows, title)


if __name__ == "__main__":
    main()
