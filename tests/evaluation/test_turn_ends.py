from __future__ import annotations

import pytest

from evaluation.labelled_clips import LoudnessDetector, two_words
from vivavoce.evaluation.measures import fewest_cut_offs
from vivavoce.evaluation.turn_ends import detection_lag_s, outcomes, score_clip, silence_curve


def test_a_window_shorter_than_the_pause_cuts_it_off() -> None:
    scored = [score_clip(two_words(), LoudnessDetector())]
    [short], [long] = outcomes(scored, 320), outcomes(scored, 640)
    assert short.cut_off == (True,)
    assert short.delay_s == pytest.approx(0.32)
    assert long.cut_off == (False,)
    assert long.delay_s == pytest.approx(0.64)


def test_the_curve_has_a_point_for_each_frame_of_silence() -> None:
    points = silence_curve([score_clip(two_words(), LoudnessDetector())])
    assert [point.delay_s for point in points[:3]] == pytest.approx([0.032, 0.064, 0.096])
    assert [point.cut_offs for point in points[:16]] == [1.0] * 16
    best = fewest_cut_offs(points, 0.6)
    assert best is not None
    assert (best.policy, best.cut_offs) == ("silence of 544 ms", 0.0)


def test_the_detectors_lag_is_left_out_on_demand() -> None:
    scored = [score_clip(two_words(), LoudnessDetector())]
    assert detection_lag_s(scored) == pytest.approx(0.0)
    assert silence_curve(scored, lag_s=0.03)[0].delay_s == pytest.approx(0.002)
