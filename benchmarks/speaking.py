"""Measure the embedded synthesizer: words wrong by voice, loudness, peak, pitch; time and CPU.

    python benchmarks/speaking.py [--voices Kore Puck] [--write]

Words are understood by the embedded recognizer, each sentence as an utterance of its own. `--write`
puts the tables into docs/reference/speaking.md, between its two marks.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import soxr

from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE
from vivavoce.domain.setup import VOICES
from vivavoce.engines.ports import RecognitionOptions, Recognizer, Synthesizer
from vivavoce.engines.registry import EngineBuilder
from vivavoce.engines.synthesis import measure_loudness, voice_parameters

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "speaking.md"
BEGIN, END = "<!-- benchmarks/speaking.py writes from here -->", "<!-- to here -->"

ROUNDS = 20
CLAUSES = {
    4: "The lights are on.",
    8: "The next train leaves from the second platform.",
    16: "I have set a timer for the pasta and added some fresh milk to your list.",
}
SENTENCES = (
    "What is the capital of France?",
    "Turn on the lights, please.",
    "There is plenty of time to read a good book.",
    "My brother bought a small house near the river.",
    "We will meet again in front of the library tomorrow.",
    "The doctor asked him to drink more water every day.",
    "Nobody knew why the old man was smiling.",
    "Please close the window before the rain comes in.",
    "I can help you plan a short trip to the mountains.",
    "The museum is open every day except Monday.",
    "She finished her work early and went home.",
    "The weather will be cloudy with some light rain.",
    "Would you like me to set another timer?",
    "The recipe needs some flour and a cup of milk.",
    "I am sorry, I did not understand the last part.",
    "The nearest pharmacy closes in half an hour.",
    "They moved the meeting from Tuesday to Friday afternoon.",
    "A blue car is parked outside the front door.",
    "Thank you for calling, and have a pleasant day.",
    "The children are playing football behind the school.",
    "Fresh bread smells wonderful in the early morning.",
    "A whale is the largest animal that has ever lived.",
)
"""No numbers and no names: what is counted is hearing, not spelling."""

QUIET = bytes(INPUT_RATE)
"""Half a second, before and after each sentence, as a turn has it."""


@dataclass(slots=True)
class Measured:
    """One voice: what was understood, and figures of its sound, one for each sentence."""

    understood: list[str] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    pitches: list[float] = field(default_factory=list)

    def add(self, sound: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        """Figures of one sentence."""
        self.levels.append(measure_loudness(sound))
        self.peaks.append(float(np.abs(sound).max()))
        self.pitches.append(median_pitch(sound))

    def row(self, voice: str) -> str:
        wrong = 100 * jiwer.wer([bare(text) for text in SENTENCES], self.understood)
        kind = "woman" if voice_parameters(voice).feminine else "man"
        return (
            f"| {voice} | {kind} | {statistics.mean(self.pitches):.0f} "
            f"| {statistics.mean(self.levels):.1f} "
            f"| {max(self.peaks):.2f} | {wrong:.1f} % |"
        )


def median_pitch(sound: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    """By autocorrelation, over the frames that are clearly periodic."""
    size = OUTPUT_RATE // 20
    lags = slice(OUTPUT_RATE // 400, OUTPUT_RATE // 55)
    frames = np.lib.stride_tricks.sliding_window_view(sound, size)[:: size // 2]
    frames = frames[np.abs(frames).max(axis=1) > 0.1] * np.hanning(size)
    spectrum = np.fft.rfft(frames, 2 * size)
    likeness = np.fft.irfft(np.abs(spectrum) ** 2)[:, : lags.stop]
    likeness /= likeness[:, :1] * (1 - np.arange(lags.stop) / size)
    best = likeness[:, lags].argmax(axis=1) + lags.start
    periodic = likeness[np.arange(len(best)), best] > 0.6
    return float(OUTPUT_RATE / np.median(best[periodic])) if periodic.any() else 0.0


async def measure_voice(voice: str, synthesizer: Synthesizer, recognizer: Recognizer) -> Measured:
    """Speak and transcribe every sentence in one voice."""
    measured = Measured()
    recognition = recognizer.open(RecognitionOptions())
    for text in SENTENCES:
        pcm = b"".join([piece.pcm async for piece in synthesizer.speak(text, voice)])
        sound = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
        measured.add(sound)
        heard = soxr.resample(sound, OUTPUT_RATE, INPUT_RATE)
        async with recognition.utterance() as utterance:
            await utterance.feed(QUIET + (heard * 32767).astype("<i2").tobytes() + QUIET)
            measured.understood.append(bare((await utterance.finish()).text))
    return measured


async def measure_time(text: str, synthesizer: Synthesizer) -> tuple[float, float, float, float]:
    """Seconds of sound; median and 90th percentile until its first piece; CPU, for one clause."""
    firsts = []
    size = 0
    cpu = time.process_time()
    for _ in range(ROUNDS):
        began, first = time.perf_counter(), 0.0
        async for piece in synthesizer.speak(text, "Puck"):
            first = first or time.perf_counter() - began
            size += len(piece.pcm)
        firsts.append(first)
    cpu = (time.process_time() - cpu) / ROUNDS
    sound = size / 2 / OUTPUT_RATE / ROUNDS
    return sound, statistics.median(firsts), statistics.quantiles(firsts, n=10)[-1], cpu


def bare(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum() or c.isspace())


async def tables(voices: list[str]) -> str:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    host = EngineBuilder()
    synthesizer = await host.build("synthesizer", "hibari")
    recognizer = await host.build("recognizer", "moonshine")
    lines = [
        "| clause | audio | first piece, p50 / p90 | CPU | CPU for a second of audio |",
        "| --- | --- | --- | --- | --- |",
    ]
    for words, text in CLAUSES.items():
        await measure_time(text, synthesizer)
        sound, median, late, cpu = await measure_time(text, synthesizer)
        lines.append(
            f"| {words} words | {sound:.1f} s | {1e3 * median:.0f} / {1e3 * late:.0f} ms "
            f"| {1e3 * cpu:.0f} ms | {cpu / sound:.3f} s |"
        )
    lines += [
        "",
        "| voice | | pitch, Hz | LUFS | peak | words wrong |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for voice in voices:
        measured = await measure_voice(voice, synthesizer, recognizer)
        lines.append(measured.row(voice))
        print(lines[-1], flush=True)
    words = sum(len(text.split()) for text in SENTENCES)
    lines += ["", f"{len(SENTENCES)} sentences, {words} words a voice."]
    await recognizer.aclose()
    await synthesizer.aclose()
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--voices", nargs="+", default=list(VOICES), choices=VOICES)
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    chosen = parser.parse_args()
    text = asyncio.run(tables(chosen.voices))
    print(text)
    if chosen.write:
        page = PAGE.read_text()
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


if __name__ == "__main__":
    main()
