"""Turn model Smart Turn v3.2: the end of a turn by its sound, on onnxruntime.

The network takes eight seconds of sound as a log-mel spectrogram of 80 bands, silence in front of
what is shorter, and gives the probability that the speaker has finished. It hears melody and
rhythm, and knows 23 languages; words are left to `turn_cues`.

A pause is scored twice when its words become known, so the latest scores are kept by their sound.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vivavoce.domain.audio import INPUT_RATE, samples
from vivavoce.engines.ports import MAX_TURN_S, EngineHost, Settings, TurnPause
from vivavoce.engines.settings import ExistingFile, read_settings
from vivavoce.engines.weights import Weights, Wheel, load_session

ENGINE = "turn_model.smart-turn"
MODEL = "smart-turn-v3.2-cpu.onnx"

WEIGHTS = (
    Weights(
        name="smart-turn",
        description="turn model Smart Turn v3.2",
        version="3.2",
        license="BSD-2-Clause",
        origin="github.com/pipecat-ai/smart-turn (the wheel is its makers' own)",
        disk_bytes=8_681_707,
        wheels=(
            Wheel(
                distribution="pipecat-ai",
                version="1.14.0",
                filename="pipecat_ai-1.14.0-py3-none-any.whl",
                sha256="0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44",
                size_bytes=12_109_725,
                members=(f"pipecat/audio/turn/smart_turn/data/{MODEL}",),
            ),
        ),
    ),
)

Floats = NDArray[np.float32]

TURN_SAMPLES = samples(MAX_TURN_S)
WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
BANDS = 80

KEPT_SCORES = 64
"""Latest scores that are kept: a few for each session that pauses now."""


@dataclass(frozen=True, slots=True)
class SmartTurnSettings:
    """`path` is an ONNX file to use instead of the fetched one."""

    path: ExistingFile | None = None


class SmartTurn:
    """Scores pauses by their sound. See `engines.ports.TurnModel`."""

    def __init__(self, model: Path) -> None:
        """Load the network from an ONNX file. Raises `EngineMissing` and `EngineError`."""
        self._session = load_session(model, ENGINE)
        self._kept: OrderedDict[bytes, float] = OrderedDict()

    def score(self, pauses: Sequence[TurnPause]) -> list[float]:
        """Return the probability of each pause; about 120 ms of CPU for one."""
        return [self._score_sound(pause.pcm) for pause in pauses]

    def _score_sound(self, pcm: bytes) -> float:
        # One by one: the network takes as long for two sounds as for two calls.
        key = blake2b(pcm, digest_size=16).digest()
        if key not in self._kept:
            features = log_mel(turn_sound(pcm))[np.newaxis]
            (output,) = self._session.run(None, {"input_features": features})
            self._kept[key] = float(output[0, 0])
            while len(self._kept) > KEPT_SCORES:
                self._kept.popitem(last=False)
        return self._kept[key]

    async def aclose(self) -> None:
        return None


def turn_sound(pcm: bytes) -> Floats:
    """Return the last eight seconds, -1..1, with silence in front of what is shorter."""
    sound = np.frombuffer(pcm, dtype="<i2")[-TURN_SAMPLES:].astype(np.float32) / 32768.0
    return np.pad(sound, (TURN_SAMPLES - len(sound), 0))


def log_mel(sound: Floats) -> Floats:
    """Return the log-mel spectrogram that Whisper's encoder takes: (80, frames of 10 ms).

    The sound is brought to mean 0 and variance 1; the logarithms are cut at 8 below the largest,
    and scaled to about -1..1. Source: Radford et al. 2022, section 2.2, and Slaney's mel scale.
    """
    sound = (sound - sound.mean()) / np.sqrt(sound.var() + np.float32(1e-7))
    half = WINDOW_SAMPLES // 2
    padded = np.pad(sound, half, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    spectrum = np.fft.rfft(frames[:-1] * _hann_window(), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    bands = np.log10(np.maximum(power @ _mel_filters(), 1e-10))
    bands = np.maximum(bands, bands.max() - 8.0)
    return np.ascontiguousarray(((bands + 4.0) / 4.0).T, dtype=np.float32)


@cache
def _hann_window() -> Floats:
    """Return a periodic Hann window."""
    phase = 2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES
    return np.asarray(0.5 - 0.5 * np.cos(phase), dtype=np.float32)


@cache
def _mel_filters() -> Floats:
    """Return triangular filters of equal area on Slaney's mel scale: (201, 80)."""
    top = INPUT_RATE / 2
    edges = _mel_to_hz(np.linspace(0.0, _hz_to_mel(top), BANDS + 2))
    bins = np.linspace(0.0, top, WINDOW_SAMPLES // 2 + 1)[:, np.newaxis]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles * 2.0 / (high - low), dtype=np.float32)


# Slaney's scale: linear up to 1000 Hz (15 mel), then 27 mel for each factor of 6.4.
_LINEAR_HZ, _LINEAR_MEL, _LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27.0


def _hz_to_mel(hz: float) -> float:
    if hz < _LINEAR_HZ:
        return hz * _LINEAR_MEL / _LINEAR_HZ
    return float(_LINEAR_MEL + np.log(hz / _LINEAR_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = np.maximum(mel - _LINEAR_MEL, 0.0)
    below = np.minimum(mel, _LINEAR_MEL) * (_LINEAR_HZ / _LINEAR_MEL)
    hz: NDArray[np.float64] = below * np.exp(above * _LOG_STEP)
    return hz


def required_weights(settings: Settings) -> tuple[str, ...]:
    """Return the names of the weights that these settings load."""
    return () if settings.get("path") else (WEIGHTS[0].name,)


async def create(settings: Settings, host: EngineHost) -> SmartTurn:
    """Build the model from its settings."""
    chosen = read_settings(ENGINE, settings, SmartTurnSettings)
    return SmartTurn(chosen.path or host.weights(WEIGHTS[0].name) / MODEL)
