"""Find the ends of turns in labelled clips: the detector's scores, through the core's detection.

Scores are made once for each clip; every silence window is then tried on the same scores. Nothing
here waits: time is counted in samples, so that the figures do not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import fmean

from vivavoce.core.events import VoiceScored
from vivavoce.core.settings import SessionSettings
from vivavoce.core.turn_detection import ActivityTracker, SpeechEdge, SpeechEvent, vad_params
from vivavoce.domain.audio import BYTES_PER_SAMPLE, Position, samples, seconds
from vivavoce.domain.setup import ActivityDetection
from vivavoce.engines.ports import VoiceDetector
from vivavoce.evaluation.clips import LabelledClip
from vivavoce.evaluation.measures import (
    RESUME_LAG_S,
    SOFT_END_S,
    DetectedTurn,
    ScoredSilence,
    judge_ends,
)

SILENCE_ONLY = SessionSettings(turn_model=False)
"""Defaults of the core: silence alone ends a turn."""


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


LAST_SEEN_S = 0.5
"""The detector sees the silence after the last word at most so much before or after its end."""


def detection_lag_s(clips: Iterable[ScoredClip]) -> float:
    """Return how long after the last word the detector sees the silence begin, on average."""
    lags = []
    for each in clips:
        after = (seen_s - each.clip.end_s for seen_s in each.silences_seen_s())
        lags += [lag_s for lag_s in after if abs(lag_s) <= LAST_SEEN_S][-1:]
    return fmean(lags) if lags else 0.0


@dataclass(frozen=True, slots=True)
class SeenSilence:
    """A labelled silence, and the pauses that the detector sees in it; none if it sees none.

    `pauses` are (seconds since the silence began, position). `duration_s` is how long it lasts,
    `start` where the turn begins.
    """

    is_end: bool
    duration_s: float
    start: Position
    pauses: tuple[tuple[float, Position], ...]

    def as_silence_alone(self) -> ScoredSilence:
        """Return it for a policy that knows nothing but how long it has lasted."""
        scores = tuple((seen_s, 1.0) for seen_s, _ in self.pauses[:1])
        return ScoredSilence(self.is_end, self.duration_s, scores)


def labelled_silences(
    scored: ScoredClip, settings: SessionSettings, heard: bool
) -> list[SeenSilence]:
    """Return every labelled silence of a clip, as if no turn had ended before.

    `heard`: times count from the last word. Otherwise they count from when the detector sees the
    silence.
    """
    parameters = vad_params(ActivityDetection(silence_duration_ms=10**7), settings)
    position = scored.frame_samples * len(scored.scores)
    whole = VoiceScored(position, scored.scores, scored.frame_samples)
    events = ActivityTracker(parameters).add_scores(whole)
    start = next((each.position for each in events if each.kind is SpeechEdge.ONSET), 0)
    clip = scored.clip
    found = []
    for begin_s, end_s, is_end in (
        *((*pause, False) for pause in clip.pauses),
        (clip.end_s, clip.seconds, True),
    ):
        pauses = [
            event
            for event in events
            if event.kind is SpeechEdge.PAUSE
            and begin_s - SOFT_END_S <= seconds(event.edge) <= end_s + RESUME_LAG_S
        ]
        if is_end:  # a word may fade so slowly that silence is seen twice
            pauses = [e for e in pauses if seconds(e.edge) <= begin_s + LAST_SEEN_S][-1:]
        from_s = begin_s if heard or not pauses else seconds(pauses[0].edge)
        seen = tuple((max(0.0, seconds(e.position) - from_s), e.position) for e in pauses)
        found.append(SeenSilence(is_end, end_s - from_s, start, seen))
    return found
