"""Parts of synthesizers: the thirty voices, loudness and silence, and the timing of words.

Gender and character of each voice follow the published list of the Live API's voices; the numbers
are chosen so that no two voices of one gender coincide, and measured by `benchmarks/speaking.py`:
mean pitch, formant position, loudness, and word errors of the embedded recognizer.

Synthesizers begin with 75 to 340 ms of silence, which delays the answer, and end with as much
again, which would tear clauses apart: both are cut.

Every piece of sound carries the words that begin in it, so that a transcript can be shown with the
sound and cut where playback was interrupted. The texts of all pieces equal the spoken text.
"""

from __future__ import annotations

import difflib
import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vivavoce.domain.audio import OUTPUT_RATE
from vivavoce.domain.setup import DEFAULT_VOICE, VOICES, canonical_voice
from vivavoce.engines.ports import EngineHost, Settings, Speech, SynthesizerCapabilities
from vivavoce.engines.settings import NoSettings, read_settings

Sound: TypeAlias = NDArray[np.float32]
"""Samples at 24 kHz, full scale at 1."""

# --- voices ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VoiceParameters:
    """Parameters of one voice."""

    feminine: bool
    pitch_hz: float
    """Geometric mean of the fundamental frequency."""
    formant: float
    """Factor on the formant frequencies of the model voice; below 1: a longer vocal tract."""
    pace: float = 1.0
    """Speaking rate; above 1 is faster."""
    range: float = 1.0
    """Exponent on the pitch movement around its mean; below 1 is flatter."""
    tilt_db: float = 0.0
    """Spectral tilt in dB an octave around 1 kHz; above 0 is brighter."""
    breath_db: float = 0.0
    """Level of the aspiration noise in voiced sound, relative to the model voice."""


_woman, _man = partial(VoiceParameters, True), partial(VoiceParameters, False)

_TABLE = {
    # feminine
    "Achernar": _woman(183, 0.99, 0.95, 0.85, -0.9, 5.0),  # soft
    "Aoede": _woman(200, 1.02, 1.06, 1.1, 0.0, 3.0),  # breezy
    "Autonoe": _woman(208, 1.03, 0.97, 1.05, 0.6),  # bright
    "Callirrhoe": _woman(187, 1.01, 0.92, 0.9, -0.3),  # easy-going
    "Despina": _woman(172, 1.02, 0.99, 0.8, -0.6, 1.0),  # smooth
    "Erinome": _woman(200, 0.98, 0.96, 0.95, 0.4),  # clear
    "Gacrux": _woman(150, 0.93, 0.95, 0.9, -0.3),  # mature
    "Kore": _woman(180, 0.95, 1.02, 0.85, 0.9),  # firm
    "Laomedeia": _woman(218, 1.0, 1.08, 1.2, 0.3),  # upbeat
    "Leda": _woman(232, 1.07, 1.03, 1.1, 0.0, 1.0),  # youthful
    "Pulcherrima": _woman(206, 0.97, 1.05, 1.1, 1.0),  # forward
    "Sulafat": _woman(164, 0.95, 0.97, 1.0, -0.6),  # warm
    "Vindemiatrix": _woman(170, 0.93, 0.9, 0.8, -0.5, 2.0),  # gentle
    "Zephyr": _woman(228, 1.05, 1.05, 1.0, 1.2),  # bright
    # masculine
    "Achird": _man(130, 0.92, 0.98, 1.1, -0.3, 1.0),  # friendly
    "Algenib": _man(84, 0.85, 0.95, 0.9, -0.4),  # gravelly
    "Algieba": _man(98, 0.88, 0.97, 0.85, -0.6, 1.0),  # smooth
    "Alnilam": _man(101, 0.84, 1.02, 0.85, 0.8),  # firm
    "Charon": _man(107, 0.88, 1.0, 1.0),  # informative
    "Enceladus": _man(112, 0.89, 0.96, 0.9, -0.5, 6.0),  # breathy
    "Fenrir": _man(132, 0.88, 1.1, 1.35, 0.5),  # excitable
    "Iapetus": _man(114, 0.9, 0.98, 0.95, 0.6),  # clear
    "Orus": _man(94, 0.87, 1.0, 0.85, 0.5),  # firm
    "Puck": _man(123, 0.94, 1.07, 1.25, 0.5),  # upbeat
    "Rasalgethi": _man(118, 0.83, 1.04, 1.0, -0.3),  # informative
    "Sadachbia": _man(140, 0.92, 1.05, 1.2, 0.2),  # lively
    "Sadaltager": _man(97, 0.93, 0.98, 1.1, 0.2),  # knowledgeable
    "Schedar": _man(118, 0.87, 0.98, 0.75),  # even
    "Umbriel": _man(109, 0.93, 0.92, 0.85, -0.5),  # easy-going
    "Zubenelgenubi": _man(120, 0.89, 0.96, 1.05, -0.3),  # casual
}


def resolve_voice(name: str) -> str:
    """Return the voice for `name`: itself in its canonical spelling, the default for an empty
    name, and for an unknown name always the same one of the thirty."""
    if not name:
        return DEFAULT_VOICE
    return canonical_voice(name) or VOICES[zlib.crc32(name.casefold().encode()) % len(VOICES)]


def voice_parameters(name: str) -> VoiceParameters:
    """Return the parameters of the voice for `name`, see `resolve_voice`."""
    return _TABLE[resolve_voice(name)]


# --- timing of words ---------------------------------------------------------------------

_WORD = re.compile(r"(?<!\s)\s*+\S+")


@dataclass(frozen=True, slots=True)
class WordMark:
    """The start time of the words from `offset` in the text on."""

    offset: int
    start_s: float


class Timeline:
    """The words of one text by the time at which each begins, consumed from front to back."""

    def __init__(self, text: str, marks: Sequence[WordMark]) -> None:
        self._text = text
        self._marks = marks
        self._next = 0
        self._taken = 0

    def words_until(self, end_s: float) -> str:
        """Return the next words, those that begin before `end_s`."""
        while self._next < len(self._marks) and self._marks[self._next].start_s < end_s:
            self._next += 1
        if self._next < len(self._marks):
            return self._take(self._marks[self._next].offset)
        return self.remaining_words()

    def remaining_words(self) -> str:
        """Return the rest of the text."""
        return self._take(len(self._text))

    def _take(self, end: int) -> str:
        start, self._taken = self._taken, max(self._taken, end)
        return self._text[start : self._taken]


def marks_of_groups(
    text: str, starts: Sequence[float], count_groups: Callable[[str], int]
) -> list[WordMark]:
    """Return marks for the start times, in seconds, of a synthesizer's spoken words.

    `count_groups` returns the number of spoken words of a written one ("$5" is two); it is called
    for words that are not of plain letters. Where their sum differs from the number of times,
    words are placed one to one, or in proportion.
    """
    words = list(_WORD.finditer(text))
    if not words or not starts:
        return []
    counts = [_group_count(word.group().strip(), count_groups) for word in words]
    if sum(counts) != len(starts) == len(words):
        counts = [1] * len(words)
    scale = len(starts) / max(1, sum(counts))
    places = accumulate([0, *counts[:-1]])
    return [
        WordMark(word.start(), starts[min(round(place * scale), len(starts) - 1)])
        for word, place in zip(words, places, strict=True)
    ]


def _group_count(word: str, count_groups: Callable[[str], int]) -> int:
    letters = word.strip(".,;:!?\"'()“”‘’")
    return 1 if letters.isascii() and letters.isalpha() else count_groups(word)


def estimated_marks(text: str, duration_s: float) -> list[WordMark]:
    """Return marks for a synthesizer without times: a word takes time by its length."""
    size = max(1, len(text))
    return [WordMark(m.start(), duration_s * m.start() / size) for m in _WORD.finditer(text)]


class Realigner:
    """Maps spoken words to original ones, "5 dollars" to "$5", from front to back.

    Words that both texts have in common tie them together; between ties the original advances in
    proportion.
    """

    def __init__(self, original: str, spoken: str) -> None:
        self._original = original
        self._ties = _ties(original, spoken)
        self._spoken_taken = 0
        self._taken = 0

    def original_of(self, spoken_part: str) -> str:
        """Return the original words of the next part of the spoken text."""
        self._spoken_taken += len(spoken_part)
        return self._advance(self._place(self._spoken_taken))

    def remaining_words(self) -> str:
        """Return the rest of the original."""
        return self._advance(len(self._original))

    def _place(self, spoken_end: int) -> int:
        before = (0, 0)
        for tie in self._ties:
            if tie[0] >= spoken_end:
                span = max(1, tie[0] - before[0])
                share = (spoken_end - before[0]) / span
                guess = before[1] + round(share * (tie[1] - before[1]))
                return tie[1] if tie[0] == spoken_end else self._boundary(guess, before[1])
            before = tie
        return len(self._original)

    def _boundary(self, place: int, floor: int) -> int:
        """Return the nearest white space at or before `place`, so that no word is cut in two."""
        while place > floor and not self._original[place : place + 1].isspace():
            place -= 1
        return place

    def _advance(self, end: int) -> str:
        start, self._taken = self._taken, max(self._taken, end)
        return self._original[start : self._taken]


def _ties(original: str, spoken: str) -> list[tuple[int, int]]:
    """Return offsets (spoken, original) at which a run of common words begins or ends."""
    theirs, ours = list(_WORD.finditer(spoken)), list(_WORD.finditer(original))
    if original == spoken:
        return [(m.start(), m.start()) for m in ours] + [(len(spoken), len(original))]
    matcher = difflib.SequenceMatcher(
        None, [_key(m.group()) for m in theirs], [_key(m.group()) for m in ours], autojunk=False
    )
    ties = []
    for a, b, size in matcher.get_matching_blocks():
        ties += [(theirs[a + i].start(), ours[b + i].start()) for i in range(size)]
        if size:
            last = a + size - 1, b + size - 1
            ties.append((theirs[last[0]].end(), ours[last[1]].end()))
    return [*sorted(set(ties)), (len(spoken), len(original))]


def _key(word: str) -> str:
    return "".join(filter(str.isalnum, word)).casefold()


# --- level, silence and pieces of sound --------------------------------------------------

LOUDNESS = -20.0
"""LUFS of every synthesizer and voice. Speech of this loudness peaks near -3 dBFS."""

_QUIET = 0.0067
"""Samples up to this size count as silence; soft consonants rise above it."""

_LEAD_S = 0.02
_FADE_S = 0.005
_SENTENCE_PAUSE_S = 0.24
_CLAUSE_PAUSE_S = 0.10
_SENTENCE_ENDS = ".!?…。！？:"
_PIECE_S = 0.1
_KNEE = 0.7
_BLOCK_S = 0.1
_BLOCKS = 4
_GATE = 0.1


def pause_after(text: str) -> float:
    """Return the seconds of silence after `text`: more after a sentence than after a comma."""
    end = text.rstrip().rstrip("\"')]}»”’")[-1:]
    return _SENTENCE_PAUSE_S if end and end in _SENTENCE_ENDS else _CLAUSE_PAUSE_S


def silence(seconds: float) -> bytes:
    """Return silence as 24 kHz PCM."""
    return bytes(2 * round(OUTPUT_RATE * seconds))


def trim_silence(sound: Sound) -> tuple[Sound, float]:
    """Cut `sound` to 20 ms before its first loud sample and its last; and the seconds cut before.

    Both ends are faded over 5 ms, so that no step is heard. Empty if all is silence.
    """
    loud = np.flatnonzero(np.abs(sound) > _QUIET)
    if not loud.size:
        return sound[:0], 0.0
    first = max(0, int(loud[0]) - round(OUTPUT_RATE * _LEAD_S))
    fade = round(OUTPUT_RATE * _FADE_S)
    kept = sound[first : int(loud[-1]) + 1 + fade].copy()
    ramp = np.linspace(0, 1, min(fade, len(kept)), dtype=np.float32)
    kept[: len(ramp)] *= ramp
    kept[len(kept) - len(ramp) :] *= ramp[::-1]
    return kept, first / OUTPUT_RATE


def speech_pieces(text: str, sound: Sound, marks: Sequence[WordMark]) -> Iterator[Speech]:
    """Yield pieces of 100 ms, each with the words of `text` that begin in it, then the pause.

    `sound` is trimmed; `marks` count from its beginning. The texts together equal `text`.
    """
    timeline = Timeline(text, marks)
    samples = limit_peaks(sound)
    step = round(OUTPUT_RATE * _PIECE_S)
    for start in range(0, len(samples), step):
        end = min(start + step, len(samples))
        yield Speech(samples[start:end].tobytes(), timeline.words_until(end / OUTPUT_RATE))
    yield Speech(silence(pause_after(text)), timeline.remaining_words())


def limit_peaks(sound: Sound) -> NDArray[np.int16]:
    """Convert to 16-bit samples; above 0.7 of full scale, peaks are bent instead of clipped."""
    size = np.abs(sound)
    over = size > _KNEE
    if over.any():
        sound = sound.copy()
        bent = _KNEE + (1 - _KNEE) * np.tanh((size[over] - _KNEE) / (1 - _KNEE))
        sound[over] = np.copysign(bent, sound[over])
    samples: NDArray[np.int16] = np.round(sound * 32767).astype("<i2")
    return samples


def gain_to_level(sound: Sound) -> float:
    """Return the factor that brings `sound` to `LOUDNESS`; 1 for silence."""
    level = measure_loudness(sound)
    return float(10 ** ((LOUDNESS - level) / 20)) if level > -70 else 1.0


def measure_loudness(sound: Sound) -> float:
    """Return the loudness in LUFS of one channel by ITU-R BS.1770-4; -inf for silence.

    Blocks of 400 ms; those more than 10 LU below the mean of all do not count.
    """
    size = max(len(sound), round(OUTPUT_RATE * _BLOCK_S * _BLOCKS))
    weighted = np.fft.irfft(np.fft.rfft(sound, size) * _k_weighting(size), size)
    steps = len(weighted) // round(OUTPUT_RATE * _BLOCK_S)
    power = (weighted[: steps * round(OUTPUT_RATE * _BLOCK_S)].reshape(steps, -1) ** 2).mean(axis=1)
    blocks = np.convolve(power, np.full(_BLOCKS, 1 / _BLOCKS), "valid")
    blocks = blocks[blocks > 1e-7]
    if not blocks.size:
        return -float("inf")
    return float(-0.691 + 10 * np.log10(blocks[blocks > blocks.mean() * _GATE].mean()))


def _k_weighting(size: int) -> NDArray[np.float32]:
    """Return the gain of BS.1770's two filters (given for 48 kHz) at the frequencies of an rfft."""
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(size, 1 / OUTPUT_RATE) / 48_000)
    shelf = np.polyval((1.19839281085285, -2.69169618940638, 1.53512485958697), z) / np.polyval(
        (0.73248077421585, -1.69065929318241, 1.0), z
    )
    high_pass = np.polyval((1.0, -2.0, 1.0), z) / np.polyval(
        (0.99007225036621, -1.99004745483398, 1.0), z
    )
    gain: NDArray[np.float32] = np.abs(shelf * high_pass).astype(np.float32)
    return gain


# --- an engine without a voice -----------------------------------------------------------

SILENT_SECONDS_PER_CHARACTER = 0.06
"""About the pace of calm speech, so that turns last as long as they would with a voice."""


class SilentSynthesizer:
    """Silence of the duration of the words, for machines without a voice.

    A conversation in audio then goes on as a transcript. The last fallback of the embedded
    profile, which `/readyz` reports while it is in use.
    """

    capabilities = SynthesizerCapabilities(voices=VOICES)

    async def speak(self, text: str, voice: str, language: str = "") -> AsyncIterator[Speech]:
        """Yield silence as long as the words would take, a word at a time."""
        for piece in re.findall(r"(?:\A\s++)?\S++\s*+", text) or [text]:
            yield Speech(silence(len(piece) * SILENT_SECONDS_PER_CHARACTER), piece)

    async def aclose(self) -> None:
        pass


async def create_silence(settings: Settings, host: EngineHost) -> SilentSynthesizer:
    """Build the engine `synthesizer.silence`, which has no settings. Raises `ConfigError`."""
    read_settings("synthesizer.silence", settings, NoSettings)
    return SilentSynthesizer()
