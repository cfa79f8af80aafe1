"""Speak the spoken utterances of `others` and write down what the recognizer returns.

    python benchmarks/toolchoice/make_spoken.py [--synthesizer hibari] [--recognizer moonshine]

Every text is spoken in one of five voices. Four of seven stay clean; pink noise is added to the
others, with 10, 15 and 20 dB between speech and noise. The texts go to `others/spoken.json`,
which is committed: the figures of a method change only when the file does. The noise has a fixed
seed, but a synthesizer may draw its own, so a second run can differ in a word.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

sys.path.insert(0, str(Path(__file__).parents[2]))  # the root, for a script

from benchmarks.toolchoice.others import SPOKEN_FILE, TOOL_SETS

from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE
from vivavoce.engines.ports import RecognitionOptions, Recognizer, Synthesizer
from vivavoce.engines.registry import EngineBuilder

VOICES = ("Kore", "Charon", "Puck", "Leda", "Orus")
SNR_DB = (None, None, 20.0, None, 15.0, None, 10.0)
LEAD_SAMPLES = INPUT_RATE * 3 // 10
TAIL_SAMPLES = INPUT_RATE * 4 // 10
PEAK = 0.4

Samples = npt.NDArray[np.float64]


async def speak(synthesizer: Synthesizer, text: str, voice: str) -> Samples:
    """Samples at 16 kHz in -1..1, with silence before and behind."""
    pieces: Any = synthesizer.speak(text, voice)
    async with aclosing(pieces):
        pcm = b"".join([piece.pcm async for piece in pieces])
    sound = soxr.resample(np.frombuffer(pcm, "<i2") / 2**15, OUTPUT_RATE, INPUT_RATE, "HQ")
    scaled = sound * (PEAK / max(1e-9, float(np.abs(sound).max())))
    return np.concatenate([np.zeros(LEAD_SAMPLES), scaled, np.zeros(TAIL_SAMPLES)])


def add_noise(sound: Samples, snr_db: float, random: np.random.Generator) -> Samples:
    """The sound with pink noise, `snr_db` below the mean power of the speech."""
    spectrum = np.fft.rfft(random.standard_normal(len(sound)))
    spectrum /= np.sqrt(np.maximum(1, np.arange(len(spectrum))))
    noise = np.fft.irfft(spectrum, len(sound))
    speech = sound[LEAD_SAMPLES:-TAIL_SAMPLES]
    level = np.sqrt(np.mean(speech**2) / np.mean(noise**2)) / 10 ** (snr_db / 20)
    return np.asarray(sound + level * noise, np.float64)


async def recognize(recognizer: Recognizer, sound: Samples) -> str:
    """The final text of one utterance."""
    pcm = np.clip(np.rint(sound * 2**15), -(2**15), 2**15 - 1).astype("<i2").tobytes()
    recognition = recognizer.open(RecognitionOptions(("en-US",)))
    try:
        async with recognition.utterance() as utterance:
            await utterance.feed(pcm)
            return (await utterance.finish()).text
    finally:
        await recognition.aclose()


async def make(synthesizer_name: str, recognizer_name: str) -> list[dict[str, Any]]:
    host = EngineBuilder({})
    synthesizer = await host.build("synthesizer", {"use": synthesizer_name})
    recognizer = await host.build("recognizer", {"use": recognizer_name})
    random = np.random.default_rng(9)
    entries: list[dict[str, Any]] = []
    texts = [each.text for one in TOOL_SETS.values() for each in one.spoken]
    for number, text in enumerate(texts):
        voice, snr_db = VOICES[number % len(VOICES)], SNR_DB[number % len(SNR_DB)]
        sound = await speak(synthesizer, text, voice)
        if snr_db is not None:
            sound = add_noise(sound, snr_db, random)
        recognized = await recognize(recognizer, sound)
        entries.append({"text": text, "recognized": recognized, "voice": voice, "snr_db": snr_db})
        if recognized.casefold().strip(" .?!") != text.casefold().strip(" .?!"):
            print(f"{text}\n  -> {recognized}")
    await synthesizer.aclose()
    await recognizer.aclose()
    return entries


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--synthesizer", default="hibari")
    parser.add_argument("--recognizer", default="moonshine")
    options = parser.parse_args()
    entries = asyncio.run(make(options.synthesizer, options.recognizer))
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    SPOKEN_FILE.write_text(f"[\n{lines}\n]\n", "utf-8")


if __name__ == "__main__":
    main()
