"""Voice activity detection by Silero's recurrent network, on onnxruntime.

The network needs 64 samples of context before each frame and a memory of two rows of 128 numbers;
both are the state of a stream, so frames of many streams are scored in one call, by any worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE
from vivavoce.engines.ports import EngineHost, Settings
from vivavoce.engines.settings import ExistingFile, read_settings
from vivavoce.engines.weights import Weights, Wheel, load_session

ENGINE = "detector.silero"
MODEL = "silero_vad_op18_ifless.onnx"

WEIGHTS = (
    Weights(
        name="silero",
        description="voice activity detector Silero VAD 6.2",
        version="6.2.3",
        license="MIT",
        origin="github.com/snakers4/silero-vad (the wheel is its makers' own)",
        disk_bytes=2_845_718,
        wheels=(
            Wheel(
                distribution="silero-vad",
                version="6.2.3",
                filename="silero_vad-6.2.3-py3-none-any.whl",
                sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
                size_bytes=11_317_527,
                members=(f"silero_vad/data/{MODEL}",),
            ),
        ),
    ),
)

FRAME_SAMPLES = 512
"""32 ms at 16 kHz, the only size the network takes."""

_CONTEXT_SAMPLES = 64
_MEMORY = (2, 128)


@dataclass(frozen=True, slots=True)
class SileroSettings:
    """`path` is an ONNX file to use instead of the fetched one."""

    path: ExistingFile | None = None


@dataclass(frozen=True, slots=True)
class StreamState:
    """State of the network for one stream; never changed once made."""

    context: NDArray[np.float32]
    memory: NDArray[np.float32]


class SileroDetector:
    """Scores frames of 512 samples. See `engines.ports.VoiceDetector`."""

    frame_samples = FRAME_SAMPLES
    inline = True

    def __init__(self, model: Path) -> None:
        """Load the network from an ONNX file. Raises `EngineMissing` and `EngineError`."""
        self._session = load_session(model, ENGINE)
        self._rate = np.array(INPUT_RATE, dtype=np.int64)

    def fresh(self) -> StreamState:
        """Return the state of a stream at its beginning."""
        return StreamState(np.zeros(_CONTEXT_SAMPLES, np.float32), np.zeros(_MEMORY, np.float32))

    def score(
        self, frames: Sequence[bytes], states: Sequence[StreamState]
    ) -> list[tuple[float, StreamState]]:
        """Score one frame of each stream: probability of speech, and the next state."""
        if not frames:
            return []
        if any(len(frame) != FRAME_SAMPLES * BYTES_PER_SAMPLE for frame in frames):
            sizes = sorted({len(frame) for frame in frames})
            raise ValueError(f"frames hold {FRAME_SAMPLES} samples of 2 bytes, got {sizes} bytes")
        samples = np.frombuffer(b"".join(frames), dtype="<i2").reshape(len(frames), FRAME_SAMPLES)
        sound = samples.astype(np.float32) / 32768.0
        contexts = np.stack([state.context for state in states])
        memories = np.stack([state.memory for state in states], axis=1)
        scores, memories = self._session.run(
            None,
            {
                "input": np.concatenate([contexts, sound], axis=1),
                "state": memories,
                "sr": self._rate,
            },
        )
        # Copies, because a view would keep the whole batch alive with its longest-lived stream.
        return [
            (
                float(scores[row, 0]),
                StreamState(sound[row, -_CONTEXT_SAMPLES:].copy(), memories[:, row].copy()),
            )
            for row in range(len(frames))
        ]

    async def aclose(self) -> None:
        """Do nothing: the network is only memory."""


async def create(settings: Settings, host: EngineHost) -> SileroDetector:
    """Build the engine. Raises `ConfigError`, `EngineMissing`, `EngineError`."""
    path = read_settings(ENGINE, settings, SileroSettings).path
    return SileroDetector(path or host.weights("silero") / MODEL)


def required_weights(settings: Settings) -> tuple[str, ...]:
    """Return the names of the weights that it loads under these settings."""
    return () if settings.get("path") is not None else ("silero",)
