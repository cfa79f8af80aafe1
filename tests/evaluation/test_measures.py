from __future__ import annotations

import pytest

from vivavoce.evaluation.clips import LabelledClip
from vivavoce.evaluation.measures import (
    OperatingPoint,
    ScoredSilence,
    TimedTurn,
    cut_off_rate,
    fewest_cut_offs,
    frontier,
    judge_ends,
    latency_score,
    least_delay,
    mean_delay_s,
    percentile,
    sweep_policies,
    sweep_windows,
    take_over_rate,
    turn_score,
    turn_taking_score,
)

# Speech, 1 s of silence, speech, 0.3 s of silence, speech until 6 s.
CLIP = LabelledClip("c", "list", b"", ((1.0, 2.0), (3.0, 4.0), (4.3, 6.0)))


def test_an_end_belongs_to_the_silence_in_which_it_was_found() -> None:
    outcome = judge_ends(CLIP, [2.7, 6.8])
    assert outcome.cut_off == (True, False)
    assert outcome.pauses_s == pytest.approx((1.0, 0.3))
    assert outcome.delay_s == pytest.approx(0.8)
    assert outcome.inside_speech == 0


def test_a_detector_may_see_speech_late_and_soft_ends_early() -> None:
    assert judge_ends(CLIP, [3.1]).cut_off == (True, False), "before it saw that speech went on"
    assert judge_ends(CLIP, [3.9]).cut_off == (False, True), "the last part of a word was soft"
    assert judge_ends(CLIP, [5.9]).delay_s == 0.0
    assert judge_ends(CLIP, [3.5]).inside_speech == 1


def test_only_the_first_end_after_the_last_word_is_the_delay() -> None:
    assert judge_ends(CLIP, [6.5, 7.5]).delay_s == pytest.approx(0.5)
    assert judge_ends(CLIP, []).delay_s is None


def test_rates_count_pauses_and_clips() -> None:
    cut, kept = judge_ends(CLIP, [2.7, 6.5]), judge_ends(CLIP, [6.7])
    whole = judge_ends(LabelledClip("w", "short", b"", ((0.5, 1.0),)), [1.4])
    assert cut_off_rate([cut, kept, whole]) == 0.25
    assert take_over_rate([cut, kept, whole]) == 0.5, "clips without pauses do not count"
    assert mean_delay_s([cut, kept, whole], 3.5) == pytest.approx((0.5 + 0.7 + 0.4) / 3)
    assert mean_delay_s([judge_ends(CLIP, [])], 3.5) == 3.5
    assert cut_off_rate([whole]) is None


def test_a_pause_of_another_length_does_not_count() -> None:
    clip = LabelledClip("c", "list", b"", ((0.0, 1.0), (1.1, 2.0), (8.0, 9.0)))
    assert cut_off_rate([judge_ends(clip, [1.05, 3.0, 9.5])]) is None


def test_the_best_point_under_a_limit() -> None:
    points = [OperatingPoint("a", 0.2, 0.6), OperatingPoint("b", 0.3, 0.4),
              OperatingPoint("c", 0.9, 0.05)]  # fmt: skip
    assert fewest_cut_offs(points, 0.3) is points[1]
    assert fewest_cut_offs(points, 0.1) is None
    assert least_delay(points, 0.5) is points[1]
    assert least_delay(points, 0.01) is None


def test_a_model_that_knows_ends_needs_no_silence() -> None:
    knows = [
        ScoredSilence(True, 9.0, ((0.2, 0.9),)),
        ScoredSilence(False, 0.8, ((0.2, 0.1),)),
        ScoredSilence(False, 0.5, ((0.2, 0.1),)),
    ]
    best = fewest_cut_offs(sweep_policies(knows, lag_s=0.0), 0.2)
    assert best is not None
    assert (best.delay_s, best.cut_offs) == (0.2, 0.0)


def test_a_model_that_knows_nothing_is_silence_alone() -> None:
    blind = [
        ScoredSilence(is_end, duration_s, ((0.2, 0.5),))
        for is_end, duration_s in [(True, 9.0), (False, 0.8), (False, 0.5), (False, 0.25)]
    ]
    best = fewest_cut_offs(sweep_policies(blind, lag_s=0.0), 0.6)
    assert best is not None
    assert best.delay_s == pytest.approx(0.5)
    assert best.cut_offs == pytest.approx(1 / 3)


@pytest.mark.parametrize("limit_s", [0.3, 0.6, 1.0])
def test_a_score_that_is_always_the_same_gains_nothing(limit_s: float) -> None:
    lengths = [(True, 9.0), (False, 0.8), (False, 0.5), (False, 0.25), (False, 1.7), (True, 9.0)]
    silences = [ScoredSilence(end, length_s, ((0.13, 0.5),)) for end, length_s in lengths]
    model = fewest_cut_offs(sweep_policies(silences, lag_s=0.04), limit_s)
    silence = fewest_cut_offs(sweep_windows(silences, lag_s=0.04), limit_s)
    assert model is not None
    assert silence is not None
    assert (model.delay_s, model.cut_offs) == (silence.delay_s, silence.cut_offs)


def test_a_score_that_comes_after_a_pause_cuts_nothing_off() -> None:
    late = [ScoredSilence(True, 9.0, ((0.6, 0.9),)), ScoredSilence(False, 0.5, ())]
    best = fewest_cut_offs(sweep_policies(late, lag_s=0.1), 0.6)
    assert best is not None
    assert (best.delay_s, best.cut_offs) == (0.6, 0.0)


def test_a_later_score_replaces_an_earlier_one() -> None:
    silence = ScoredSilence(True, 9.0, ((0.2, 0.6), (0.4, 0.2)))
    assert silence.acts_at(0.5, action_s=0.3, timeout_s=1.0) == 0.3
    assert silence.acts_at(0.5, action_s=0.4, timeout_s=1.0) == 1.0
    assert silence.acts_at(0.1, action_s=0.5, timeout_s=1.0) == 0.5
    assert silence.acts_at(0.1, action_s=0.2, timeout_s=0.1) == 0.1


def test_the_frontier_has_no_point_that_another_one_beats() -> None:
    points = [OperatingPoint("a", 0.3, 0.4), OperatingPoint("b", 0.2, 0.5),
              OperatingPoint("c", 0.4, 0.4), OperatingPoint("d", 0.5, 0.1)]  # fmt: skip
    assert [point.policy for point in frontier(points)] == ["b", "a", "d"]


@pytest.mark.parametrize(
    ("latency_s", "score"),
    [(-0.5, 0), (0.0, 0.5), (0.5, 1), (2.0, 1), (2.75, 0.5), (3.5, 0), (9.0, 0)],
)
def test_the_score_of_a_latency(latency_s: float, score: float) -> None:
    assert latency_score(latency_s) == pytest.approx(score)


def test_the_score_of_a_turn() -> None:
    assert turn_score(TimedTurn(1.0)) == 1
    assert turn_score(TimedTurn(None)) is None
    assert turn_score(TimedTurn(1.0, overlap_s=0.0, overlap_count=1)) == 0.5
    assert turn_score(TimedTurn(1.0, overlap_s=1.0, overlap_count=1)) == 0.25
    assert turn_score(TimedTurn(1.0, overlap_s=0.0, overlap_count=3)) == 0
    assert turn_score(TimedTurn(None, yield_s=0.5)) == 0.75
    assert turn_score(TimedTurn(1.0, yield_s=3.0)) == 0
    assert turn_taking_score([TimedTurn(1.0), TimedTurn(0.0), TimedTurn(None)]) == 0.75
    assert turn_taking_score([]) is None


def test_percentiles_lie_between_neighbours() -> None:
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([1.0, 2.0], 75) == 1.75
    assert percentile([], 50) is None
