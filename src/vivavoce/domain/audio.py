"""Audio formats, and positions: time counted in audio samples.

Input is counted in *positions*: samples at 16 kHz since the session's first audio. Silence is
measured in samples, never in waiting time, so network jitter and files sent faster than real time
change nothing. All PCM in this project is 16-bit signed little-endian mono, as `bytes`.
"""

from __future__ import annotations

from dataclasses import dataclass

INPUT_RATE = 16_000
"""Samples a second of input audio, after resampling; the unit of positions."""

OUTPUT_RATE = 24_000
"""Samples a second of output audio, as the Live API sends it."""

BYTES_PER_SAMPLE = 2

Position = int
"""A count of 16 kHz samples since the session's first audio."""

RECORDING = "audio/pcm;rate="
"""Prefix of the MIME type of recorded speech in a client's content."""


def recorded_rate(mime_type: str) -> int | None:
    """Return the sample rate in a MIME type of recorded speech; `None` for anything else."""
    rate = mime_type.removeprefix(RECORDING)
    return int(rate) if mime_type.startswith(RECORDING) and rate.isdecimal() else None


def samples(seconds: float, rate: int = INPUT_RATE) -> int:
    """Return the number of samples in `seconds`."""
    return round(seconds * rate)


def seconds(samples: int, rate: int = INPUT_RATE) -> float:
    """Return the duration of `samples`."""
    return samples / rate


def pcm_seconds(pcm: bytes | int, rate: int = OUTPUT_RATE) -> float:
    """Return the duration of PCM, given as bytes or as a number of bytes."""
    size = pcm if isinstance(pcm, int) else len(pcm)
    return size / (BYTES_PER_SAMPLE * rate)


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Microphone audio as the client sent it, which may begin or end within a sample.

    `rate` is that of the MIME type, 16000 by default.
    """

    data: bytes
    rate: int = INPUT_RATE


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One image of a video stream as the client sent it, still encoded."""

    data: bytes
    mime_type: str
