"""Voice scores and what they are taken for: tables of numbers."""

from __future__ import annotations

import math

import pytest

from vivavoce.core.events import VoiceScored
from vivavoce.core.settings import SessionSettings
from vivavoce.core.turn_detection import (
    SURE,
    UNFINISHED,
    UNSURE,
    ActivityTracker,
    EndSilence,
    SpeechEdge,
    VadParams,
    required_silence,
    speculation_silence,
    vad_params,
)
from vivavoce.domain.setup import ActivityDetection, Sensitivity

FRAME = 160
SETTINGS = SessionSettings(eager_silence_ms=200, turn_model=True)
HIGH, LOW = Sensitivity.HIGH, Sensitivity.LOW


@pytest.mark.parametrize(
    ("wishes", "start", "onset", "silence", "pre_roll"),
    [
        (ActivityDetection(), 0.5, 800, 11200, 6400),
        (ActivityDetection(start_sensitivity=HIGH, end_sensitivity=HIGH), 0.5, 800, 8000, 6400),
        (ActivityDetection(start_sensitivity=LOW, end_sensitivity=LOW), 0.7, 800, 19200, 6400),
        (ActivityDetection(end_sensitivity=LOW, silence_duration_ms=100), 0.5, 800, 1600, 6400),
        (ActivityDetection(prefix_padding_ms=0), 0.5, 800, 11200, 6400),
        (ActivityDetection(prefix_padding_ms=500), 0.5, 8000, 11200, 8000),
        (ActivityDetection(prefix_padding_ms=-5, silence_duration_ms=-5), 0.5, 800, 0, 6400),
    ],
)
def test_every_knob_turns_its_number(
    wishes: ActivityDetection, start: float, onset: int, silence: int, pre_roll: int
) -> None:
    turned = vad_params(wishes, SETTINGS)
    fixed = wishes.silence_duration_ms is not None or wishes.end_sensitivity in (HIGH, LOW)
    scored = None if fixed else EndSilence(3200, silence, 32000)
    assert turned == VadParams(
        start, turned.hold, onset, min(3200, silence), silence, pre_roll, scored
    )
    assert turned.hold == pytest.approx(start - 0.15)


def tracker(floor: int = 0, **wishes: int) -> ActivityTracker:
    return ActivityTracker(vad_params(ActivityDetection(**wishes), SETTINGS), floor)  # type: ignore[arg-type]


class Stream:
    """Frames of ten milliseconds, fed in one message."""

    def __init__(self, tracker: ActivityTracker, position: int = 0) -> None:
        self.tracker = tracker
        self.position = position

    def feed(self, *runs: tuple[int, float]) -> list[tuple[SpeechEdge, int, int]]:
        scores = tuple(score for frames, score in runs for _ in range(frames))
        self.position += FRAME * len(scores)
        found = self.tracker.add_scores(VoiceScored(self.position, scores, FRAME))
        return [(evidence.kind, evidence.position, evidence.edge) for evidence in found]


def test_speech_begins_pauses_resumes_and_ends_where_it_does() -> None:
    stream = Stream(tracker())
    assert stream.feed((50, 0.1), (20, 0.9)) == [(SpeechEdge.ONSET, 8000 - 6400, 8000)]
    assert stream.feed((20, 0.1)) == [(SpeechEdge.PAUSE, 11200 + 3200, 11200)]
    assert stream.feed((10, 0.9)) == [(SpeechEdge.RESUME, 14400 + 160, 14400)]
    assert stream.feed((80, 0.1)) == [
        (SpeechEdge.PAUSE, 16000 + 3200, 16000),
        (SpeechEdge.END, 16000 + 11200, 16000),
    ]


def test_the_band_between_the_thresholds_keeps_speech_but_neither_starts_nor_revives_it() -> None:
    stream = Stream(tracker())
    assert stream.feed((50, 0.4)) == []
    stream.feed((10, 0.9))
    assert stream.feed((100, 0.4)) == []
    cues = [cue for cue, _, _ in stream.feed((1, 0.1), (79, 0.4))]
    assert cues == [SpeechEdge.PAUSE, SpeechEdge.END]


def test_the_onset_must_last_the_prefix_padding_and_forgives_a_dip() -> None:
    stream = Stream(tracker(prefix_padding_ms=200))
    assert stream.feed((15, 0.9), (11, 0.1), (19, 0.9)) == []
    assert stream.feed((1, 0.9))[0][0] is SpeechEdge.ONSET
    again = Stream(tracker(prefix_padding_ms=200))
    assert again.feed((15, 0.9), (10, 0.1), (5, 0.9))[0] == (SpeechEdge.ONSET, 0, 0)


def test_the_pre_roll_does_not_reach_into_the_turn_before_or_before_the_sound() -> None:
    assert Stream(tracker()).feed((5, 0.1), (5, 0.9)) == [(SpeechEdge.ONSET, 0, 800)]
    stream = Stream(tracker(silence_duration_ms=100))
    stream.feed((20, 0.9), (10, 0.1))
    assert stream.feed((5, 0.1), (5, 0.9)) == [(SpeechEdge.ONSET, 4800, 5600)]
    assert Stream(tracker(floor=90000), 90000).feed((5, 0.9)) == [(SpeechEdge.ONSET, 90000, 90000)]


@pytest.mark.parametrize("prefix_ms", [0, 20])
def test_a_click_is_not_speech_and_interrupts_nothing(prefix_ms: int) -> None:
    stream = Stream(tracker(prefix_padding_ms=prefix_ms))
    assert stream.feed((4, 0.9), (80, 0.1)) == []
    assert [cue for cue, _, _ in stream.feed((5, 0.9), (80, 0.1))] == [
        SpeechEdge.ONSET,
        SpeechEdge.PAUSE,
        SpeechEdge.END,
    ]


def test_the_end_of_the_stream_finishes_speech_and_forgets_what_was_uncertain() -> None:
    stream = Stream(tracker())
    stream.feed((20, 0.9))
    (end,) = stream.tracker.end_stream(stream.position + 100)
    assert (end.kind, end.position, end.edge) == (SpeechEdge.END, 3300, 3200)
    assert stream.tracker.end_stream(4000) == []
    stream = Stream(tracker(prefix_padding_ms=500))
    stream.feed((20, 0.9))
    assert stream.tracker.end_stream(stream.position) == []
    assert stream.tracker.idle


def test_frames_heard_before_and_frames_of_no_length_are_passed_over() -> None:
    heard = tracker()
    heard.end_stream(16000)
    assert heard.add_scores(VoiceScored(16000, (0.9,) * 50, FRAME)) == []
    assert heard.add_scores(VoiceScored(17000, (0.9,), 0)) == []
    assert heard.add_scores(VoiceScored(17000, (), FRAME)) == []
    assert heard.add_scores(VoiceScored(17000, (math.nan,) * 4, FRAME)) == []


def test_one_message_or_many_make_no_difference() -> None:
    runs = [(30, 0.1), (25, 0.8), (30, 0.2), (40, 0.6), (90, 0.0), (20, 0.9), (90, 0.3)]
    whole, split = Stream(tracker()), Stream(tracker())
    parts = [found for frames, score in runs for _ in range(frames) for found in
             split.feed((1, score))]  # fmt: skip
    assert whole.feed(*runs) == parts


def test_no_silence_at_all_ends_with_the_first_frame_below() -> None:
    stream = Stream(tracker(silence_duration_ms=0))
    assert [cue for cue, _, _ in stream.feed((10, 0.9), (1, 0.1))] == [
        SpeechEdge.ONSET,
        SpeechEdge.END,
    ]


# --- scores of the turn's end -----------------------------------------------------------------

RANGE = EndSilence(sure=3200, unsure=11200, unfinished=32000)


@pytest.mark.parametrize(
    ("probability", "silence"),
    [
        (None, 11200),
        (1.0, 3200),
        (SURE, 3200),
        ((SURE + UNSURE) / 2, 7200),
        (UNSURE, 11200),
        ((UNFINISHED + UNSURE) / 2, 21600),
        (UNFINISHED, 32000),
        (0.0, 32000),
    ],
)
def test_the_silence_that_ends_a_turn_follows_from_the_score(
    probability: float | None, silence: int
) -> None:
    assert required_silence(probability, RANGE) == silence


def test_more_certainty_never_means_more_silence() -> None:
    silences = [required_silence(n / 100, RANGE) for n in range(101)]
    assert silences == sorted(silences, reverse=True)


def test_a_speculation_leaves_the_engines_half_a_second() -> None:
    assert [speculation_silence(n) for n in (3200, 11200, 32000)] == [0, 3200, 24000]


@pytest.mark.parametrize(
    "wishes",
    [
        ActivityDetection(silence_duration_ms=700),
        ActivityDetection(silence_duration_ms=0),
        ActivityDetection(end_sensitivity=HIGH),
        ActivityDetection(end_sensitivity=LOW),
    ],
)
def test_a_silence_that_the_client_sets_is_fixed(wishes: ActivityDetection) -> None:
    assert vad_params(wishes, SETTINGS).scored is None
    assert vad_params(ActivityDetection(), SessionSettings(turn_model=False)).scored is None


def test_an_operator_cannot_turn_the_range_around() -> None:
    odd = SessionSettings(turn_model=True, sure_silence_ms=900, unfinished_silence_ms=100)
    assert vad_params(ActivityDetection(), odd).scored == EndSilence(11200, 11200, 11200)


def paused_stream(**wishes: int) -> Stream:
    """Speech, then 0.3 s of silence."""
    stream = Stream(tracker(**wishes))
    assert [kind for kind, _, _ in stream.feed((20, 0.9), (30, 0.1))][-1] is SpeechEdge.PAUSE
    return stream


def test_a_sure_score_ends_the_turn_at_once_where_the_silence_has_passed() -> None:
    stream = paused_stream()
    (end,) = stream.tracker.apply_score(0.9)
    assert (end.kind, end.position, end.edge) == (SpeechEdge.END, stream.position, 3200)
    assert stream.tracker.apply_score(0.9) == []
    assert not stream.tracker.speaking


def test_a_sure_score_that_comes_early_waits_for_its_silence() -> None:
    stream = Stream(ActivityTracker(vad_params(ActivityDetection(), SessionSettings(
        eager_silence_ms=100, turn_model=True))))  # fmt: skip
    stream.feed((20, 0.9), (12, 0.1))
    assert stream.tracker.apply_score(0.9) == []
    assert stream.feed((7, 0.1)) == []
    assert stream.feed((1, 0.1)) == [(SpeechEdge.END, 3200 + 3200, 3200)]


@pytest.mark.parametrize(("score", "frames"), [(0.1, 200), (0.5, 70)])
def test_an_unsure_turn_ends_at_the_window_and_an_unfinished_one_later(
    score: float, frames: int
) -> None:
    stream = paused_stream()
    assert stream.tracker.apply_score(score) == []
    assert stream.feed((frames - 31, 0.1)) == []
    assert [kind for kind, _, _ in stream.feed((1, 0.1))] == [SpeechEdge.END]


def test_the_last_score_of_a_pause_counts() -> None:
    stream = paused_stream()
    assert stream.tracker.apply_score(0.1) == []
    assert [end.kind for end in stream.tracker.apply_score(0.9)] == [SpeechEdge.END]


def test_speech_after_the_pause_undoes_its_score() -> None:
    stream = paused_stream()
    stream.tracker.apply_score(0.1)
    assert stream.feed((5, 0.9))[0][0] is SpeechEdge.RESUME
    assert [kind for kind, _, _ in stream.feed((70, 0.1))] == [SpeechEdge.PAUSE, SpeechEdge.END]
    stream.feed((20, 0.9))
    assert [kind for kind, _, _ in stream.feed((70, 0.1))] == [SpeechEdge.PAUSE, SpeechEdge.END]


def test_a_score_of_no_pause_changes_nothing() -> None:
    stream = Stream(tracker())
    assert stream.tracker.apply_score(0.9) == []
    stream.feed((20, 0.9))
    assert stream.tracker.apply_score(0.9) == []
    fixed = paused_stream(silence_duration_ms=700)
    assert fixed.tracker.apply_score(0.9) == []
    assert fixed.tracker.required == 11200
