from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from vivavoce.domain.audio import INPUT_RATE
from vivavoce.evaluation.clips import LabelledClip, to_pcm
from vivavoce.evaluation.measures import fewest_cut_offs
from vivavoce.evaluation.turn_ends import (
    detection_lag_s,
    outcomes,
    score_clip,
    silence_curve,
)

SPEECH = ((0.512, 1.536), (2.048, 3.072))


class LoudnessDetector:
    """Scores 1 for loud frames of 32 ms."""

    frame_samples = 512

    def fresh(self) -> Any:
        return None

    def score(self, frames: Sequence[bytes], states: Sequence[Any]) -> list[tuple[float, Any]]:
        return [(float(np.abs(np.frombuffer(f, "<i2")).max() > 1000), None) for f in frames]

    async def aclose(self) -> None: ...


def clip() -> LabelledClip:
    """Two words with a pause of 0.512 s, on the grid of frames, and 4 s of silence behind."""
    sound = np.zeros(round(7.04 * INPUT_RATE))
    for begin, end in SPEECH:
        sound[round(begin * INPUT_RATE) : round(end * INPUT_RATE)] = 0.5
    return LabelledClip("two words", "list", to_pcm(sound), SPEECH)


def test_a_window_shorter_than_the_pause_cuts_it_off() -> None:
    scored = [score_clip(clip(), LoudnessDetector())]
    [short], [long] = outcomes(scored, 320), outcomes(scored, 640)
    assert short.cut_off == (True,)
    assert short.delay_s == pytest.approx(0.32)
    assert long.cut_off == (False,)
    assert long.delay_s == pytest.approx(0.64)


def test_the_curve_has_a_point_for_each_frame_of_silence() -> None:
    points = silence_curve([score_clip(clip(), LoudnessDetector())])
    assert [point.delay_s for point in points[:3]] == pytest.approx([0.032, 0.064, 0.096])
    assert [point.cut_offs for point in points[:16]] == [1.0] * 16
    best = fewest_cut_offs(points, 0.6)
    assert best is not None
    assert (best.policy, best.cut_offs) == ("silence of 544 ms", 0.0)


def test_the_detector_sees_the_silence_at_once() -> None:
    assert detection_lag_s([score_clip(clip(), LoudnessDetector())]) == pytest.approx(0.0)
