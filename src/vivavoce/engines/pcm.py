"""Finishing what a synthesizer made: silence cut to what a listener needs, 24 kHz.

Synthesizers begin with 75 to 340 ms of silence, which a listener would have to wait for,
and end with as much again, which would tear clauses apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vivavoce.domain.audio import OUTPUT_RATE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sound = NDArray[np.int16]

_QUIET = 220
"""Samples up to this size count as silence; soft consonants rise above it."""

_LEAD_S = 0.02
_SENTENCE_PAUSE_S = 0.24
_CLAUSE_PAUSE_S = 0.10
_SENTENCE_ENDS = ".!?…。！？:"


def pause_after(text: str) -> float:
    """Seconds of silence that belong after `text`: a sentence's end asks for more than a comma."""
    end = text.rstrip().rstrip("\"')]}»”’")[-1:]
    return _SENTENCE_PAUSE_S if end and end in _SENTENCE_ENDS else _CLAUSE_PAUSE_S


class Trimmer:
    """Drops leading silence but for 20 ms, and trailing silence but for `pause_s`."""

    def __init__(self, rate: int, pause_s: float) -> None:
        self.dropped = 0
        """Leading samples left out so far."""
        self._lead = round(rate * _LEAD_S)
        self._pause = round(rate * pause_s)
        self._begun = False
        self._held: Sound | None = None

    def feed(self, sound: Sound) -> Sound:
        """What may go out now; silence that could turn out to be the last is held back."""
        import numpy as np

        if self._held is not None:
            sound = np.concatenate((self._held, sound))
            self._held = None
        loud = np.flatnonzero((sound > _QUIET) | (sound < -_QUIET))
        if not loud.size:
            keep = sound if self._begun else sound[-self._lead :]
            self.dropped += len(sound) - len(keep)
            self._held = keep
            return sound[:0]
        first = 0 if self._begun else max(0, int(loud[0]) - self._lead)
        self.dropped += first
        self._begun = True
        end = int(loud[-1]) + 1
        self._held = sound[end:]
        return sound[first:end]

    def finish(self) -> Sound | None:
        """The pause at the end, or nothing if there was no sound at all."""
        import numpy as np

        if not self._begun or self._held is None:
            return None
        pause = self._held[: self._pause]
        return np.concatenate((pause, np.zeros(self._pause - len(pause), np.int16)))


def louder(sound: Sound, gain: float) -> Sound:
    """The sound times `gain`, held within what a sample can be."""
    import numpy as np

    scaled: Sound = np.clip(sound * np.float32(gain), -32768, 32767).astype(np.int16)
    return scaled


class Upsampler:
    """Any rate to 24 kHz, with the filter's state kept from piece to piece."""

    def __init__(self, rate: float) -> None:
        import soxr

        self._stream = soxr.ResampleStream(rate, OUTPUT_RATE, 1, dtype="int16", quality="HQ")

    def feed(self, sound: Sound, last: bool = False) -> bytes:
        """24 kHz PCM, whole samples; with `last`, also what the filter still held."""
        return bytes(self._stream.resample_chunk(sound, last=last).astype("<i2").tobytes())


def silence(seconds: float) -> bytes:
    """24 kHz PCM of nothing."""
    return bytes(2 * round(OUTPUT_RATE * seconds))
