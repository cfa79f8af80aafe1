"""Make the recordings that ship with the project: two short questions, spoken by a flite voice.

    python scripts/make_assets.py

16 kHz mono 16-bit WAV, in src/vivavoce/assets. flite's excitation is random, so the files
differ a little from run to run; each one is kept only if a recognizer understands it.
"""

from __future__ import annotations

import asyncio
import sys
import wave
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soxr
from pocketsphinx import Decoder

from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE
from vivavoce.engines.flite import FliteSynthesizer, create
from vivavoce.engines.registry import House

ASSETS = Path(__file__).resolve().parent.parent / "src" / "vivavoce" / "assets"
VOICE = "Kore"
RECORDINGS = {
    "question.wav": "What is the capital of France?",
    "lights.wav": "Turn on the lights, please.",
}
LEAD_S, TAIL_S, PEAK = 0.25, 0.25, 0.6
TRIES = 10


async def record(engine: FliteSynthesizer, text: str) -> bytes:
    """`text` as 16 kHz PCM at an even level, with a little quiet around it."""
    pcm = b"".join([piece.pcm async for piece in engine.speak(text, VOICE)])
    sound = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    sound = soxr.resample(sound, OUTPUT_RATE, INPUT_RATE)
    sound *= PEAK / np.abs(sound).max()
    quiet = [np.zeros(round(INPUT_RATE * s), np.float32) for s in (LEAD_S, TAIL_S)]
    whole = np.concatenate((quiet[0], sound, quiet[1]))
    return bytes((whole * 32767).astype("<i2").tobytes())


def understood(pcm: bytes) -> str:
    """What a recognizer makes of it."""
    decoder = Decoder(fwdflat=False, maxhmmpf=10000, maxwpf=20, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return found.hypstr if found else ""


def words(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum() or c == " ")


def keep(path: Path, pcm: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, INPUT_RATE, 0, "NONE", ""))
        file.writeframes(pcm)


async def main(folder: Path = ASSETS, recordings: Mapping[str, str] = RECORDINGS) -> int:
    """Make every recording in `folder`; the exit status."""
    engine = await create({}, House(tell=print))
    try:
        made = [await make(engine, folder / name, text) for name, text in recordings.items()]
    finally:
        await engine.aclose()
    return 0 if all(made) else 1


async def make(engine: FliteSynthesizer, path: Path, text: str) -> bool:
    """Write a recording of `text` that a recognizer understands; whether one came about."""
    for _ in range(TRIES):
        pcm = await record(engine, text)
        if words(heard := understood(pcm)) == words(text):
            break
    else:
        print(f"{path.name}: never understood; heard {heard!r}", file=sys.stderr)
        return False
    keep(path, pcm)
    print(f"{path.name}: {len(pcm) / 2 / INPUT_RATE:.2f} s, heard as {heard!r}")
    return True


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
