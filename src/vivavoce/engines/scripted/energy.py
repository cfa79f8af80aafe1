"""`detector.energy`: a frame is speech if it is loud enough. No weights, no state.

Good enough for tones, tests and quiet rooms; it takes a slammed door for a word.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vivavoce.domain.audio import samples
from vivavoce.engines.ports import EngineHost, Settings
from vivavoce.errors import ConfigError

THRESHOLD_DB = -45.0
SLOPE_DB = 3.0


class EnergyDetector:
    """A soft gate around `threshold_db`, in decibels below full scale."""

    frame_samples = samples(0.032)
    inline = True

    def __init__(self, threshold_db: float = THRESHOLD_DB) -> None:
        self._threshold_db = threshold_db

    def fresh(self) -> None:
        return None

    def score(
        self, frames: Sequence[bytes], states: Sequence[None]
    ) -> Sequence[tuple[float, None]]:
        return [(self._probability(frame), None) for frame in frames]

    async def aclose(self) -> None:
        return None

    def _probability(self, frame: bytes) -> float:
        sound = np.frombuffer(frame, dtype="<i2")
        # A dot product in one call: this runs for every 32 ms of every session.
        power = float(np.vdot(sound.astype(np.float32), sound.astype(np.float32)))
        power /= max(1, len(sound)) * 32768.0**2
        level_db = 10 * math.log10(power + 1e-12)
        return 1 / (1 + math.exp((self._threshold_db - level_db) / SLOPE_DB))


async def create(settings: Settings, host: EngineHost) -> EnergyDetector:
    """Factory of `detector.energy`; takes `threshold_db`."""
    if unknown := set(settings) - {"threshold_db"}:
        raise ConfigError(
            f"detector.energy does not know {sorted(unknown)}.", "Only threshold_db can be set."
        )
    return EnergyDetector(float(settings.get("threshold_db", THRESHOLD_DB)))
