"""Sounds without words, made by numpy from fixed seeds: noise, music, typing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vivavoce.domain.audio import INPUT_RATE

Sound = NDArray[np.float64]

LOUDNESS = 0.1
"""Root mean square of every sound, as of a voice close to the microphone."""


def pcm(name: str, seconds: float) -> bytes:
    """So much of the sound called `name`, 16 kHz."""
    size = round(seconds * INPUT_RATE)
    sound = SOUNDS[name][1](np.random.default_rng(len(name)), size)
    sound = sound / np.sqrt(np.mean(sound**2)) * LOUDNESS
    scaled: bytes = np.clip(sound * 32767, -32768, 32767).astype("<i2").tobytes()
    return scaled


def _white(rng: np.random.Generator, size: int) -> Sound:
    return rng.standard_normal(size)


def _colored(rng: np.random.Generator, size: int, slope: float) -> Sound:
    """Noise whose amplitude falls with the frequency to this power."""
    spectrum = np.fft.rfft(rng.standard_normal(size))
    frequencies = np.maximum(np.fft.rfftfreq(size, 1 / INPUT_RATE), 20.0)
    return np.asarray(np.fft.irfft(spectrum / frequencies**slope, size), dtype=np.float64)


def _street(rng: np.random.Generator, size: int) -> Sound:
    """Brown noise that swells and fades, as of cars that pass."""
    swell = np.abs(_colored(rng, size, 3.0))
    return np.asarray(_colored(rng, size, 1.0) * (0.2 + swell / swell.max()), dtype=np.float64)


def _fan(rng: np.random.Generator, size: int) -> Sound:
    """Mains hum with its harmonics, and air."""
    time = np.arange(size) / INPUT_RATE
    hum = sum(np.sin(2 * np.pi * 50 * n * time) / n for n in range(1, 9))
    return np.asarray(hum + _colored(rng, size, 0.5), dtype=np.float64)


def _music(rng: np.random.Generator, size: int) -> Sound:
    """Chords, a melody of plucked notes above them, and a drum on every beat."""
    beat = INPUT_RATE // 2
    sound = np.zeros(size)
    scale = 220.0 * 2.0 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12]) / 12)
    for number, start in enumerate(range(0, size - 4 * beat, beat)):
        root = int(rng.integers(0, 5)) if number % 4 == 0 else -1
        if root >= 0:
            for step in (0, 2, 4):
                _note(sound, start, 4 * beat, scale[(root + step) % 8] / 2, decay_s=2.0)
        _note(sound, start, beat, scale[int(rng.integers(0, 8))] * 2, decay_s=0.3)
        drum = rng.standard_normal(beat // 4) * np.exp(-np.arange(beat // 4) / 400)
        sound[start : start + beat // 4] += drum * (0.8 if number % 2 else 0.3)
    return sound


def _note(sound: Sound, start: int, size: int, hertz: float, decay_s: float) -> None:
    time = np.arange(size) / INPUT_RATE
    harmonics = sum(np.sin(2 * np.pi * hertz * n * time) / n**1.5 for n in range(1, 7))
    sound[start : start + size] += harmonics * np.exp(-time / decay_s) * np.minimum(1, time * 100)


def _typing(rng: np.random.Generator, size: int) -> Sound:
    """Keys: two clicks each, down and up, that ring at their own frequencies."""
    sound = _colored(rng, size, 0.5) * 0.002
    at = 0
    while (at := at + int(rng.gamma(4, 0.04) * INPUT_RATE)) < size - INPUT_RATE // 4:
        for start, loud in ((at, 1.0), (at + int(rng.uniform(0.05, 0.1) * INPUT_RATE), 0.5)):
            time = np.arange(INPUT_RATE // 25) / INPUT_RATE
            ring = np.sin(2 * np.pi * rng.uniform(800, 4000) * time)
            click = (rng.standard_normal(time.size) + ring) * np.exp(-time * 300)
            sound[start : start + time.size] += click * loud * rng.uniform(0.5, 1.5)
    return sound


SOUNDS: dict[str, tuple[str, Callable[[np.random.Generator, int], Sound]]] = {
    "white": ("white noise", _white),
    "street": ("a street", _street),
    "fan": ("a fan and mains hum", _fan),
    "music": ("music", _music),
    "typing": ("typing", _typing),
}
"""Names for people, and how each is made."""
