"""Sound, and the clock that it makes.

Everything heard is counted in *positions*: samples at 16 kHz since the session's first
audio. Silence is measured in samples, never in seconds of waiting, so network jitter and
files sent faster than real time change nothing.

All PCM in this project is 16-bit signed little-endian mono, carried as `bytes`.
"""

from __future__ import annotations

from dataclasses import dataclass

INPUT_RATE = 16_000
"""Samples a second of everything heard, after resampling; the unit of a position."""

OUTPUT_RATE = 24_000
"""Samples a second of everything spoken, as the Live API sends it."""

BYTES_PER_SAMPLE = 2

Position = int
"""A count of 16 kHz samples since the session's first audio."""


RECORDING = "audio/pcm;rate="
"""How the MIME type of recorded speech begins that a client put into its content."""


def recorded_rate(mime_type: str) -> int | None:
    """The rate of recorded speech as `RECORDING` spells it; `None` for anything else."""
    rate = mime_type.removeprefix(RECORDING)
    return int(rate) if mime_type.startswith(RECORDING) and rate.isdecimal() else None


def samples(seconds: float, rate: int = INPUT_RATE) -> int:
    """How many samples last `seconds`."""
    return round(seconds * rate)


def seconds(samples: int, rate: int = INPUT_RATE) -> float:
    """How long `samples` last."""
    return samples / rate


def pcm_seconds(pcm: bytes | int, rate: int = OUTPUT_RATE) -> float:
    """How long a piece of PCM lasts, given as bytes or as a number of bytes."""
    size = pcm if isinstance(pcm, int) else len(pcm)
    return size / (BYTES_PER_SAMPLE * rate)


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of microphone sound as the client sent it.

    `data` may have an odd number of bytes or begin inside a sample; the intake carries the
    remainder over. `rate` is what the MIME type said, 16000 when it said nothing.
    """

    data: bytes
    rate: int = INPUT_RATE


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One image of a video stream as the client sent it, still encoded."""

    data: bytes
    mime_type: str
