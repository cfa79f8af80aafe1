"""Make the recordings that ship with the project: two short questions, spoken by hibari.

    python scripts/make_assets.py

16 kHz mono 16-bit WAV, in src/vivavoce/assets. A recording is written only if the embedded
recognizer understands every word of it.
"""

from __future__ import annotations

import asyncio
import sys
import wave
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soxr

from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE
from vivavoce.engines.ports import RecognitionOptions, Recognizer, Synthesizer
from vivavoce.engines.registry import EngineBuilder

ASSETS = Path(__file__).resolve().parent.parent / "src" / "vivavoce" / "assets"
VOICE = "Kore"
RECORDINGS = {
    "question.wav": "What is the capital of France?",
    "lights.wav": "Turn on the lights, please.",
}
LEAD_S, TAIL_S, PEAK = 0.25, 0.25, 0.6


async def record(synthesizer: Synthesizer, text: str) -> bytes:
    """`text` as 16 kHz PCM at an even level, with a little quiet around it."""
    pieces = synthesizer.speak(text, VOICE)
    pcm = b"".join([piece.pcm async for piece in pieces])
    sound = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    sound = soxr.resample(sound, OUTPUT_RATE, INPUT_RATE)
    sound *= PEAK / np.abs(sound).max()
    quiet = [np.zeros(round(INPUT_RATE * s), np.float32) for s in (LEAD_S, TAIL_S)]
    whole = np.concatenate((quiet[0], sound, quiet[1]))
    return bytes((whole * 32767).astype("<i2").tobytes())


async def transcribe(recognizer: Recognizer, pcm: bytes) -> str:
    """The text that the recognizer makes of `pcm`."""
    recognition = recognizer.open(RecognitionOptions())
    async with recognition.utterance() as utterance:
        await utterance.feed(pcm)
        return (await utterance.finish()).text


def words(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum() or c == " ")


def write(path: Path, pcm: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, INPUT_RATE, 0, "NONE", ""))
        file.writeframes(pcm)


async def main(folder: Path = ASSETS, recordings: Mapping[str, str] = RECORDINGS) -> int:
    """Make every recording in `folder`; the exit status."""
    host = EngineBuilder(report=print)
    synthesizer = await host.build("synthesizer", "hibari")
    recognizer = await host.build("recognizer", "moonshine")
    failures = 0
    for name, text in recordings.items():
        pcm = await record(synthesizer, text)
        understood = await transcribe(recognizer, pcm)
        if words(understood) != words(text):
            print(f"{name}: understood as {understood!r}, not written", file=sys.stderr)
            failures += 1
            continue
        write(folder / name, pcm)
        print(f"{name}: {len(pcm) / 2 / INPUT_RATE:.2f} s, understood as {understood!r}")
    await recognizer.aclose()
    await synthesizer.aclose()
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
