"""Turn model by turn-yielding cues: the words and the melody at the end of an utterance.

Speakers show that they have finished by a complete clause, and by pitch and loudness that fall or
rise at its end; and that they go on by a word that needs another, and by a level, drawn-out sound
(Gravano and Hirschberg 2011, "Turn-taking cues in task-oriented dialogue").

Each cue adds evidence in log-odds; the score is the probability of their sum. A cue that is absent
adds nothing, so an utterance without any scores 0.5: unsure. Words weigh more than melody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import exp

import numpy as np
from numpy.typing import NDArray

from vivavoce.domain.audio import INPUT_RATE, samples
from vivavoce.engines.ports import EngineHost, Settings, TurnPause
from vivavoce.engines.settings import NoSettings, read_settings
from vivavoce.engines.turn_cue_words import LANGUAGES, CueWords

ENGINE = "turn_model.cues"


class TurnCues:
    """Scores pauses by words and melody. See `engines.ports.TurnModel`."""

    def score(self, pauses: Sequence[TurnPause]) -> list[float]:
        """Return the probability of each pause; about 1 ms of CPU for one."""
        return [_score_pause(pause) for pause in pauses]

    async def aclose(self) -> None:
        return None


def _score_pause(pause: TurnPause) -> float:
    words = LANGUAGES.get(pause.language.partition("-")[0].lower())
    evidence = word_evidence(pause.text, words) if words is not None else 0.0
    return 1.0 / (1.0 + exp(-evidence - melody_evidence(pause.pcm)))


# --- words -------------------------------------------------------------------------------

UNFINISHED = -3.0
"""The last words need others: "the", "I would like", "my number is"."""
LIKELY_UNFINISHED = -1.6
"""They mostly do: "in", an open list, a clause that begins with "if"."""
LIKELY_FINISHED = 0.3
"""A clause that may be whole."""
FINISHED = 2.2
"""A whole question, a whole request, or a word that closes."""

MIN_CLAUSE_WORDS = 3
MAX_PHRASE_WORDS = 4
"""Words of an answer without a verb: "in the morning"."""
MAX_OPENING_WORDS = 7
"""Words of a clause that begins with a subordinator and awaits its main clause."""


def word_evidence(text: str, words: CueWords) -> float:
    """Return the log-odds that these words are a whole turn; 0 for none."""
    said = _split_words(text)
    if not said:
        return 0.0
    ending = " ".join(said)
    if said[-1] in words.fillers or _ends_with(ending, words.open_phrases):
        return UNFINISHED
    if _ends_with(ending, words.closers):
        return FINISHED
    asks = said[0] in words.question_words or said[0] in words.auxiliaries
    if said[-1] in words.needing:
        return UNFINISHED
    if (verb := _verb_evidence(said, words)) is not None:
        return verb
    if said[-1] in words.particles:
        return _particle_evidence(said, words)
    if _is_opening(said, text, words) or _is_open_list(text, said, words):
        return LIKELY_UNFINISHED
    phrase = said[0] in words.particles and len(said) <= MAX_PHRASE_WORDS
    if len(said) < MIN_CLAUSE_WORDS or (phrase and said[0] not in words.question_words):
        return 0.0
    if asks or said[0] in words.requests:
        return FINISHED
    return 0.0 if text.rstrip().endswith(",") else LIKELY_FINISHED


def _split_words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.casefold().replace("’", "'"))


def _ends_with(ending: str, phrases: frozenset[str]) -> bool:
    return any(ending == each or ending.endswith(" " + each) for each in phrases)


def _verb_evidence(said: list[str], words: CueWords) -> float | None:
    """Return the log-odds of words that end where a verb or its object is due; `None` if not."""
    last, before = said[-1], said[-2] if len(said) > 1 else ""
    embedded = any(word in words.question_words for word in said[:-1])
    asked = before in words.auxiliaries
    if asked and before in words.copulas:  # "where are they"
        return None
    if last in words.subjects or (asked and last in words.pronouns):
        # Unfinished are "and then they", "did you", "how can I", but not "nor do I".
        begins = len(said) == 2 or said[-3] in words.question_words
        return UNFINISHED if begins or not asked else 0.0
    if last in words.auxiliaries:
        answers = len(said) <= MIN_CLAUSE_WORDS and words.pronouns.intersection(said[:-1])
        return 0.0 if answers or embedded else UNFINISHED
    has_object = words.object_questions.intersection(said[:-1])
    return UNFINISHED if last in words.transitives and not has_object else None


def _particle_evidence(said: list[str], words: CueWords) -> float:
    """Return the log-odds of words that end with a preposition, or with a part of their verb.

    Whole are "what is it for" and "turn it on", but not "who wrote the book about" and "set a timer
    for"; "turn the light on" may be.
    """
    if len(said) > MIN_CLAUSE_WORDS and said[0] in words.question_words | words.auxiliaries:
        return LIKELY_UNFINISHED if said[-3] in words.needing else FINISHED
    if said[0] not in words.requests or said[-1] not in words.verb_particles:
        return LIKELY_UNFINISHED
    return LIKELY_FINISHED if len(said) > 1 and said[-2] in words.objects else 0.0


def _is_opening(said: list[str], text: str, words: CueWords) -> bool:
    """Return whether the words are a clause that awaits its main clause: "if it rains"."""
    asks = len(said) > 1 and said[0] in words.question_words and said[1] in words.auxiliaries
    short = len(said) <= MAX_OPENING_WORDS and "," not in text
    return said[0] in words.subordinators and short and not asks


def _is_open_list(text: str, said: list[str], words: CueWords) -> bool:
    """Return whether the words are a list whose last item is not announced: "milk, eggs"."""
    items = [item.split() for item in text.casefold().split(",")]
    if not items[-1] and len(items) > 1:
        return True
    short = len(items) >= 2 and len(items[-1]) <= 2
    return short and not words.joining.intersection(said[-3:])


# --- melody ------------------------------------------------------------------------------
#
# Pitch by autocorrelation in frames of 40 ms, over the last voiced stretch; the speaker's own range
# is that of the whole turn. Semitones and decibels, so that neither voice nor level counts.

TAIL_S = 4.0
FRAME = samples(0.04)
HOP = samples(0.01)
MIN_PITCH_HZ, MAX_PITCH_HZ = 70.0, 400.0
MIN_PERIODICITY = 0.6
"""Autocorrelation, of 1, from which a frame counts as voiced."""
QUIET_DB = 30.0
"""Below the loudest frame by so much is silence."""
END_FRAMES = 20
"""Frames of the last voiced stretch whose slope counts: 0.2 s."""
MIN_FRAMES = 6
DRAWN_OUT_FRAMES = 30
"""Voiced frames without a break that are drawn out if their pitch is level: 0.3 s."""
LEVEL_SEMITONES = 0.8
MELODY_WEIGHT = 0.25
"""Little: it was chosen on synthetic voices, whose melody says less than people's."""

Floats = NDArray[np.float64]


def melody_evidence(pcm: bytes) -> float:
    """Return the log-odds that the sound's end is that of a turn; 0 without a clear pitch.

    A fall to the bottom of the speaker's range, or a steep rise, ends; a level pitch goes on, the
    more if it is drawn out.
    """
    sound = np.frombuffer(pcm, dtype="<i2")[-samples(TAIL_S) :].astype(np.float64)
    pitch = _pitch_semitones(sound)
    voiced = np.flatnonzero(~np.isnan(pitch))
    if len(voiced) < MIN_FRAMES:
        return 0.0
    last = voiced[-1]
    breaks = np.flatnonzero(np.diff(voiced) > 1)
    stretch = pitch[voiced[breaks[-1] + 1] if len(breaks) else voiced[0] : last + 1]
    end = stretch[-END_FRAMES:]
    if len(end) < MIN_FRAMES:
        return 0.0
    move = float(np.median(end[-MIN_FRAMES // 2 :]) - np.median(end[: MIN_FRAMES // 2]))
    height = float(np.median(end[-MIN_FRAMES // 2 :]) - np.median(pitch[voiced]))
    if move >= 2 * LEVEL_SEMITONES or height <= -3 * LEVEL_SEMITONES:
        return MELODY_WEIGHT
    if abs(move) < LEVEL_SEMITONES and abs(height) < 2 * LEVEL_SEMITONES:
        return -2 * MELODY_WEIGHT if len(stretch) >= DRAWN_OUT_FRAMES else -MELODY_WEIGHT
    return 0.0


def _pitch_semitones(sound: Floats) -> Floats:
    """Return the pitch of each frame in semitones (any reference); NaN where there is none."""
    if len(sound) < FRAME:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = (frames**2).mean(axis=1)
    spectrum = np.fft.rfft(frames, 2 * FRAME, axis=1)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :FRAME]
    # Fewer samples overlap at longer lags, which would favor short periods.
    correlation /= np.maximum(correlation[:, :1], 1.0) * (1 - np.arange(FRAME) / FRAME)
    shortest, longest = int(INPUT_RATE / MAX_PITCH_HZ), int(INPUT_RATE / MIN_PITCH_HZ)
    lags = correlation[:, shortest:longest]
    peak = lags.argmax(axis=1)
    loud = power > power.max() * 10 ** (-QUIET_DB / 10)
    voiced = loud & (lags[np.arange(len(lags)), peak] >= MIN_PERIODICITY)
    pitch: Floats = 12 * np.log2(INPUT_RATE / (peak + shortest))
    pitch[~voiced] = np.nan
    return pitch


async def create(settings: Settings, host: EngineHost) -> TurnCues:
    """Build the model, which has no settings. Raises `ConfigError`."""
    read_settings(ENGINE, settings, NoSettings)
    return TurnCues()
