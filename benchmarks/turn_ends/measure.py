"""False cut-offs against the delay at the end of turns: silence alone, and each turn model.

    python benchmarks/turn_ends/measure.py [--set held_back|tuning] [--scores FILE.json]

Each line of the set is spoken by the embedded voices, with pauses of 0.3 to 2 s where it has a bar,
drawn from a fixed seed (median 0.7 s), and followed by silence. Silero finds the pauses, Moonshine
the words up to each, and each model scores it. A policy then says how long each pause must last to
end the turn:

- *silence*: the same for all pauses;
- *scored*: 0.2 s where the model is sure, `n` where it is unsure, three times `n` (at most 2 s)
  where it says unfinished: what the server does at n = 0.7 s.

A pause that lasts longer than the policy requires, and is followed by speech, is a false cut-off;
the delay is what the policy requires at the end. CPU time of the models is not part of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from rich.console import Console
from rich.table import Table

from vivavoce.bench.speech import Line, synthesize_lines
from vivavoce.client.paced_microphone import RecordedUtterance
from vivavoce.core.events import VoiceScored
from vivavoce.core.settings import SessionSettings
from vivavoce.core.turn_detection import (
    SURE,
    UNFINISHED,
    ActivityTracker,
    EndSilence,
    SpeechEdge,
    required_silence,
    vad_params,
)
from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, samples, seconds
from vivavoce.domain.setup import ActivityDetection
from vivavoce.engines.ports import MAX_TURN_S, RecognitionOptions, Recognizer, TurnModel, TurnPause
from vivavoce.engines.registry import EngineBuilder

FOLDER = Path(__file__).parent
MODELS = ("smart-turn", "cues", "combined")
VOICES = ("Charon", "Kore", "Puck", "Aoede", "Fenrir", "Leda", "Orus", "Zephyr")
PAUSE_MEDIAN_S, PAUSE_SPREAD, MIN_PAUSE_S, MAX_PAUSE_S = 0.7, 0.5, 0.3, 2.0
TAIL_S = 3.0
NOISE_DB = -66.0


@dataclass(frozen=True, slots=True)
class ScoredPause:
    """A pause: how long it lasted, whether it was the end, its words, and each model's score."""

    turn: int
    ends: bool
    seconds: float
    text: str
    scores: dict[str, float]
    cpu_ms: dict[str, float]


def read_set(name: str) -> list[Line]:
    """Read the lines of a set, with a pause drawn for each bar."""
    chance = Random(name)
    lines: list[Line] = []
    for row in (FOLDER / f"{name}.txt").read_text().splitlines():
        if not row or row.startswith("#"):
            continue
        first, *rest = (part.strip() for part in row.split("|"))
        line: list[str | float] = [first + "," if rest else first]
        for number, part in enumerate(rest):
            drawn = PAUSE_MEDIAN_S * math.exp(chance.gauss(0.0, PAUSE_SPREAD))
            last = number == len(rest) - 1
            line += [min(max(drawn, MIN_PAUSE_S), MAX_PAUSE_S), part if last else part + ","]
        lines.append(line)
    return lines


async def collect(name: str) -> list[ScoredPause]:
    """Score every pause of a set by every model."""
    builder = EngineBuilder()
    detector = await builder.build("detector", "silero")
    recognizer = await builder.build("recognizer", "moonshine")
    models = {each: await builder.build("turn_model", each) for each in MODELS}
    found: list[ScoredPause] = []
    for number, line in enumerate(read_set(name)):
        voice = VOICES[number % len(VOICES)]
        (spoken,) = await synthesize_lines([line], voice)
        pcm = add_noise(spoken.pcm + bytes(samples(TAIL_S) * BYTES_PER_SAMPLE), number)
        for position, onset, lasted in find_pauses(detector, pcm, spoken):
            text = await transcribe(recognizer, pcm[: position * BYTES_PER_SAMPLE])
            begin = max(onset, position - samples(MAX_TURN_S))
            sound = pcm[begin * BYTES_PER_SAMPLE : position * BYTES_PER_SAMPLE]
            scored = {each: timed(model, TurnPause(sound, text, "en"))
                      for each, model in models.items()}  # fmt: skip
            found.append(
                ScoredPause(
                    number, lasted is None, lasted or TAIL_S, text,
                    {each: score for each, (score, _) in scored.items()},
                    {each: ms for each, (_, ms) in scored.items()},
                )
            )  # fmt: skip
        print(f"{number + 1}: {line}", file=sys.stderr)
    for engine in (detector, recognizer, *models.values()):
        await engine.aclose()
    return found


def timed(model: TurnModel, pause: TurnPause) -> tuple[float, float]:
    """Score a pause; returns the score and the CPU time in milliseconds."""
    before = time.process_time()
    (score,) = model.score([pause])
    return score, 1000 * (time.process_time() - before)


def add_noise(pcm: bytes, seed: int) -> bytes:
    """Add white noise, as every microphone has."""
    import numpy as np

    sound = np.frombuffer(pcm, "<i2").astype(np.float64)
    noise = np.random.default_rng(seed).standard_normal(len(sound))
    sound += noise * 32768 * 10 ** (NOISE_DB / 20)
    return np.clip(sound, -32768, 32767).astype("<i2").tobytes()


def find_pauses(
    detector: object, pcm: bytes, spoken: RecordedUtterance
) -> list[tuple[int, int, float | None]]:
    """Return (position, onset, seconds) of each pause; `None` seconds for the end of the turn."""
    params = vad_params(ActivityDetection(silence_duration_ms=int(1000 * TAIL_S)),
                        SessionSettings())  # fmt: skip
    tracker = ActivityTracker(params)
    size = detector.frame_samples  # type: ignore[attr-defined]
    state = detector.fresh()  # type: ignore[attr-defined]
    pauses: list[tuple[int, int, float | None]] = []
    onset, began, silent_from = 0, 0, 0
    for end in range(size, len(pcm) // BYTES_PER_SAMPLE, size):
        frame = pcm[(end - size) * BYTES_PER_SAMPLE : end * BYTES_PER_SAMPLE]
        ((score, state),) = detector.score([frame], [state])  # type: ignore[attr-defined]
        for event in tracker.add_scores(VoiceScored(end, (score,), size)):
            if event.kind is SpeechEdge.ONSET:
                onset = onset or event.position
            elif event.kind is SpeechEdge.PAUSE:
                began, silent_from = event.position, event.edge
            elif event.kind is SpeechEdge.RESUME:
                pauses.append((began, onset, seconds(event.edge - silent_from)))
                began = 0
    if began:
        pauses.append((began, onset, None))
    return pauses


async def transcribe(recognizer: Recognizer, pcm: bytes) -> str:
    """Return the words at a pause."""
    recognition = recognizer.open(RecognitionOptions())
    async with recognition.utterance() as utterance:
        for at in range(0, len(pcm), INPUT_RATE):
            await utterance.feed(pcm[at : at + INPUT_RATE])
        text = (await utterance.pause()).text
    await recognition.aclose()
    return text


# --- policies --------------------------------------------------------------------------------

DELAYS_S = (0.3, 0.4, 0.5, 0.6, 0.7)
STEP_S = 0.01


def required(pause: ScoredPause, model: str, unsure_s: float) -> float:
    """Return the silence that a policy requires at a pause."""
    if not model:
        return unsure_s
    unfinished_s = max(unsure_s, min(2.0, 3 * unsure_s))
    range_ = EndSilence(samples(min(0.2, unsure_s)), samples(unsure_s), samples(unfinished_s))
    return seconds(required_silence(pause.scores[model], range_))


def judge(pauses: list[ScoredPause], model: str, unsure_s: float) -> tuple[float, float, float]:
    """Return the mean delay in seconds, and the shares of pauses and of turns that were cut."""
    ends = [required(p, model, unsure_s) for p in pauses if p.ends]
    inner = [p for p in pauses if not p.ends]
    cut = [p for p in inner if p.seconds >= required(p, model, unsure_s)]
    turns = {p.turn for p in pauses}
    return sum(ends) / len(ends), len(cut) / len(inner), len({p.turn for p in cut}) / len(turns)


def cuts_at(pauses: list[ScoredPause], model: str, delay_s: float) -> tuple[float, float]:
    """Return the shares of pauses and of turns cut by the policy with this mean delay."""
    steps = (judge(pauses, model, n * STEP_S) for n in range(5, 400))
    fitting = [
        (pauses_cut, turns_cut) for delay, pauses_cut, turns_cut in steps if delay <= delay_s
    ]
    return min(fitting, default=(1.0, 1.0))


def report(name: str, pauses: list[ScoredPause]) -> None:
    """Print the curve, and what the models say of ends and of pauses."""
    console = Console()
    inner = [p for p in pauses if not p.ends]
    console.print(f"{name}: {len({p.turn for p in pauses})} turns, {len(inner)} pauses inside.")
    table = Table("mean delay at the end", "silence", *MODELS)
    for delay_s in DELAYS_S:
        cells = [cuts_at(pauses, model, delay_s)[0] for model in ("", *MODELS)]
        row = [f"{100 * cells[0]:.0f} %"]
        row += [f"{100 * c:.0f} % ({c / cells[0] if cells[0] else 0:.2f})" for c in cells[1:]]
        table.add_row(f"{1000 * delay_s:.0f} ms", *row)
    console.print(table)
    table = Table("as the server is set: 0.2, 0.7, 2 s", "silence", *MODELS)
    served = [judge(pauses, model, 0.7) for model in ("", *MODELS)]
    table.add_row("mean delay at the end", *(f"{1000 * each[0]:.0f} ms" for each in served))
    table.add_row("pauses taken for an end", *(f"{100 * each[1]:.0f} %" for each in served))
    table.add_row("turns cut", *(f"{100 * each[2]:.0f} %" for each in served))
    console.print(table)
    table = Table("scored", *MODELS)
    for what, those in (("ends", [p for p in pauses if p.ends]), ("pauses inside", inner)):
        for verdict in ("sure", "unfinished"):
            counts = [
                sum(p.scores[m] >= SURE if verdict == "sure" else p.scores[m] < UNFINISHED
                    for p in those)
                for m in MODELS
            ]  # fmt: skip
            table.add_row(f"{what}: {verdict}", *(f"{n} of {len(those)}" for n in counts))
    cpu = [sorted(p.cpu_ms[m] for p in pauses)[len(pauses) // 2] for m in MODELS]
    table.add_row("CPU, p50", *(f"{ms:.1f} ms" for ms in cpu))
    console.print(table)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", default="held_back", choices=("held_back", "tuning"))
    parser.add_argument("--scores", type=Path, help="keep the scores here, and take them from it")
    args = parser.parse_args()
    if args.scores is not None and args.scores.exists():
        pauses = [ScoredPause(**each) for each in json.loads(args.scores.read_text())]
    else:
        pauses = asyncio.run(collect(args.set))
        if args.scores is not None:
            args.scores.write_text(json.dumps([asdict(each) for each in pauses], indent=1))
    report(args.set, pauses)


if __name__ == "__main__":
    main()
