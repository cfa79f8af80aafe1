"""Turn detection: derive onset, pause, resume and end of speech from voice scores.

Everything is counted in positions: silence counts only as it arrives as audio, so a file that is
sent at ten times real time is cut exactly as live speech.

Speech begins when frames above `start` add up to the onset's duration; short dips are ignored. It
ends when, for the configured silence, no frame has been above `start` since the first one below
`hold`. Scores between the two thresholds neither end speech nor continue it.

The silence is fixed where the client sets it. Otherwise a score says at each pause how likely the
turn is over, and the silence that ends the turn follows from it (`required_silence`):

    score                silence that ends the turn
    SURE and more        `sure`, 200 ms
    UNSURE, or no score  `unsure`, 700 ms
    UNFINISHED and less  `unfinished`, 2000 ms; in proportion between the three

Nothing waits for a score: until one comes, `unsure` holds, and a score after the end is ignored.

What the fields of `realtimeInputConfig` set:

    automaticActivityDetection
      disabled                  scores are ignored; activityStart and activityEnd mark speech
      startOfSpeechSensitivity  the score at which speech starts; `hold` is 0.15 below it
      endOfSpeechSensitivity    the fixed silence that ends a turn, without silenceDurationMs
      silenceDurationMs         the fixed silence that ends a turn
      prefixPaddingMs           the duration of an onset, from MIN_SPEECH_SAMPLES to MAX_ONSET_MS;
                                and the pre-roll, where it is longer than ours
    activityHandling            whether activity interrupts: `Conversation.handle_barge_in`
    turnCoverage                which video frames join a turn: `VideoBuffer`; for audio it has no
                                effect, since there is no speech between two turns
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vivavoce.core.events import VoiceScored
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.audio import Position, samples
from vivavoce.domain.setup import ActivityDetection, Sensitivity

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
SURE = 0.9
"""Score of the turn's end from which it counts as finished."""

UNSURE = 0.5
"""Score with which nothing is known of the turn's end."""

UNFINISHED = 0.25
"""Score of the turn's end up to which it counts as unfinished."""

ANSWER_LEAD = samples(0.5)
"""Silence before the end of a turn in which a speculative answer begins: what engines need."""

SCORE_LEAD = samples(0.25)
"""Silence from which a speculation begins although the pause has no score yet."""

SCORE_WAIT = samples(0.1)
"""Silence for which a speculation waits for a score that was requested, at most."""

PREFIX_PADDING_MS = 20
PRE_ROLL_MS = 400

MAX_ONSET_MS = 500
"""A longer onset would exceed short sentences; clients that ask for more mean padding."""

IGNORED_DIP_SAMPLES = samples(0.1)
"""Dips up to this length do not end an onset."""

MIN_SPEECH_SAMPLES = samples(0.05)
"""Shorter than any syllable: clicks and coughs must not interrupt."""


class SpeechEdge(Enum):
    """A change in the user's speech."""

    ONSET = "onset"
    PAUSE = "pause"
    RESUME = "resume"
    END = "end"


@dataclass(frozen=True, slots=True)
class SpeechEvent:
    """A change in the user's speech, and where it was.

    `position` is the start of the turn with its pre-roll for an onset, and where it was detected
    for all others. `edge` is where the speech itself began or ended.
    """

    kind: SpeechEdge
    position: Position
    edge: Position


@dataclass(frozen=True, slots=True)
class EndSilence:
    """Silence that ends a turn, by how certain its end is; in samples."""

    sure: int
    unsure: int
    unfinished: int


@dataclass(frozen=True, slots=True)
class VadParams:
    """Parameters of voice activity detection; durations in samples.

    `silence` ends a turn; `scored` is what ends it instead after a score of its end, `None` if
    the silence is fixed.
    """

    start: float
    hold: float
    onset: int
    pause: int
    silence: int
    pre_roll: int
    scored: EndSilence | None = None


def vad_params(detection: ActivityDetection, settings: SessionSettings) -> VadParams:
    """Return the parameters for a setup; negative durations count as zero."""
    start = START_THRESHOLD[detection.start_sensitivity]
    silence_ms = detection.silence_duration_ms
    if silence_ms is None:
        silence_ms = SILENCE_MS[detection.end_sensitivity]
    prefix_ms = (
        PREFIX_PADDING_MS if detection.prefix_padding_ms is None else detection.prefix_padding_ms
    )
    silence = samples(max(0, silence_ms) / 1000)
    fixed = (
        detection.silence_duration_ms is not None
        or detection.end_sensitivity is not Sensitivity.UNSPECIFIED
        or not settings.turn_model
    )
    scored = EndSilence(
        sure=min(samples(settings.sure_silence_ms / 1000), silence),
        unsure=silence,
        unfinished=max(samples(settings.unfinished_silence_ms / 1000), silence),
    )
    return VadParams(
        start=start,
        hold=start - HOLD_BELOW_START,
        onset=max(samples(min(prefix_ms, MAX_ONSET_MS) / 1000), MIN_SPEECH_SAMPLES),
        pause=min(samples(settings.eager_silence_ms / 1000), silence),
        silence=silence,
        pre_roll=samples(max(PRE_ROLL_MS, prefix_ms) / 1000),
        scored=None if fixed else scored,
    )


def required_silence(probability: float | None, silence: EndSilence) -> int:
    """Return the silence that ends a turn, for the probability that its pause is its end."""
    if probability is None:
        return silence.unsure
    if probability < UNSURE:
        share = min((UNSURE - probability) / (UNSURE - UNFINISHED), 1.0)
        return round(silence.unsure + share * (silence.unfinished - silence.unsure))
    share = min((probability - UNSURE) / (SURE - UNSURE), 1.0)
    return round(silence.unsure + share * (silence.sure - silence.unsure))


def speculation_silence(required: int) -> int:
    """Return the silence after which a speculation begins, if `required` ends the turn."""
    return max(0, required - ANSWER_LEAD)


class ActivityTracker:
    """Detector of turns in one stream of voice scores; `floor` is the end of the previous turn."""

    def __init__(self, params: VadParams, floor: Position = 0) -> None:
        self.params = params
        self.speaking = False
        self.floor = floor
        self._processed = floor
        self._onset: Position | None = None
        self._silent_since: Position | None = None
        self._last_voiced = floor
        self._voiced = 0
        self._paused = False
        self._required = params.silence

    @property
    def safe(self) -> Position:
        """Position before which no later turn can begin."""
        return max(self.floor, self._processed - self.params.pre_roll)

    @property
    def idle(self) -> bool:
        """True if there is neither speech nor a possible onset."""
        return not self.speaking and self._onset is None

    def add_scores(self, scored: VoiceScored) -> list[SpeechEvent]:
        """Process scores; frames that were processed before are skipped."""
        frame = scored.frame_samples
        if frame <= 0:
            return []
        found: list[SpeechEvent] = []
        begin = scored.position - frame * len(scored.scores)
        for score in scored.scores:
            end = begin + frame
            if end > self._processed:
                self._processed = end
                detect = self._detect_end if self.speaking else self._detect_onset
                if event := detect(score, begin, end):
                    found.append(event)
            begin = end
        return found

    def end_stream(self, position: Position) -> list[SpeechEvent]:
        """End speech, and drop a possible onset: no more audio for now."""
        self._processed = max(self._processed, position)
        if self.speaking:
            return [self._end(self._processed)]
        self._onset = None
        return []

    def apply_score(self, probability: float) -> list[SpeechEvent]:
        """Set the silence that ends this pause by a score of it; end speech if that has passed."""
        if not (self._paused and self.speaking) or self.params.scored is None:
            return []
        self._required = required_silence(probability, self.params.scored)
        silence = 0 if self._silent_since is None else self._processed - self._silent_since
        return [self._end(self._processed)] if silence >= self._required else []

    @property
    def required(self) -> int:
        """The silence that ends the present pause, in samples."""
        return self._required

    def _detect_onset(self, score: float, begin: Position, end: Position) -> SpeechEvent | None:
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

    def _detect_end(self, score: float, begin: Position, end: Position) -> SpeechEvent | None:
        if score >= self.params.start or (self._silent_since is None and score >= self.params.hold):
            self._last_voiced, self._silent_since = end, None
            if self._paused:
                self._paused, self._required = False, self.params.silence
                return SpeechEvent(SpeechEdge.RESUME, end, begin)
            return None
        if self._silent_since is None:
            self._silent_since = begin
        silence = end - self._silent_since
        if silence >= self._required:
            return self._end(end)
        if not self._paused and silence >= self.params.pause:
            self._paused = True
            return SpeechEvent(SpeechEdge.PAUSE, end, self._silent_since)
        return None

    def _end(self, position: Position) -> SpeechEvent:
        self.speaking, self._onset, self.floor = False, None, position
        self._required = self.params.silence
        return SpeechEvent(SpeechEdge.END, position, self._last_voiced)
