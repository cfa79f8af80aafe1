"""From voice scores to activity: onset, pause, resume and end of the user's speech.

Everything is counted in positions. Silence that did not arrive as sound is no silence, and a
file sent at ten times real time is cut exactly as if it had been spoken.

A quiet stream becomes speech when frames above `start` add up to the onset's least duration;
small dips are forgiven. Speech ends when no frame has been above `start` again since the
first one below `hold`, for the configured silence. The band between the two thresholds
neither ends speech nor revives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vivavoce.core.events import VoiceScored
from vivavoce.domain.audio import Position, samples
from vivavoce.domain.setup import ActivityDetection, Sensitivity

# Every knob of `realtimeInputConfig`, and what it turns.
#
#   automaticActivityDetection
#     disabled                 no score is looked at: activityStart and activityEnd are the cues
#     startOfSpeechSensitivity the score that starts speech; `hold` lies 0.15 below it
#     endOfSpeechSensitivity   the silence that ends a turn, where silenceDurationMs is absent
#     silenceDurationMs        the silence that ends a turn
#     prefixPaddingMs          speech before an onset is certain (never less than
#                              LEAST_SPEECH_SAMPLES, nor more than LONGEST_ONSET_MS), and the
#                              pre-roll, where it is longer than ours
#   activityHandling           whether taking the floor interrupts: conversation.py, consider_claim
#   turnCoverage               which video frames join a turn: frames.py; sound is the same for all,
#                              since a recognizer hears nothing in the silence between turns
START_THRESHOLD = {
    Sensitivity.UNSPECIFIED: 0.5,
    Sensitivity.HIGH: 0.5,
    Sensitivity.LOW: 0.7,
}
HOLD_BELOW_START = 0.15
SILENCE_MS = {
    Sensitivity.UNSPECIFIED: 700,
    Sensitivity.HIGH: 500,
    Sensitivity.LOW: 1200,
}
PREFIX_PADDING_MS = 20
PRE_ROLL_MS = 400

MAX_ONSET_MS = 500
"""Who asks for more means padding: a whole short sentence would be over before it had begun."""

IGNORED_DIP_SAMPLES = samples(0.1)
"""A dip this short does not spoil an onset that is still uncertain."""

MIN_SPEECH_SAMPLES = samples(0.05)
"""Shorter than any syllable: a click or a cough, which must not interrupt anybody."""


class SpeechEdge(Enum):
    """What the evidence says about the user."""

    ONSET = "onset"
    PAUSE = "pause"
    RESUME = "resume"
    END = "end"


@dataclass(frozen=True, slots=True)
class SpeechEvent:
    """A cue, and where it stands.

    `position` is the start of the turn (pre-roll included) for an onset, and the position at
    which it was decided for all others. `edge` is where the speech itself began or ended.
    """

    cue: SpeechEdge
    position: Position
    edge: Position


@dataclass(frozen=True, slots=True)
class VadParams:
    """A client's wishes about activity detection as numbers; durations in samples."""

    start: float
    hold: float
    onset: int
    pause: int
    silence: int
    pre_roll: int


def vad_params(detection: ActivityDetection, eager_silence_ms: int) -> VadParams:
    """The numbers behind the wishes; negative durations count as zero."""
    start = START_THRESHOLD[detection.start_sensitivity]
    silence_ms = detection.silence_duration_ms
    if silence_ms is None:
        silence_ms = SILENCE_MS[detection.end_sensitivity]
    prefix_ms = (
        PREFIX_PADDING_MS if detection.prefix_padding_ms is None else detection.prefix_padding_ms
    )
    silence = samples(max(0, silence_ms) / 1000)
    return VadParams(
        start=start,
        hold=start - HOLD_BELOW_START,
        onset=max(samples(min(prefix_ms, MAX_ONSET_MS) / 1000), MIN_SPEECH_SAMPLES),
        pause=min(samples(eager_silence_ms / 1000), silence),
        silence=silence,
        pre_roll=samples(max(PRE_ROLL_MS, prefix_ms) / 1000),
    )


class ActivityTracker:
    """Follows one stream of scores. `floor` is where the previous turn ended."""

    def __init__(self, knobs: VadParams, floor: Position = 0) -> None:
        self.params = knobs
        self.speaking = False
        self.floor = floor
        self._heard = floor
        self._onset: Position | None = None
        self._silent_since: Position | None = None
        self._last_voiced = floor
        self._voiced = 0
        self._paused = False

    @property
    def safe(self) -> Position:
        """No turn that begins later reaches back to sound before this."""
        return max(self.floor, self._heard - self.params.pre_roll)

    @property
    def idle(self) -> bool:
        """Whether nothing points at speech."""
        return not self.speaking and self._onset is None

    def add_scores(self, scored: VoiceScored) -> list[SpeechEvent]:
        """What the scores say; frames that were heard before are passed over."""
        frame = scored.frame_samples
        if frame <= 0:
            return []
        found: list[SpeechEvent] = []
        begin = scored.position - frame * len(scored.scores)
        for score in scored.scores:
            end = begin + frame
            if end > self._heard:
                self._heard = end
                judge = self._while_speaking if self.speaking else self._while_quiet
                if evidence := judge(score, begin, end):
                    found.append(evidence)
            begin = end
        return found

    def end_stream(self, position: Position) -> list[SpeechEvent]:
        """No more sound for now: what was spoken is finished, what was uncertain is forgotten."""
        self._heard = max(self._heard, position)
        if self.speaking:
            return [self._end(self._heard)]
        self._onset = None
        return []

    def _while_quiet(self, score: float, begin: Position, end: Position) -> SpeechEvent | None:
        if self._onset is None:
            if not score >= self.params.start:
                return None
            self._onset, self._voiced = begin, 0
        elif not score >= self.params.hold:
            if end - self._last_voiced > IGNORED_DIP_SAMPLES:
                self._onset = None
            return None
        self._voiced += end - begin
        self._last_voiced = end
        if self._voiced < self.params.onset:
            return None
        self.speaking, self._paused, self._silent_since = True, False, None
        start = max(self.floor, self._onset - self.params.pre_roll, 0)
        return SpeechEvent(SpeechEdge.ONSET, start, max(self._onset, 0))

    def _while_speaking(self, score: float, begin: Position, end: Position) -> SpeechEvent | None:
        if score >= self.params.start or (self._silent_since is None and score >= self.params.hold):
            self._last_voiced, self._silent_since = end, None
            if self._paused:
                self._paused = False
                return SpeechEvent(SpeechEdge.RESUME, end, begin)
            return None
        if self._silent_since is None:
            self._silent_since = begin
        silence = end - self._silent_since
        if silence >= self.params.silence:
            return self._end(end)
        if not self._paused and silence >= self.params.pause:
            self._paused = True
            return SpeechEvent(SpeechEdge.PAUSE, end, self._silent_since)
        return None

    def _end(self, position: Position) -> SpeechEvent:
        self.speaking, self._onset, self.floor = False, None, position
        return SpeechEvent(SpeechEdge.END, position, self._last_voiced)
