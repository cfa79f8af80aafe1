"""How soon the synthesizers sound, what they cost, and how well a recognizer understands them.

    python benchmarks/speaking.py [--write]

Times are taken at the synthesizer's port, so trimming, resampling and alignment are counted
in. Words are understood by the embedded recognizer's decoder, each sentence as a stranger's
first. `--write` puts the tables into docs/reference/speaking.md, between its two marks.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import soxr
from vivavoce.engines.pocketsphinx.worker import Decoding

from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE, pcm_seconds
from vivavoce.engines.ports import Synthesizer
from vivavoce.engines.registry import House
from vivavoce.errors import EngineMissing

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "speaking.md"
BEGIN, END = "<!-- benchmarks/speaking.py writes from here -->", "<!-- to here -->"

ROUNDS = 20
SHORT = "The lights are on now."
LONG = (
    "The train to the city leaves at seven in the morning from the second platform behind "
    "the station and reaches the harbour before noon when the roads are free of snow and ice"
)
SENTENCES = (
    "What is the capital of France?",
    "Turn on the lights, please.",
    "She sells sea shells by the sea shore.",
    "The train to the city leaves at seven in the morning.",
    "There is plenty of time to read a good book.",
    "My brother bought a small house near the river.",
    "We will meet again in front of the library tomorrow.",
    "The doctor asked him to drink more water every day.",
    "Nobody knew why the old man was smiling.",
    "Please close the window before the rain comes in.",
)
QUIET = bytes(INPUT_RATE)
"""Half a second, before and after each sentence, as a turn has it."""

COLUMNS = {
    "flite, Kore": ("flite", "Kore"),
    "flite, Algenib (`kal16`)": ("flite", "Algenib"),
    "espeak-ng, Kore": ("espeak", "Kore"),
}
HEARD = {
    "flite": ("Kore", "Zephyr", "Achernar", "Charon", "Puck", "Orus", "Iapetus", "Algenib"),
    "espeak": ("Kore", "Charon", "Puck", "Algenib"),
}


async def spoken(engine: Synthesizer, text: str, voice: str) -> tuple[bytes, float]:
    """The sound, and the seconds until the first of it."""
    began, first, pcm = time.perf_counter(), 0.0, bytearray()
    pieces: Any = engine.speak(text, voice)
    async with aclosing(pieces):
        async for piece in pieces:
            if piece.pcm and not first:
                first = time.perf_counter() - began
            pcm += piece.pcm
    return bytes(pcm), first


async def times(engine: Synthesizer, voice: str) -> list[str]:
    """One column: first sound of a short and a long sentence, CPU time for a second of sound."""
    cells = []
    before, sound = cpu_seconds(), 0.0
    for text in (SHORT, LONG):
        firsts = []
        for _ in range(ROUNDS):
            pcm, first = await spoken(engine, text, voice)
            firsts.append(first * 1000)
            sound += pcm_seconds(len(pcm))
        p90 = statistics.quantiles(firsts, n=10)[-1]
        cells.append(f"{statistics.median(firsts):.0f} / {p90:.0f} ms")
    cells.append(f"{(cpu_seconds() - before) / sound:.3f} s")
    return cells


def cpu_seconds() -> float:
    """Of this process and of the programs that it ran and waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


async def word_errors(engine: Synthesizer, voice: str, decoding: Decoding) -> float:
    """Wrong, missing and added words in percent of those spoken."""
    heard = []
    for text in SENTENCES:
        pcm, _ = await spoken(engine, text, voice)
        sound = soxr.resample(np.frombuffer(pcm, "<i2"), OUTPUT_RATE, INPUT_RATE, "HQ")
        decoding.begin("")
        decoding.feed(QUIET + np.asarray(sound, "<i2").tobytes() + QUIET)
        heard.append(await asyncio.to_thread(lambda: decoding.finish()[0]))
    return 100 * float(jiwer.wer([bare(text) for text in SENTENCES], heard))


def bare(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum() or c.isspace())


async def measured() -> str:
    engines: dict[str, Synthesizer] = {}
    for name in HEARD:
        try:
            engines[name] = await House().build("synthesizer", name)
        except EngineMissing as missing:
            print(f"Left out: {missing}")
    columns = {
        title: await times(engines[name], voice)
        for title, (name, voice) in COLUMNS.items()
        if name in engines
    }
    rows = (
        f"first sound, {len(SHORT)} characters (p50 / p90 of {ROUNDS})",
        f"first sound, {len(LONG)} characters without a mark",
        "CPU time for a second of sound",
    )
    lines = [f"| | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for number, row in enumerate(rows):
        lines.append(f"| {row} | {' | '.join(cells[number] for cells in columns.values())} |")
    lines += ["", "| words wrong to the embedded recognizer | each voice |", "| --- | --- |"]
    decoding = Decoding({})
    for name, engine in engines.items():
        rates = [f"{v} {await word_errors(engine, v, decoding):.0f} %" for v in HEARD[name]]
        lines.append(f"| {name} | {', '.join(rates)} |")
        await engine.aclose()
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    chosen = parser.parse_args()
    text = asyncio.run(measured())
    words = sum(len(sentence.split()) for sentence in SENTENCES)
    text += f"\n\n{len(SENTENCES)} sentences, {words} words a voice."
    print(text)
    if chosen.write:
        page = PAGE.read_text()
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


if __name__ == "__main__":
    main()
