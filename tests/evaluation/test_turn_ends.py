from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation.labelled_clips import LoudnessDetector, two_words
from vivavoce.evaluation.measures import LONGEST_S, fewest_cut_offs, sweep_windows
from vivavoce.evaluation.turn_ends import (
    SILENCE_ONLY,
    detection_lag_s,
    labelled_silences,
    outcomes,
    score_clip,
)


def test_a_window_shorter_than_the_pause_cuts_it_off() -> None:
    scored = [score_clip(two_words(), LoudnessDetector())]
    [short], [long] = outcomes(scored, 320), outcomes(scored, 640)
    assert short.cut_off == (True,)
    assert short.delay_s == pytest.approx(0.32)
    assert long.cut_off == (False,)
    assert long.delay_s == pytest.approx(0.64)


def test_silence_alone_has_a_point_for_each_window() -> None:
    scored = score_clip(two_words(), LoudnessDetector())
    seen = labelled_silences(scored, SILENCE_ONLY, heard=False)
    points = sweep_windows([each.as_silence_alone() for each in seen], lag_s=0.0)
    assert [point.delay_s for point in points[:4]] == pytest.approx([0.128, 0.128, 0.15, 0.2])
    assert [point.cut_offs for point in points[:10]] == [1.0] * 10
    best = fewest_cut_offs(points, 0.6)
    assert best is not None
    assert (best.policy, best.cut_offs) == ("silence of 550 ms", 0.0)


def test_a_silence_that_the_detector_does_not_see_ends_no_turn() -> None:
    unseen = score_clip(two_words(), LoudnessDetector())
    deaf = replace(unseen, scores=(0.9,) * len(unseen.scores))
    pause, end = (
        each.as_silence_alone() for each in labelled_silences(deaf, SILENCE_ONLY, heard=True)
    )
    [*_, point] = sweep_windows([pause, end], lag_s=0.0)
    assert (point.delay_s, point.cut_offs) == (LONGEST_S, 0.0)


def test_the_detectors_lag_is_measured() -> None:
    assert detection_lag_s([score_clip(two_words(), LoudnessDetector())]) == pytest.approx(0.0)
