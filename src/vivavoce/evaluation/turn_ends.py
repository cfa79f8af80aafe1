"""Find the ends of turns in labelled clips: the detector's scores, through the core's detection.

Scores are made once for each clip; every silence window is then tried on the same scores. Nothing
here waits: time is counted in samples, so that the figures do not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from vivavoce.core.events import VoiceScored
from vivavoce.core.settings import SessionSettings
from vivavoce.core.turn_detection import ActivityTracker, SpeechEdge, SpeechEvent, vad_params
from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, samples, seconds
from vivavoce.domain.setup import ActivityDetection
from vivavoce.engines.ports import VoiceDetector
from vivavoce.evaluation.clips import LabelledClip
from vivavoce.evaluation.measures import (
    DetectedTurn,
    OperatingPoint,
    cut_off_rate,
    judge_ends,
    mean_delay_s,
)

SILENCE_ONLY = SessionSettings(turn_model=False)
"""Defaults of the core: silence alone ends a turn."""

LONGEST_WINDOW_S = 3.5


@dataclass(frozen=True, slots=True)
class ScoredClip:
    """A clip and the detector's score of each of its frames."""

    clip: LabelledClip
    scores: tuple[float, ...]
    frame_samples: int

    def found_ends_s(self, silence_ms: int | None = None) -> list[float]:
        """Return when turn detection ends the turn, by `silence_ms` or the default silence."""
        detection = ActivityDetection(silence_duration_ms=silence_ms)
        tracker = ActivityTracker(vad_params(detection, SILENCE_ONLY))
        return [seconds(e.position) for e in self._events(tracker) if e.kind is SpeechEdge.END]

    def silences_seen_s(self) -> list[float]:
        """Return when the detector sees silences begin."""
        parameters = vad_params(ActivityDetection(), SILENCE_ONLY)
        tracker = ActivityTracker(replace(parameters, pause=1, silence=samples(1e6)))
        return [seconds(e.edge) for e in self._events(tracker) if e.kind is SpeechEdge.PAUSE]

    def _events(self, tracker: ActivityTracker) -> Iterable[SpeechEvent]:
        position = self.frame_samples * len(self.scores)
        return tracker.add_scores(VoiceScored(position, self.scores, self.frame_samples))


def score_clip(clip: LabelledClip, detector: VoiceDetector) -> ScoredClip:
    """Score every whole frame of a clip. Blocks: 0.2 ms for a frame of 32 ms."""
    size = detector.frame_samples * BYTES_PER_SAMPLE
    state = detector.fresh()
    scores = []
    for begin in range(0, len(clip.pcm) - size + 1, size):
        [(score, state)] = detector.score([clip.pcm[begin : begin + size]], [state])
        scores.append(score)
    return ScoredClip(clip, tuple(scores), detector.frame_samples)


def outcomes(clips: Iterable[ScoredClip], silence_ms: int | None = None) -> list[DetectedTurn]:
    """Return what silence alone makes of the clips; the default silence for `None`."""
    return [judge_ends(each.clip, each.found_ends_s(silence_ms)) for each in clips]


def silence_curve(clips: Sequence[ScoredClip], lag_s: float = 0.0) -> list[OperatingPoint]:
    """Return a point for each silence window, from one frame to 3.5 s, frame by frame.

    `lag_s` is left out of the delays.
    """
    if not clips:
        return []
    frame_ms = 1000 * clips[0].frame_samples / INPUT_RATE
    points = []
    for count in range(1, round(1000 * LONGEST_WINDOW_S / frame_ms) + 1):
        window_ms = round(count * frame_ms)
        found = outcomes(clips, window_ms)
        delay_s, cut_offs = mean_delay_s(found, LONGEST_WINDOW_S), cut_off_rate(found)
        if delay_s is not None and cut_offs is not None:
            points.append(OperatingPoint(f"silence of {window_ms} ms", delay_s - lag_s, cut_offs))
    return points


LAST_SEEN_S = 0.5
"""The detector sees the silence after the last word at most so much before or after its end."""


def detection_lag_s(clips: Iterable[ScoredClip]) -> float:
    """Return how long after the last word the detector sees the silence begin, on average."""
    lags = []
    for each in clips:
        after = (seen_s - each.clip.end_s for seen_s in each.silences_seen_s())
        lags += [lag_s for lag_s in after if abs(lag_s) <= LAST_SEEN_S][-1:]
    return fmean(lags) if lags else 0.0
