"""Sounds to play over the model's speech: short words, a second voice far away, and noises.

Noises are made from a seeded generator. They have the loudness, the duration and the envelope of
a cough or a door and no more: a detector that takes recordings of real ones for speech may ignore
these.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from vivavoce.domain.audio import INPUT_RATE, samples
from vivavoce.engines.ports import Synthesizer
from vivavoce.evaluation.clips import LabelledClip, Sound, speak_phrases, to_pcm, voiced_span
from vivavoce.evaluation.labelled_speech import Overlap, OverlapKind

PEAK = 0.5
"""Of full scale: close to the microphone."""

DISTANT_DB = 22.0
"""How far a second speaker's voice is below the user's."""

_REVERBERATION_S = 0.4


async def make_overlap(overlap: Overlap, synthesizer: Synthesizer) -> LabelledClip:
    """Return the sound alone, without a room around it."""
    spoken = overlap.spoken
    if overlap.kind is OverlapKind.NOISE:
        sound = make_noise(spoken.text)
    else:
        [sound] = await speak_phrases(spoken.phrases, spoken.voice, synthesizer)
        if overlap.kind is OverlapKind.OTHER_SPEAKER:
            sound = as_distant(sound)
    return LabelledClip(spoken.name, spoken.kind, to_pcm(sound), (voiced_span(sound),))


def make_noise(name: str) -> Sound:
    """Return the sound of `overlaps.toml` called `name`. Raises `KeyError` for an unknown one."""
    made = _NOISES[name](np.random.default_rng(zlib.crc32(name.encode())))
    return made * (PEAK / float(np.abs(made).max()))


def as_distant(sound: Sound) -> Sound:
    """Return a voice as from another place in a reverberant room, `DISTANT_DB` lower."""
    generator = np.random.default_rng(0)
    decay = np.exp(-6.9 * np.arange(samples(_REVERBERATION_S)) / samples(_REVERBERATION_S))
    echoes = generator.standard_normal(len(decay)) * decay
    size = len(sound) + len(echoes) - 1
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(echoes, size), size)
    wet = _band(np.asarray(wet), 150, 3000)
    loud = float(np.sqrt(np.mean(sound**2)) / max(float(np.sqrt(np.mean(wet**2))), 1e-12))
    return wet * (loud / 10 ** (DISTANT_DB / 20))


def _band(sound: Sound, low_hz: float, high_hz: float) -> Sound:
    """Keep the frequencies between two limits, with slopes of an octave."""
    spectrum = np.fft.rfft(sound)
    frequencies = np.maximum(np.fft.rfftfreq(len(sound), 1 / INPUT_RATE), 1.0)
    gain = np.clip(frequencies / low_hz, 0, 1) ** 2 * np.clip(high_hz / frequencies, 0, 1) ** 2
    return np.asarray(np.fft.irfft(spectrum * gain, len(sound)), dtype=np.float64)


def _burst(
    generator: np.random.Generator, seconds: float, decay_s: float, low_hz: float, high_hz: float
) -> Sound:
    """Noise that sets in at once and dies away."""
    time = np.arange(samples(seconds)) / INPUT_RATE
    noise = _band(generator.standard_normal(len(time)), low_hz, high_hz)
    return np.asarray(noise * np.minimum(1, time / 0.004) * np.exp(-time / decay_s))


def _sequence(parts: list[tuple[float, Sound]]) -> Sound:
    """Add sounds at their times in seconds."""
    size = max(samples(at) + len(sound) for at, sound in parts)
    whole = np.zeros(size)
    for at, sound in parts:
        whole[samples(at) : samples(at) + len(sound)] += sound
    return whole


def _cough(generator: np.random.Generator) -> Sound:
    return _sequence([(at, _burst(generator, 0.3, 0.07, 300, 3500)) for at in (0.0, 0.33)])


def _door(generator: np.random.Generator) -> Sound:
    latch = _burst(generator, 0.05, 0.01, 1000, 6000) * 0.4
    return _sequence([(0.0, latch), (0.08, _burst(generator, 0.5, 0.09, 40, 400))])


def _typing(generator: np.random.Generator) -> Sound:
    times = np.cumsum(generator.uniform(0.09, 0.2, 14))
    return _sequence([(float(at), _burst(generator, 0.04, 0.006, 900, 7000)) for at in times])


def _cup(generator: np.random.Generator) -> Sound:
    time = np.arange(samples(0.5)) / INPUT_RATE
    ring = sum(np.sin(2 * np.pi * hz * time) for hz in (1830.0, 2970.0, 4410.0))
    return _sequence(
        [
            (0.0, np.asarray(ring * np.exp(-time / 0.08))),
            (0.0, _burst(generator, 0.03, 0.005, 500, 7000)),
        ]
    )


def _sneeze(generator: np.random.Generator) -> Sound:
    breath = _burst(generator, 0.35, 0.4, 500, 3000)[::-1] * 0.2
    return _sequence([(0.0, breath), (0.35, _burst(generator, 0.4, 0.1, 700, 7000))])


def _chair(generator: np.random.Generator) -> Sound:
    time = np.arange(samples(0.7)) / INPUT_RATE
    scrape = _band(generator.standard_normal(len(time)), 200, 2500)
    return np.asarray(
        scrape * (1 + 0.8 * np.sin(2 * np.pi * 31 * time)) * np.sin(np.pi * time / 0.7)
    )


def _paper(generator: np.random.Generator) -> Sound:
    times = np.cumsum(generator.uniform(0.02, 0.09, 16))
    return _sequence([(float(at), _burst(generator, 0.06, 0.02, 2000, 7500)) for at in times])


def _knock(generator: np.random.Generator) -> Sound:
    return _sequence([(at, _burst(generator, 0.12, 0.025, 120, 1200)) for at in (0.0, 0.22, 0.44)])


def _horn(generator: np.random.Generator) -> Sound:
    time = np.arange(samples(0.6)) / INPUT_RATE
    tones = sum(
        np.sin(2 * np.pi * hz * n * time) / n for hz in (410.0, 510.0) for n in (1, 2, 3, 4)
    )
    edge = np.minimum(1, np.minimum(time, time[::-1]) / 0.02)
    return np.asarray(tones * edge + 0.02 * generator.standard_normal(len(time)))


def _breath(generator: np.random.Generator) -> Sound:
    time = np.arange(samples(0.9)) / INPUT_RATE
    return np.asarray(
        _band(generator.standard_normal(len(time)), 400, 4000) * np.sin(np.pi * time / 0.9) ** 2
    )


_NOISES: dict[str, Callable[[np.random.Generator], Sound]] = {
    "cough": _cough,
    "door": _door,
    "typing": _typing,
    "cup": _cup,
    "sneeze": _sneeze,
    "chair": _chair,
    "paper": _paper,
    "knock": _knock,
    "horn": _horn,
    "breath": _breath,
}
