"""Sound of the labelled set: speech of the embedded voices with pauses and the noise of a room.

A turn is spoken *as a whole*, with a comma at each mark where the text has none, and cut there at
the quietest place; so the voice before a pause goes on as in a sentence that continues, and does
not fall as at its end. Silence is put in until the voice pauses for as long as it should. Then the
noise of a room is laid over everything, from a seeded generator. The same text, voice and
synthesizer make the same samples.

What such clips can't show: hesitation in the voice (lengthened syllables, creak, breath), false
starts in the middle of a word, speech that trails off, real rooms and microphones. They are easier
than human speech in all of that, and harder in one respect: an unfinished phrase sounds more like a
finished one than in spontaneous speech.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import soxr
from numpy.typing import NDArray

from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE, samples
from vivavoce.engines.ports import Synthesizer
from vivavoce.evaluation.labelled_speech import SpokenText

Sound = NDArray[np.float64]
"""Samples at 16 kHz, full scale at 1."""

Span = tuple[float, float]
"""Begin and end in seconds of the clip."""

LEAD_S = 0.5
"""The room alone, before the first word."""
TAIL_S = 4.0
"""The room alone, after the last: longer than every wait for the end of a turn."""

_FRAME_S = 0.01
_VOICED_DB = 35.0
"""A frame within so much of the loud ones (their 95th percentile) is voice."""
_PAD_S = 0.04
"""Kept on both sides of a cut, so that soft ends of words remain."""
_FADE_S = 0.008
_SEARCH_BEFORE_S, _SEARCH_AFTER_S = 0.12, 0.1
"""A mark lies at most so far from the piece of sound in which its next word begins."""


@dataclass(frozen=True, slots=True)
class LabelledClip:
    """A recording of one turn: 16 kHz PCM, and when the voice speaks in it.

    The silences between two spans of `speech` are pauses inside the turn; the last span ends with
    the turn. `kind` is for the report.
    """

    name: str
    kind: str
    pcm: bytes
    speech: tuple[Span, ...]

    @property
    def pauses(self) -> tuple[Span, ...]:
        """The pauses inside the turn."""
        return tuple((before[1], after[0]) for before, after in pairwise(self.speech))

    @property
    def end_s(self) -> float:
        """End of the last word."""
        return self.speech[-1][1]

    @property
    def seconds(self) -> float:
        """Duration of the clip."""
        return len(self.pcm) / 2 / INPUT_RATE


# --- making ------------------------------------------------------------------------------


async def make_clip(
    spoken: SpokenText, synthesizer: Synthesizer, pauses_s: Sequence[float] | None = None
) -> LabelledClip:
    """Speak a turn; `pauses_s` replaces the lengths of its pauses."""
    lengths = spoken.pauses_s if pauses_s is None else pauses_s
    phrases = await speak_phrases(spoken.phrases, spoken.voice, synthesizer)
    sound, speech = join_phrases(phrases, lengths)
    noise = room_noise(len(sound), spoken.name) * level(sound) / 10 ** (spoken.snr_db / 20)
    return LabelledClip(spoken.name, spoken.kind, to_pcm(sound + noise), speech)


async def speak_phrases(
    phrases: Sequence[str], voice: str, synthesizer: Synthesizer
) -> list[Sound]:
    """Speak phrases as one text, and cut the sound between them; each without outer silence."""
    texts = [_with_comma(phrase) for phrase in phrases[:-1]] + [phrases[-1]]
    text = " ".join(texts)
    sound, begins = await _speak(text, voice, synthesizer)
    offsets = [text.index(rest, at) for rest, at in _places(texts)]
    cuts = [_quietest(sound, begins[offset]) for offset in offsets[1:]]
    edges = [0, *cuts, len(sound)]
    return [trim(sound[begin:end]) for begin, end in pairwise(edges)]


def join_phrases(
    phrases: Sequence[Sound], pauses_s: Sequence[float]
) -> tuple[Sound, tuple[Span, ...]]:
    """Join phrases by pauses, with silence around; and when the voice speaks."""
    parts: list[Sound] = [np.zeros(samples(LEAD_S))]
    at = LEAD_S
    speech: list[Span] = []
    for number, phrase in enumerate(phrases):
        voiced = voiced_span(phrase)
        if number:
            before = at - speech[-1][1]
            silence = samples(max(0.0, pauses_s[number - 1] - before - voiced[0]))
            parts.append(np.zeros(silence))
            at += silence / INPUT_RATE
        parts.append(phrase)
        speech.append((at + voiced[0], at + voiced[1]))
        at += len(phrase) / INPUT_RATE
    parts.append(np.zeros(samples(TAIL_S)))
    return np.concatenate(parts), tuple(speech)


async def _speak(text: str, voice: str, synthesizer: Synthesizer) -> tuple[Sound, dict[int, int]]:
    """Return the sound of `text`, and the sample at which each of its characters begins at most."""
    pieces: list[NDArray[np.float64]] = []
    begins: dict[int, int] = {}
    count = offset = 0
    async for piece in synthesizer.speak(text, voice):
        for place in range(offset, offset + len(piece.text)):
            begins[place] = round(count * INPUT_RATE / OUTPUT_RATE)
        offset += len(piece.text)
        pieces.append(np.frombuffer(piece.pcm, "<i2") / 32768)
        count += len(pieces[-1])
    sound = soxr.resample(np.concatenate(pieces), OUTPUT_RATE, INPUT_RATE)
    return np.asarray(sound, dtype=np.float64), begins


def _with_comma(phrase: str) -> str:
    return phrase if phrase[-1] in ",.;:!?" else f"{phrase},"


def _places(texts: Sequence[str]) -> list[tuple[str, int]]:
    found, at = [], 0
    for text in texts:
        found.append((text, at))
        at += len(text) + 1
    return found


def _quietest(sound: Sound, near: int) -> int:
    """Return the sample of the quietest 20 ms around `near`."""
    window = samples(0.02)
    first = max(0, near - samples(_SEARCH_BEFORE_S))
    last = max(first, min(len(sound) - window, near + samples(_SEARCH_AFTER_S)))
    starts = range(first, last + 1, window // 4)
    best = min(starts, key=lambda at: float(np.mean(sound[at : at + window] ** 2)))
    return best + window // 2


# --- levels ------------------------------------------------------------------------------


def frame_levels(sound: Sound) -> NDArray[np.float64]:
    """Return the level of each frame of 10 ms in dB, full scale at 0; at least one frame."""
    size = samples(_FRAME_S)
    padded = np.pad(sound, (0, -len(sound) % size or (0 if len(sound) else size)))
    power = np.mean(padded.reshape(-1, size) ** 2, axis=1)
    levels: NDArray[np.float64] = 10 * np.log10(power + 1e-12)
    return levels


def voiced_span(sound: Sound) -> Span:
    """Return when voice begins and ends in `sound`, to 10 ms."""
    levels = frame_levels(sound)
    voiced = np.flatnonzero(levels >= np.percentile(levels, 95) - _VOICED_DB)
    return float(voiced[0] * _FRAME_S), float((voiced[-1] + 1) * _FRAME_S)


def trim(sound: Sound) -> Sound:
    """Cut silence at both ends but for 40 ms, and fade them."""
    begin, end = voiced_span(sound)
    kept = sound[samples(max(0.0, begin - _PAD_S)) : samples(end + _PAD_S)].copy()
    size = min(samples(_FADE_S), len(kept) // 2)
    ramp = np.linspace(0, 1, size)
    kept[:size] *= ramp
    kept[len(kept) - size :] *= ramp[::-1]
    return kept


def level(sound: Sound) -> float:
    """Return the root mean square of the samples that are loud enough to be voice."""
    loud = sound[np.abs(sound) > 0.02 * np.abs(sound).max(initial=1e-9)]
    return float(np.sqrt(np.mean(loud**2))) if loud.size else 0.0


def room_noise(size: int, name: str) -> Sound:
    """Return pink noise of standard deviation 1, always the same for a name."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    spectrum = np.fft.rfft(generator.standard_normal(size))
    frequencies = np.maximum(np.fft.rfftfreq(size, 1 / INPUT_RATE), 20.0)
    noise = np.asarray(np.fft.irfft(spectrum / np.sqrt(frequencies), size), dtype=np.float64)
    return noise / max(float(noise.std()), 1e-12)


def to_pcm(sound: Sound) -> bytes:
    """Convert to 16-bit PCM; what exceeds full scale is clipped."""
    pcm: bytes = np.clip(np.rint(sound * 32767), -32768, 32767).astype("<i2").tobytes()
    return pcm


# --- lengths of pauses -------------------------------------------------------------------

SURVIVAL = ((0.2, 1.0), (0.3, 0.556), (0.6, 0.217), (1.0, 0.10), (1.6, 0.05), (5.0, 0.003))
"""Share of pauses inside turns, of those of 0.2 s and more, that are longer than so many seconds:
the false cut-offs of silence alone on eot-bench's English set, which are just that share. The last
one is ours: that set leaves out longer pauses."""


def drawn_pauses(turns: Sequence[SpokenText]) -> dict[str, tuple[float, ...]]:
    """Return lengths for all pauses of `turns`, distributed as `SURVIVAL` says.

    Each length is the quantile of a pause's rank, and the ranks are shuffled by the turns' names.
    """
    marks = [(turn.name, at) for turn in turns for at in range(len(turn.pauses_s))]
    ranked = sorted(marks, key=lambda mark: zlib.crc32(f"{mark[0]}/{mark[1]}".encode()))
    lengths = {mark: _quantile((rank + 0.5) / len(marks)) for rank, mark in enumerate(ranked)}
    return {
        turn.name: tuple(lengths[turn.name, at] for at in range(len(turn.pauses_s)))
        for turn in turns
    }


def _quantile(share: float) -> float:
    """Return the length that `share` of the pauses exceed; between two points logarithmically."""
    points = np.log([survival for _, survival in SURVIVAL])
    return float(np.interp(-np.log(share), -points, [length for length, _ in SURVIVAL]))
