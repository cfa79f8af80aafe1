"""Words as tones in PCM, and tones back into words.

Every byte of the UTF-8 text is two tones at once for 30 ms, one of sixteen low ones for its
upper half and one of sixteen high ones for its lower half, followed by 10 ms of silence: the
pace of fast speech. The tones lie 100 Hz apart, and the ear listens for 20 ms in the middle
of each, so they are orthogonal to each other whatever the rate and the phase: sound may be
resampled, cut at its start, mixed with some noise, and is still understood.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE

TONE_S = 0.030
GAP_S = 0.010
LISTEN_S = 0.020
WORD_GAP_S = 0.12
"""A silence at least this long separates two sayings; a space is put in its place."""

AMPLITUDE = 0.2
LOW_HZ = tuple(400 + 100 * k for k in range(16))
HIGH_HZ = tuple(2200 + 100 * k for k in range(16))

_WINDOW_S = 0.0025
_PURITY = 0.5
"""The part of a stretch's energy that its two tones must hold, or it is no byte."""

_QUIET = 0.004
"""Sound below this amplitude (-48 dBFS) is silence whatever else there is."""

Samples = NDArray[np.float32]


def say(text: str, rate: int = OUTPUT_RATE) -> bytes:
    """`text` in tones: 16-bit PCM of 40 ms a byte."""
    pieces = [_byte(value, rate) for value in text.encode()]
    return b"".join(pieces)


def hear(pcm: bytes, rate: int = INPUT_RATE) -> str:
    """The words in `pcm`; empty if there are none."""
    sound = _floats(pcm)
    heard = bytearray()
    last_end = None
    for start, end in _stretches(sound, rate):
        value = _read(sound[start:end], rate)
        if value is None:
            continue
        if last_end is not None and start - last_end > WORD_GAP_S * rate and heard[-1:] != b" ":
            heard += b" "
        heard.append(value)
        last_end = end
    return heard.decode(errors="replace").strip()


def loud_seconds(pcm: bytes, rate: int = INPUT_RATE) -> float:
    """Return how much of `pcm` is not silence, in seconds."""
    levels = _levels(_floats(pcm), rate)
    return int(np.count_nonzero(levels > _QUIET)) * _WINDOW_S


@cache
def _byte(value: int, rate: int) -> bytes:
    time = np.arange(round(TONE_S * rate)) / rate
    tones = np.sin(2 * np.pi * LOW_HZ[value >> 4] * time)
    tones += np.sin(2 * np.pi * HIGH_HZ[value & 15] * time)
    # Soft edges, so that a tone does not click across the whole spectrum.
    edge = round(0.002 * rate)
    envelope = np.ones_like(tones)
    envelope[:edge] = np.linspace(0, 1, edge)
    envelope[-edge:] = envelope[:edge][::-1]
    sound = np.concatenate([tones * envelope * AMPLITUDE, np.zeros(round(GAP_S * rate))])
    return bytes((sound * 32767).astype("<i2").tobytes())


def _floats(pcm: bytes) -> Samples:
    whole = len(pcm) - len(pcm) % 2
    return np.frombuffer(pcm[:whole], dtype="<i2").astype(np.float32) / np.float32(32768)


def _levels(sound: Samples, rate: int) -> Samples:
    """Root mean square of each short window."""
    width = round(_WINDOW_S * rate)
    count = len(sound) // width
    windows = sound[: count * width].reshape(count, width)
    levels: Samples = np.sqrt((windows**2).mean(axis=1, dtype=np.float32))
    return levels


def _stretches(sound: Samples, rate: int) -> list[tuple[int, int]]:
    """Return where sound lies between silences, as long as a tone at least and about that long."""
    levels = _levels(sound, rate)
    if not len(levels) or levels.max() < _QUIET:
        return []
    loud = np.concatenate([[False], levels > max(_QUIET, 0.5 * _loudness(levels)), [False]])
    edges = np.flatnonzero(loud[1:] != loud[:-1])
    width = round(_WINDOW_S * rate)
    return [
        (start * width, end * width)
        for start, end in edges.reshape(-1, 2).tolist()
        if (end - start) * _WINDOW_S >= LISTEN_S
    ]


def _loudness(levels: Samples) -> float:
    """Return how loud the tones are: the level that the loudest third reaches."""
    present = levels[levels > _QUIET]
    return float(np.quantile(present, 0.67))


def _read(sound: Samples, rate: int) -> int | None:
    """The byte in a stretch of sound, if it is one."""
    width = round(LISTEN_S * rate)
    if len(sound) > round((TONE_S + GAP_S) * rate):
        return None
    start = (len(sound) - width) // 2
    middle = sound[start : start + width]
    # einsum and not a product of matrices, for which BLAS would wake a thread on every core.
    powers = np.abs(np.einsum("ij,j->i", _probes(rate), middle)) ** 2
    low, high = int(powers[:16].argmax()), int(powers[16:].argmax())
    energy = float((middle**2).sum()) * width / 2
    if energy <= 0 or float(powers[low] + powers[16 + high]) < _PURITY * energy:
        return None
    return low << 4 | high


@cache
def _probes(rate: int) -> NDArray[np.complex64]:
    """One row for each tone: its correlation with 20 ms of sound."""
    time = np.arange(round(LISTEN_S * rate)) / rate
    tones = np.array(LOW_HZ + HIGH_HZ)[:, None]
    return np.exp(-2j * np.pi * tones * time).astype(np.complex64)
