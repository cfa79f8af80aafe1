"""Loudness of the microphone: when the user last spoke, and the level at this moment.

Levels are root mean squares in decibels below full scale (dBFS). Times are of one monotonic
clock, in seconds, and are always given by the caller.
"""

from __future__ import annotations

import math

import numpy as np

from vivavoce.domain.audio import INPUT_RATE

LOUD = 0.02
"""Amplitude, of 1, from which a sample counts as speech: 34 dB below full scale."""

CLEAR = 0.25
"""Sound stands out from its background from this part of the loudest so far: 12 dB below it."""

PAUSE_S = 0.5
"""Speech after a pause of this length is a new utterance."""

SILENCE_DBFS = -60.0
"""The lowest level that is told apart from silence."""

FALL_DB_PER_S = 60.0
"""How fast the level falls after a loud chunk, as a programme meter's needle does."""


class SpeechClock:
    """Measures the sound that is sent.

    `last` is the time of the last loud sample, of speech or of noise. `last_speech` and `began`
    are when the user last spoke, and last began to after a pause; only what is about as loud as
    the loudest so far counts there, which noise behind a voice is not.
    """

    def __init__(self, loud: float = LOUD) -> None:
        self._loud = loud * 2**15
        self._loudest = 0.0
        self._level_dbfs = SILENCE_DBFS
        self._level_at = 0.0
        self.last: float | None = None
        self.last_speech: float | None = None
        self.began: float | None = None

    def add_audio(self, pcm: bytes, at: float) -> None:
        """Measure 16 kHz `pcm` that was sent at time `at`, when its last sample had been heard."""
        samples = np.frombuffer(pcm[: len(pcm) & ~1], "<i2").astype(np.float64)
        if not samples.size:
            return
        power = float(np.mean(np.square(samples)))
        self._raise_level(10 * math.log10(power / 2**30 + 1e-12), at)
        loud = np.flatnonzero(np.abs(samples) >= self._loud)
        if not loud.size:
            return
        silent = len(samples) - 1 - int(loud[-1])
        self.last = at - silent / INPUT_RATE
        self._loudest = max(self._loudest, power)
        if power >= self._loudest * CLEAR**2:
            if self.last_speech is None or self.last - self.last_speech >= PAUSE_S:
                self.began = self.last
            self.last_speech = self.last

    def add_text(self, at: float) -> None:
        """Note that a turn was sent in writing at time `at`."""
        self.last = self.last_speech = self.began = at

    def level_dbfs(self, now: float) -> float:
        """Level at time `now`, from `SILENCE_DBFS` to 0; falls steadily after a loud chunk."""
        fallen = self._level_dbfs - FALL_DB_PER_S * max(0.0, now - self._level_at)
        return max(SILENCE_DBFS, fallen)

    def _raise_level(self, level_dbfs: float, at: float) -> None:
        if level_dbfs >= self.level_dbfs(at):
            self._level_dbfs, self._level_at = level_dbfs, at
