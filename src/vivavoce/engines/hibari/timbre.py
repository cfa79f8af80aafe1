"""Voice conversion on vocoder parameters: pitch, formants, spectral tilt, breath.

The network predicts envelopes and pitch apart, so each can be moved without the other: pitch to
the voice's own mean, the envelopes along the frequency axis, as a longer or shorter vocal tract
moves them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from vivavoce.engines.hibari.network import Frames
from vivavoce.engines.synthesis import VoiceParameters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

MODEL_PITCH_HZ = 195.0
"""Geometric mean of the pitch of the model in the package, over six sentences."""

_BINS = 601
_BIN_HZ = 20.0
_VOICED_HZ = 40.0
_NEPER_DB = 8.686

_FUNDAMENTAL = 1.3
"""The envelope follows the pitch up to 1.3 times its mean, and the formants from 1 kHz on.

The network's envelope has a peak where the model's own fundamental is; left in its place, it
makes one or two harmonics of a low voice boom (loudness of clauses spread by 1.7 dB instead of
0.4, DNSMOS 2.8 instead of 3.2).
"""
_FORMANTS_HZ = 1000.0

_SMOOTHING = (0.25, 0.75, 1.0, 0.75, 0.25)
"""Weights of neighbouring bins: closes the notches that the envelope has between harmonics of the
model's own pitch (DNSMOS of a low voice 3.0 instead of 2.8)."""


def convert(frames: Frames, voice: VoiceParameters) -> Frames:
    """`frames` as the voice described by `voice` would have them."""
    import numpy as np

    voiced = frames.pitch > _VOICED_HZ
    ratio = voice.pitch_hz / MODEL_PITCH_HZ
    pitch = frames.pitch
    if voiced.any():
        middle = np.exp(np.log(pitch[voiced]).mean())
        moved = middle * (np.maximum(pitch, 1) / middle) ** voice.range
        pitch = np.where(voiced, moved, pitch) * np.float32(ratio)
    warp = _Warp.of(voice.pitch_hz, voice.formant)
    tilt = _tilt(voice.tilt_db)
    # Twice as many harmonics of the same size would be twice the power.
    level = np.float32(0.5 * np.log(ratio))
    noise = warp.envelope(frames.noise) + tilt
    if voice.breath_db:
        noise += _breath(voice.breath_db) * voiced
    return replace(
        frames,
        harmonic=warp.envelope(_smooth(frames.harmonic)) + (tilt + level),
        harmonic_phase=warp.phase(frames.harmonic_phase),
        noise=noise,
        free=warp.envelope(frames.free) + tilt,
        free_phase=warp.phase(frames.free_phase),
        pitch=pitch.astype(np.float32),
    )


def render(frames: Frames) -> Floats:
    """The sound, 24 kHz, full scale at 1. Blocks, about 4 ms of CPU for a second of speech."""
    import numpy as np
    from hibari import dsp

    # The same noise every time: a text always sounds the same.
    noise = np.random.default_rng(0)
    sound: Floats = dsp.synth(
        frames.harmonic, frames.harmonic_phase, frames.noise, frames.free, frames.free_phase,
        frames.pitch, noise,
    )  # fmt: skip
    return sound


class _Warp:
    """A stretch of the frequency axis: which bins of the model a bin of the voice comes from."""

    def __init__(self, pitch_hz: float, formant: float) -> None:
        import numpy as np

        top = _BINS * _BIN_HZ
        voice_hz = (0.0, _FUNDAMENTAL * pitch_hz, _FORMANTS_HZ * formant, top * formant)
        model_hz = (0.0, _FUNDAMENTAL * MODEL_PITCH_HZ, _FORMANTS_HZ, top)
        at = np.interp(np.arange(_BINS) * _BIN_HZ, voice_hz, model_hz) / _BIN_HZ
        at = np.minimum(at, _BINS - 1)
        self._low = at.astype(np.intp)
        self._high = np.minimum(self._low + 1, _BINS - 1)
        self._share = (at - self._low).astype(np.float32)[:, None]
        self._nearest = np.round(at).astype(np.intp)

    @staticmethod
    @lru_cache(maxsize=64)
    def of(pitch_hz: float, formant: float) -> _Warp:
        """The stretch for a voice; made once."""
        return _Warp(pitch_hz, formant)

    def envelope(self, values: Floats) -> Floats:
        """Log magnitudes [601, frames], in proportion between bins."""
        low = values[self._low]
        moved: Floats = low + (values[self._high] - low) * self._share
        return moved

    def phase(self, values: Floats) -> Floats:
        """Phases [601, frames], of the nearest bin."""
        moved: Floats = values[self._nearest]
        return moved


def _smooth(envelope: Floats) -> Floats:
    import numpy as np

    reach = len(_SMOOTHING) // 2
    padded = np.pad(envelope, ((reach, reach), (0, 0)), mode="edge")
    smoothed: Floats = np.zeros_like(envelope)
    for shift, weight in enumerate(_SMOOTHING):
        smoothed += np.float32(weight / sum(_SMOOTHING)) * padded[shift : shift + _BINS]
    return smoothed


@lru_cache(maxsize=64)
def _tilt(db: float) -> Floats:
    """A slope in dB an octave around 1 kHz, level below 250 Hz and above 8 kHz; in nepers."""
    import numpy as np

    octaves = np.log2(np.clip(np.arange(_BINS) * _BIN_HZ, 250, 8000) / 1000)
    slope: Floats = (octaves * db / _NEPER_DB).astype(np.float32)[:, None]
    return slope


@lru_cache(maxsize=64)
def _breath(db: float) -> Floats:
    """Noise from 500 Hz on, whole from 2 kHz on; in nepers."""
    import numpy as np

    share = np.clip((np.arange(_BINS) * _BIN_HZ - 500) / 1500, 0, 1)
    return (share * db / _NEPER_DB).astype(np.float32)[:, None]
