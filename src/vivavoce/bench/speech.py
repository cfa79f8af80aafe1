"""Speech to measure with: spoken by the embedded voice and cached, or carried by tones.

A line of speech is a sequence of texts and of pauses in seconds, `("I would like", 0.8, "two")`.
The silence around each text is cut, so that pauses last exactly as long as they say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import platformdirs
import soxr

from vivavoce.client.audio import Recording, read_wav
from vivavoce.client.paced_microphone import RecordedUtterance
from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, OUTPUT_RATE, samples
from vivavoce.engines.ports import Synthesizer
from vivavoce.engines.registry import EngineBuilder
from vivavoce.engines.scripted import say

SYNTHESIZER = "hibari"
VOICE = "Charon"
CACHE = Path(platformdirs.user_cache_dir("vivavoce")) / "benchmarks" / "speech"
"""Synthesized speech is kept here, by text and voice, so that runs are alike."""

Line: TypeAlias = Sequence[str | float]


async def synthesize_lines(lines: Iterable[Line], voice: str = VOICE) -> list[RecordedUtterance]:
    """Speak each line by the embedded voice, or take it from the cache.

    Raises `EngineMissing` where the voice is not installed and the cache lacks a text.
    """
    lines = list(lines)
    texts = list(dict.fromkeys(text for line in lines for text in line if isinstance(text, str)))
    spoken = dict(zip(texts, await synthesize_texts(texts, voice), strict=True))
    return [_join_line(line, [spoken[p] for p in line if isinstance(p, str)]) for line in lines]


def tone_lines(lines: Iterable[Line]) -> list[RecordedUtterance]:
    """Carry each line by the tones that the engine `recognizer.tones` decodes."""
    return [
        _join_line(line, [say(part, INPUT_RATE) for part in line if isinstance(part, str)])
        for line in lines
    ]


def line_text(line: Line) -> str:
    """Return the words of a line, with an ellipsis for each pause."""
    return " ".join(part if isinstance(part, str) else "…" for part in line)


def _join_line(line: Line, sounds: Sequence[bytes]) -> RecordedUtterance:
    """Place the sounds of the texts one after the other, with the pauses of the line between."""
    pcm, stretches, left = bytearray(), list[tuple[int, int]](), iter(sounds)
    for part in line:
        if not isinstance(part, str):
            pcm += bytes(samples(part) * BYTES_PER_SAMPLE)
            continue
        found = RecordedUtterance.find_speech(next(left), part)
        shift = len(pcm) // BYTES_PER_SAMPLE - found.onset
        pcm += found.pcm[found.onset * BYTES_PER_SAMPLE : found.end * BYTES_PER_SAMPLE]
        stretches += [(start + shift, end + shift) for start, end in found.stretches]
    return RecordedUtterance(bytes(pcm), tuple(stretches), line_text(line))


async def synthesize_texts(texts: Iterable[str], voice: str = VOICE) -> list[bytes]:
    """Speak each text as 16 kHz PCM by the embedded voice, or take it from the cache."""
    texts = list(texts)
    paths = [_cache_path(text, voice) for text in texts]
    missing = {path: text for path, text in zip(paths, texts, strict=True) if not path.exists()}
    if missing:
        CACHE.mkdir(parents=True, exist_ok=True)
        synthesizer: Synthesizer = await EngineBuilder().build("synthesizer", SYNTHESIZER)
        try:
            for path, text in missing.items():
                await _save_speech(synthesizer, path, text, voice)
        finally:
            await synthesizer.aclose()
    return [read_wav(path) for path in paths]


def _cache_path(text: str, voice: str) -> Path:
    name = hashlib.sha256(f"{SYNTHESIZER}\n{voice}\n{text}".encode()).hexdigest()[:24]
    return CACHE / f"{name}.wav"


async def _save_speech(synthesizer: Synthesizer, path: Path, text: str, voice: str) -> None:
    pcm = b"".join([piece.pcm async for piece in synthesizer.speak(text, voice)])
    sound = soxr.resample(np.frombuffer(pcm, "<i2"), OUTPUT_RATE, INPUT_RATE, "HQ")
    recording = Recording(bytearray(np.asarray(sound, "<i2").tobytes()), INPUT_RATE)
    # Renamed when whole: another process may be reading the cache.
    unfinished = path.with_suffix(".unfinished")
    recording.save(unfinished)
    unfinished.rename(path)
