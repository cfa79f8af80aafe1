"""`detector.energy`: a frame is speech if it is loud enough. No weights, no state.

Good enough for tones, tests and quiet rooms; it takes a slammed door for a word.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vivavoce.domain.audio import samples
from vivavoce.engines.ports import EngineHost, Settings
from vivavoce.engines.settings import read_settings

THRESHOLD_DB = -45.0
SLOPE_DB = 3.0


@dataclass(frozen=True, slots=True)
class EnergySettings:
    """`threshold_db` is the level, relative to full scale, of a frame with probability 0.5."""

    threshold_db: float = THRESHOLD_DB


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
    """Build `detector.energy`. Raises `ConfigError`."""
    return EnergyDetector(read_settings("detector.energy", settings, EnergySettings).threshold_db)
