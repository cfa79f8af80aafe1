"""Silero on its real weights: what scores high, what scores low, and that no state is kept."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from vivavoce.engines.registry import EngineBuilder, locate_weights
from vivavoce.engines.silero import FRAME_SAMPLES, SileroDetector, create
from vivavoce.errors import ConfigError, EngineError, EngineMissing

# Synthesized: half a second of silence, "turn on the lights please",
# half a second of silence.
CLIP = Path(__file__).parent / "data" / "turn-on-the-lights.wav"
FRAME_BYTES = 2 * FRAME_SAMPLES


@pytest.fixture(scope="module")
def detector() -> SileroDetector:
    try:
        folder = locate_weights("silero")
    except EngineMissing as absent:
        pytest.skip(str(absent))
    return SileroDetector(folder / "silero_vad_op18_ifless.onnx")


def cut(pcm: bytes) -> list[bytes]:
    whole = len(pcm) - len(pcm) % FRAME_BYTES
    return [pcm[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES)]


def speech() -> list[bytes]:
    with wave.open(str(CLIP)) as file:
        return cut(file.readframes(file.getnframes()))


def listen(detector: SileroDetector, frames: list[bytes]) -> list[float]:
    state = detector.fresh()
    scores = []
    for frame in frames:
        [(score, state)] = detector.score([frame], [state])
        scores.append(score)
    return scores


def sound(samples: np.ndarray) -> list[bytes]:
    return cut(np.clip(samples * 32767, -32768, 32767).astype("<i2").tobytes())


SECONDS = np.arange(3 * 16_000) / 16_000
NOISE = np.random.default_rng(7)
NOT_SPEECH = {
    "silence": np.zeros_like(SECONDS),
    "quiet noise": 0.003 * NOISE.standard_normal(SECONDS.size),
    "loud noise": 0.2 * NOISE.standard_normal(SECONDS.size),
    "mains hum": 0.2 * np.sin(2 * np.pi * 50 * SECONDS) + 0.1 * np.sin(2 * np.pi * 150 * SECONDS),
    "a tone": 0.3 * np.sin(2 * np.pi * 440 * SECONDS),
    "clicks": np.where(np.arange(SECONDS.size) % 4000 < 20, 0.5, 0.0),
}


@pytest.mark.embedded
def test_speech_scores_high_from_its_first_word_to_its_last(detector: SileroDetector) -> None:
    scores = listen(detector, speech())
    assert max(scores[:12]) < 0.1, "the silence before"
    spoken = scores[18:-20]
    assert np.mean([score >= 0.35 for score in spoken]) > 0.95
    assert max(scores[-5:]) < 0.2, "the silence after"


@pytest.mark.embedded
@pytest.mark.parametrize("kind", NOT_SPEECH)
def test_what_is_not_speech_scores_low(detector: SileroDetector, kind: str) -> None:
    assert max(listen(detector, sound(NOT_SPEECH[kind]))) < 0.5


@pytest.mark.embedded
def test_a_batch_scores_each_stream_as_if_it_were_alone(detector: SileroDetector) -> None:
    """Streams at different places of their sound, in one call, in changing company."""
    frames = speech()
    streams = [frames, frames[10:], sound(NOT_SPEECH["loud noise"]), frames[25:]]
    alone = [listen(detector, stream) for stream in streams]
    states = [detector.fresh() for _ in streams]
    together: list[list[float]] = [[] for _ in streams]
    for at in range(max(map(len, streams))):
        rows = [row for row, stream in enumerate(streams) if at < len(stream)]
        results = detector.score([streams[row][at] for row in rows], [states[row] for row in rows])
        for row, (score, state) in zip(rows, results, strict=True):
            together[row].append(score)
            states[row] = state
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.embedded
def test_a_state_can_be_used_twice(detector: SileroDetector) -> None:
    """Scoring changes no state that was given: a stream may be scored again from any point."""
    frames = speech()
    state = detector.fresh()
    for frame in frames[:20]:
        [(_, state)] = detector.score([frame], [state])
    first = detector.score([frames[20]], [state])[0][0]
    assert detector.score([frames[20]], [state])[0][0] == first
    assert detector.score([frames[20]], [detector.fresh()])[0][0] != pytest.approx(first, abs=1e-3)


@pytest.mark.embedded
def test_nothing_to_score_and_frames_of_a_wrong_size(detector: SileroDetector) -> None:
    assert detector.score([], []) == []
    with pytest.raises(ValueError, match="512 samples"):
        detector.score([bytes(100)], [detector.fresh()])


@pytest.mark.embedded
async def test_the_factory_loads_what_was_fetched_or_a_path(detector: SileroDetector) -> None:
    assert (await create({}, EngineBuilder())).frame_samples == 512
    path = locate_weights("silero") / "silero_vad_op18_ifless.onnx"
    await (await create({"path": str(path)}, EngineBuilder())).aclose()


async def test_bad_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`threshold` is not known"):
        await create({"threshold": 0.5}, EngineBuilder())
    with pytest.raises(ConfigError, match="`path` names no file"):
        await create({"path": str(tmp_path / "absent.onnx")}, EngineBuilder())


async def test_a_file_that_is_no_network_is_an_engine_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    with pytest.raises(EngineError, match="can't be loaded"):
        await create({"path": str(broken)}, EngineBuilder())


@pytest.mark.embedded
def test_the_library_leaves_no_trace_and_sends_nothing(
    detector: SileroDetector, tmp_path: Path
) -> None:
    """onnxruntime would write an id of this machine into the user's cache and report with it."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from vivavoce.engines.silero import SileroDetector\n"
        "SileroDetector(Path(sys.argv[1]))\n"
    )
    model = locate_weights("silero") / "silero_vad_op18_ifless.onnx"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))}
    environment = kept | {"HOME": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-c", program, str(model)], env=environment, check=True, timeout=60
    )
    assert not list(tmp_path.rglob("*onnxruntime*"))
