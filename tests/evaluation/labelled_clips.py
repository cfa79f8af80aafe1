"""A clip and a detector whose every frame is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vivavoce.domain.audio import INPUT_RATE
from vivavoce.evaluation.clips import LabelledClip, to_pcm

SPEECH = ((0.512, 1.536), (2.048, 3.072))


class LoudnessDetector:
    """Scores 1 for loud frames of 32 ms."""

    frame_samples = 512

    def fresh(self) -> Any:
        return None

    def score(self, frames: Sequence[bytes], states: Sequence[Any]) -> list[tuple[float, Any]]:
        return [(float(np.abs(np.frombuffer(f, "<i2")).max() > 1000), None) for f in frames]

    async def aclose(self) -> None: ...


def two_words() -> LabelledClip:
    """Two words with a pause of 0.512 s, on the grid of frames, and 4 s of silence behind."""
    sound = np.zeros(round(7.04 * INPUT_RATE))
    for begin, end in SPEECH:
        sound[round(begin * INPUT_RATE) : round(end * INPUT_RATE)] = 0.5
    return LabelledClip("two words", "list", to_pcm(sound), SPEECH)
