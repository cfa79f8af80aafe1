"""Barge-in: decide whether a sound that begins while the model has the floor is an interruption.

The sound is a *candidate*. While it is undecided the outgoing queue is held; nothing is lost or
said twice if it is released. The evidence, counted in positions from where the voice began:

    evidence                    from
    how long there was a voice  scores of the detector, at least `FAR_DB` below the user's own level
    what was said               transcripts, requested at `LOOKS_MS` and then as long as it goes on
    what the model is saying    the words of the answer about the place of playback

The decision:

    heard so far                              at once         after `DECIDE_MS`
    words that are no back-channel            interruption    interruption
    back-channels, after a question           interruption    interruption
    a few of its words, after a question      -               interruption, when the sound is over
    back-channels alone                       -               nothing (`back_channel`)
    words of the answer itself                -               nothing (`echo`)
    the beginning of a back-channel           -               interruption
    a voice, surely without words             -               nothing (`no_words`)
    a voice without words, going on           -               interruption
    a voice without words, over               -               nothing (`no_words`)
    a voice, and the recognizer says nothing  -               interruption from `ENOUGH_MS`, or
                                                              nothing (`short`)
    only voices far below the user's level    nothing (`far`)

*Nothing* is revised: by words that follow ("yeah, but wait"), and by a new beginning after a gap,
which is a candidate of its own. Whatever is nothing at the end of its turn is dropped: it is
neither answered nor part of the history. Where the model has finished meanwhile, words that are no
back-channel make an ordinary turn, at any level.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from math import inf, log10

from vivavoce.core.back_channels import BackChannels, WordsKind, plain_words
from vivavoce.core.events import TranscriptUpdated, VoiceScored
from vivavoce.domain.audio import Position, samples

LOOKS_MS = (192, 256, 320, 384)
"""Sound of a candidate after which a transcript is requested."""

LOOK_AGAIN_MS = 160
"""Sound between later requests, while the voice goes on."""

DECIDE_MS = 448
"""Sound after which a candidate is decided."""

CUT_OFF_MS = 256
"""In less sound than this, a word is often half of another."""

ENOUGH_MS = 250
"""Voice that interrupts where the recognizer says nothing."""

MORE_VOICE_MS = 96
"""Voice beyond that of a back-channel or a hum, without which as many words are another reading."""

MAX_OPTION_WORDS = 3
"""Words of an answer that names an option of the question ("Tuesday")."""

SURE_SILENCE = 0.8
"""The confidence with which a recognizer finds no words in a hum; in the beginning of words it is
less sure."""

FAR_DB = 10.0
"""How far below the user's own level another voice, or an echo, is not the user's."""

GOES_ON_MS = 64
"""A voice whose last frame is no older goes on."""

GAP_MS = 200
"""Silence after which a voice begins anew."""

BEGINS_FRAMES = 2
"""Frames with a near voice that begin a candidate."""

VOICED = 0.5
"""The score of a frame that counts as voice."""

KEPT_FRAMES = 48
"""Frames whose levels are kept: the longest onset, and more."""

LEVEL_SHARE = 0.05
"""The weight of one frame in the user's level: about a second of voice counts."""


class Verdict(Enum):
    """What a candidate is, so far."""

    UNDECIDED = "undecided"
    NOTHING = "nothing"
    INTERRUPTION = "interruption"


class IgnoredReason(Enum):
    """Why speech is not answered."""

    BACK_CHANNEL = "back_channel"
    ECHO = "echo"
    NO_WORDS = "no_words"
    SHORT = "short"
    FAR = "far"


_REASONS = {
    WordsKind.BACK_CHANNEL: IgnoredReason.BACK_CHANNEL,
    WordsKind.ECHO: IgnoredReason.ECHO,
    WordsKind.NONE: IgnoredReason.NO_WORDS,
}


@dataclass(frozen=True, slots=True)
class _Frame:
    begin: Position
    end: Position
    voiced: bool
    level: float | None


class UserVoice:
    """The level of the user's voice, and the latest frames of the microphone.

    The level is that of turns in which words were understood: `end_turn` takes it over.
    """

    def __init__(self) -> None:
        self._power: float | None = None
        self._turn_power: float | None = None
        self._frames: deque[_Frame] = deque(maxlen=KEPT_FRAMES)

    def add_scores(self, scored: VoiceScored, is_user: bool) -> None:
        """Note frames; `is_user`: a turn is open that is certainly the user's."""
        begin = scored.position - scored.frame_samples * len(scored.scores)
        for at, score in enumerate(scored.scores):
            level = scored.levels[at] if at < len(scored.levels) else None
            end = begin + scored.frame_samples
            self._frames.append(_Frame(begin, end, score >= VOICED, level))
            begin = end
            if is_user and score >= VOICED and level is not None:
                power = 10 ** (level / 10)
                known = power if self._turn_power is None else self._turn_power
                self._turn_power = known + LEVEL_SHARE * (power - known)

    def end_turn(self, understood: bool) -> None:
        """Take over the level of the user's turn, unless no words were understood in it."""
        if understood:
            self._power = self._turn_power
        else:
            self._turn_power = self._power

    def near_frames(self, since: Position) -> list[_Frame]:
        """Return the frames from `since` on with a voice that may be the user's."""
        least = -inf if self._power is None else 10 * log10(max(self._power, 1e-12)) - FAR_DB
        voiced = (frame for frame in self._frames if frame.voiced and frame.begin >= since)
        return [frame for frame in voiced if frame.level is None or frame.level >= least]


class BargeIn:
    """One candidate: the evidence so far, and the verdict on it.

    `edge` is where the voice began. `kind` is what was said, `None` before the first transcript.
    `heard` are words of the answer that were played about then, from `heard_from_s` of its audio
    on; `answers`: the model had just asked a question.
    """

    def __init__(self, edge: Position, position: Position, voice: UserVoice) -> None:
        self.edge = edge
        self.verdict = Verdict.UNDECIDED
        self.reason = IgnoredReason.SHORT
        self.kind: WordsKind | None = None
        self.heard = ""
        self.heard_from_s = 0.0
        self.answers = False
        self._voice = voice
        self._checked = self._looked_at = edge
        self._voiced = self._kind_voiced = self._words = 0
        self._last_voiced = edge - _ms(GAP_MS)
        self._silence = 0.0
        self._fresh: list[_Frame] = []
        self.advance(position)
        if not self._voiced:
            self.verdict, self.reason = Verdict.NOTHING, IgnoredReason.FAR

    @property
    def begun_anew_at(self) -> Position | None:
        """Where a near voice began after a gap, since the sound was found to be nothing."""
        return self._fresh[0].begin if len(self._fresh) >= BEGINS_FRAMES else None

    def advance(self, position: Position) -> None:
        """Decide anew: frames up to `position` were noted."""
        for frame in self._voice.near_frames(self._checked):
            gap = frame.begin - self._last_voiced
            if self.verdict is Verdict.NOTHING and (self._fresh or gap >= _ms(GAP_MS)):
                self._fresh.append(frame)
            else:
                self._voiced += frame.end - frame.begin
            self._last_voiced = frame.end
        self._checked = max(self._checked, position)
        if position - self.edge >= _ms(DECIDE_MS):
            self._decide(position)

    def end_sound(self, position: Position) -> None:
        """Decide now: the sound is over."""
        self.advance(position)
        self._decide(position)

    def confirm(self) -> None:
        """Make it an interruption, whatever was heard."""
        self.verdict = Verdict.INTERRUPTION

    def disregard_level(self) -> None:
        """Judge a far voice by its words from now on: there is no answer left to protect."""
        if self.reason is IgnoredReason.FAR:
            self.reason = IgnoredReason.SHORT

    def look_is_due(self, position: Position) -> bool:
        """Return whether a transcript up to `position` is to be requested; if so, note it."""
        if self.verdict is Verdict.INTERRUPTION or self.reason is IgnoredReason.FAR:
            return False
        passed = [look for at in LOOKS_MS if (look := self.edge + _ms(at)) <= position]
        planned = bool(passed) and passed[-1] > self._looked_at
        goes_on = position - self._last_voiced <= _ms(LOOK_AGAIN_MS)
        again = position - self._looked_at >= _ms(LOOK_AGAIN_MS) and goes_on
        due = planned or (again and len(passed) == len(LOOKS_MS))
        if due:
            self._looked_at = position
        return due

    def add_words(self, back_channels: BackChannels, update: TranscriptUpdated) -> None:
        """Note what was said so far."""
        if self.verdict is Verdict.INTERRUPTION or self.reason is IgnoredReason.FAR:
            return
        cut_off = update.position - self.edge < _ms(CUT_OFF_MS) and not update.final
        kind = back_channels.classify_words(update.text, self.heard, cut_off)
        count = len(plain_words(update.text))
        wordless = self.kind is WordsKind.NONE and self._silence >= SURE_SILENCE
        if self.kind is WordsKind.BACK_CHANNEL or wordless:
            same = self._voiced - self._kind_voiced < _ms(MORE_VOICE_MS)
            if kind is WordsKind.NONE or (same and count <= max(1, self._words)):
                return  # another reading of the same sound
        option = kind is WordsKind.ECHO and update.final and count <= MAX_OPTION_WORDS
        answered = self.answers and (option or kind is WordsKind.BACK_CHANNEL)
        if answered or (update.final and kind is WordsKind.BEGINNING):
            kind = WordsKind.OTHER
        self.kind, self._kind_voiced, self._words = kind, self._voiced, count
        self._silence = update.confidence or 0.0
        if kind is WordsKind.OTHER:
            self.verdict = Verdict.INTERRUPTION
        elif self.verdict is Verdict.NOTHING:
            self.reason = _REASONS.get(kind, self.reason)

    def _decide(self, position: Position) -> None:
        if self.verdict is not Verdict.UNDECIDED:
            return
        goes_on = position - self._last_voiced < _ms(GOES_ON_MS)
        nothing: IgnoredReason | None = None
        match self.kind:
            case WordsKind.BACK_CHANNEL | WordsKind.ECHO:
                nothing = _REASONS[self.kind]
            case WordsKind.NONE if not goes_on or self._silence >= SURE_SILENCE:
                nothing = IgnoredReason.NO_WORDS
            case None if self._voiced < _ms(ENOUGH_MS):
                nothing = IgnoredReason.SHORT
            case _:
                pass
        self.verdict = Verdict.INTERRUPTION if nothing is None else Verdict.NOTHING
        self.reason = nothing or self.reason


def _ms(duration: float) -> int:
    return samples(duration / 1000)
