"""Finish what a synthesizer made: level it, cut its silence, divide it into pieces of 24 kHz PCM.

Synthesizers begin with 75 to 340 ms of silence, which a listener would have to wait for, and end
with as much again, which would tear clauses apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vivavoce.domain.audio import OUTPUT_RATE
from vivavoce.engines.align import Mark, Timeline
from vivavoce.engines.ports import Speech

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]
    """Samples at 24 kHz, full scale at 1."""

LOUDNESS = -20.0
"""LUFS of every synthesizer and voice. Speech of this loudness peaks near -3 dBFS."""

_QUIET = 0.0067
"""Samples up to this size count as silence; soft consonants rise above it."""

_LEAD_S = 0.02
_FADE_S = 0.005
_SENTENCE_PAUSE_S = 0.24
_CLAUSE_PAUSE_S = 0.10
_SENTENCE_ENDS = ".!?…。！？:"
_PIECE_S = 0.1
_KNEE = 0.7
_BLOCK_S = 0.1
_BLOCKS = 4
_GATE = 0.1


def pause_after(text: str) -> float:
    """Seconds of silence that belong after `text`: a sentence's end asks for more than a comma."""
    end = text.rstrip().rstrip("\"')]}»”’")[-1:]
    return _SENTENCE_PAUSE_S if end and end in _SENTENCE_ENDS else _CLAUSE_PAUSE_S


def silence(seconds: float) -> bytes:
    """24 kHz PCM of nothing."""
    return bytes(2 * round(OUTPUT_RATE * seconds))


def trim(sound: Sound) -> tuple[Sound, float]:
    """`sound` from 20 ms before its first loud sample to its last, and the seconds cut before.

    Both ends are faded over 5 ms, so that no step is heard where silence is joined on. Empty if
    there is nothing but silence.
    """
    import numpy as np

    loud = np.flatnonzero(np.abs(sound) > _QUIET)
    if not loud.size:
        return sound[:0], 0.0
    first = max(0, int(loud[0]) - round(OUTPUT_RATE * _LEAD_S))
    fade = round(OUTPUT_RATE * _FADE_S)
    kept = sound[first : int(loud[-1]) + 1 + fade].copy()
    ramp = np.linspace(0, 1, min(fade, len(kept)), dtype=np.float32)
    kept[: len(ramp)] *= ramp
    kept[len(kept) - len(ramp) :] *= ramp[::-1]
    return kept, first / OUTPUT_RATE


def speech_pieces(text: str, sound: Sound, marks: Sequence[Mark]) -> Iterator[Speech]:
    """Pieces of 100 ms, each with the words of `text` that begin in it, then the pause.

    `sound` is trimmed; `marks` count from its beginning. The texts together equal `text`.
    """
    timeline = Timeline(text, marks)
    samples = limit(sound)
    step = round(OUTPUT_RATE * _PIECE_S)
    for start in range(0, len(samples), step):
        end = min(start + step, len(samples))
        yield Speech(samples[start:end].tobytes(), timeline.until(end / OUTPUT_RATE))
    yield Speech(silence(pause_after(text)), timeline.rest())


def limit(sound: Sound) -> NDArray[np.int16]:
    """16-bit samples; above 0.7 of full scale, peaks are bent instead of clipped."""
    import numpy as np

    size = np.abs(sound)
    over = size > _KNEE
    if over.any():
        sound = sound.copy()
        bent = _KNEE + (1 - _KNEE) * np.tanh((size[over] - _KNEE) / (1 - _KNEE))
        sound[over] = np.copysign(bent, sound[over])
    samples: NDArray[np.int16] = np.round(sound * 32767).astype("<i2")
    return samples


def gain_to_level(sound: Sound) -> float:
    """The factor that brings `sound` to `LOUDNESS`; 1 for silence."""
    level = loudness(sound)
    return float(10 ** ((LOUDNESS - level) / 20)) if level > -70 else 1.0


def loudness(sound: Sound) -> float:
    """Integrated loudness in LUFS as ITU-R BS.1770-4 has it for one channel; -inf for silence.

    Blocks of 400 ms; those more than 10 LU below the mean of all do not count.
    """
    import numpy as np

    size = max(len(sound), round(OUTPUT_RATE * _BLOCK_S * _BLOCKS))
    weighted = np.fft.irfft(np.fft.rfft(sound, size) * _k_weighting(size), size)
    steps = len(weighted) // round(OUTPUT_RATE * _BLOCK_S)
    power = (weighted[: steps * round(OUTPUT_RATE * _BLOCK_S)].reshape(steps, -1) ** 2).mean(axis=1)
    blocks = np.convolve(power, np.full(_BLOCKS, 1 / _BLOCKS), "valid")
    blocks = blocks[blocks > 1e-7]
    if not blocks.size:
        return -float("inf")
    return float(-0.691 + 10 * np.log10(blocks[blocks > blocks.mean() * _GATE].mean()))


def _k_weighting(size: int) -> NDArray[np.float32]:
    """The gain of BS.1770's two filters (given for 48 kHz) at the frequencies of an rfft."""
    import numpy as np

    z = np.exp(-2j * np.pi * np.fft.rfftfreq(size, 1 / OUTPUT_RATE) / 48_000)
    shelf = np.polyval((1.19839281085285, -2.69169618940638, 1.53512485958697), z) / np.polyval(
        (0.73248077421585, -1.69065929318241, 1.0), z
    )
    high_pass = np.polyval((1.0, -2.0, 1.0), z) / np.polyval(
        (0.99007225036621, -1.99004745483398, 1.0), z
    )
    gain: NDArray[np.float32] = np.abs(shelf * high_pass).astype(np.float32)
    return gain
