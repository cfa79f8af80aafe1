"""The recognizer port on Moonshine: segments of an utterance, hypotheses, confidence.

The sound of an utterance is kept in an open *segment*. At a pause of the user's the segment is
transcribed; if it is long enough it is closed then, and its text is final. So the network never
sees more than `LONGEST_S` of sound (it is unreliable beyond 40 s), and a hypothesis stays cheap
however long the user speaks. Speech without such pauses is cut where it is quietest.

A hypothesis, and the transcript at a pause, are decoded with the previous hypothesis as a guess,
which makes them cheap (see `network`): 85 ms less at a pause, where a user waits, with the same
word error rate. What is transcribed at the end, with no pause before it, is decoded without one.

A hypothesis is made of the sound since the last pause. Its words are *stable* as far as the
hypothesis before had them, too, and on from there as long as they are probable, except for the last
one. Of 268 words in quiet and 268 at 10 dB, 0.4 and 1.1 % of those given out so differed from the
final text; by agreement alone 0 and 0.4 %, a quarter of a second later; without the last word alone
3.7 and 6.4 %.

All sessions share the network and one worker pool. An utterance has one job in it at most, and
jobs run in the order in which they came, so sessions take turns. A hypothesis is only made when a
thread is free, and for a quarter of a core at most; otherwise the previous one is answered.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from math import exp
from pathlib import Path

import numpy as np

from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, samples
from vivavoce.engines.moonshine.network import ENGINE, Decoded, Network
from vivavoce.engines.ports import RecognitionOptions, RecognizerCapabilities, Transcript
from vivavoce.engines.workers import CancelToken, WorkerPool
from vivavoce.errors import EngineError

log = logging.getLogger(__name__)

CLOSE_AFTER_S = 8.0
"""A pause closes a segment of at least this length. The word error rate is the same within noise
from 2 to 25 s, in quiet and at 10 dB; a hypothesis of 6 s of sound costs about 0.2 s of CPU."""

LONGEST_S = 24.0
"""A segment of this length is cut even without a pause."""

EARLIEST_CUT_S = 12.0
"""Where in such a segment the search for its quietest place begins."""

QUIET_WINDOW_S = 0.2
"""The length of the stretch whose energy is compared when a quiet place is looked for."""

HALVED_S = 2.0
"""Sound of this length without words is transcribed again in two halves: the network takes some
speech with silence inside or behind it for nothing. In noise the halves give nothing, too."""

SILENCE_BEHIND_S = 0.3
"""Silence that is put behind all sound. Speech that is cut off makes the decoder invent and repeat:
without it every seventh word of hypotheses that agree contradicts the final text at 10 dB."""

PROBABLE = 0.7
"""The least probability of a token of words that are given out at once."""

HYPOTHESIS_SHARE = 0.25
"""The part of a core that the hypotheses of an utterance may take."""

Clock = Callable[[], float]
"""Seconds, of any beginning."""

_CLOSING_MARKS = ".,;:!?…-–— "


@dataclass(frozen=True, slots=True)
class _Segment:
    """A piece of sound that was transcribed, the text of its tokens, and what that took."""

    decoded: Decoded = field(default_factory=Decoded)
    text: str = ""
    word_probabilities: Sequence[float] = ()
    cpu_s: float = 0.0


class MoonshineUtterance:
    """One stretch of speech. See `engines.ports.Utterance`.

    `_open` is the transcript of the open segment up to its last pause, which lies at `_window`;
    `_recent` is the latest hypothesis of what follows, and `_stable` the words of it that are.
    """

    def __init__(self, transcribe: _Transcribe) -> None:
        self._transcribe = transcribe
        self._sound = bytearray()
        self._closed: list[_Segment] = []
        self._next_hypothesis_at = 0.0
        self._open = self._recent = _Segment()
        self._window = 0
        self._stable = ""

    async def feed(self, pcm: bytes) -> None:
        """More sound, whole samples. Waits while a segment that became too long is transcribed."""
        if len(pcm) % BYTES_PER_SAMPLE:
            raise ValueError(f"{len(pcm)} bytes are no whole number of samples")
        self._sound += pcm
        while len(self._sound) > _size(LONGEST_S):
            cut = quietest_place(bytes(self._sound[: _size(LONGEST_S)]))
            self._close(await self._transcribe(bytes(self._sound[:cut])), cut)

    async def hypothesis(self) -> Transcript:
        """Transcribe the sound so far; returns the previous answer when no thread is free."""
        now = self._transcribe.clock()
        if now >= self._next_hypothesis_at and self._transcribe.workers.idle:
            before, guess = self._recent.text, self._recent.decoded.tokens
            sound = bytes(self._sound[self._window :])
            self._recent = await self._transcribe(sound, guess)
            self._stable = stable_words(before, self._recent)
            self._next_hypothesis_at = now + self._recent.cpu_s / HYPOTHESIS_SHARE
        return self._transcript(self._stable)

    async def pause(self) -> Transcript:
        """Transcribe all that was fed; closes a segment that is long enough."""
        size = len(self._sound)
        guess = (*self._open.decoded.tokens, *self._recent.decoded.tokens)
        self._begin_window(await self._transcribe(bytes(self._sound), guess), size)
        if size >= _size(CLOSE_AFTER_S):
            self._close(self._open, size)
        return self._transcript("")

    async def finish(self) -> Transcript:
        """The final text."""
        self._begin_window(await self._transcribe(bytes(self._sound)), len(self._sound))
        final = self._transcript("")
        return replace(final, stable=final.text)

    def _begin_window(self, transcribed: _Segment, at: int) -> None:
        self._open, self._window = transcribed, at
        self._recent, self._stable = _Segment(), ""

    def _close(self, segment: _Segment, size: int) -> None:
        self._closed.append(segment)
        del self._sound[:size]
        self._begin_window(_Segment(), 0)

    def _transcript(self, words: str) -> Transcript:
        """All that is understood; what was before the last pause is stable, and `words`."""
        before = join([*(each.text for each in self._closed), self._open.text])
        whole = join([before, self._recent.text])
        stable = without_closing_mark(join([before, words]))
        return Transcript(whole, stable, self._confidence())

    def _confidence(self) -> float | None:
        """The geometric mean over the tokens of all segments; 0 where one is a runaway."""
        segments = (*self._closed, self._open, self._recent)
        decoded = [each.decoded for each in segments if each.decoded.tokens]
        if not decoded:
            return None
        if any(each.runaway for each in decoded):
            return 0.0
        logs = [log for each in decoded for log in each.log_probabilities]
        return exp(sum(logs) / len(logs))


class _Transcribe:
    """Transcribes sound in the worker pool that all conversations share."""

    def __init__(
        self, network: Network, workers: WorkerPool, clock: Clock, cpu_clock: Clock
    ) -> None:
        self.workers = workers
        self.clock = clock
        self._cpu_clock = cpu_clock
        self._network = network

    async def __call__(self, pcm: bytes, guess: Sequence[int] = ()) -> _Segment:
        """The text of `pcm`; `guess` are the tokens of its beginning, as far as they are known."""
        if not pcm:
            return _Segment()

        def work(token: CancelToken) -> _Segment:
            began = self._cpu_clock()
            segment = self._segment(pcm, guess, lambda: token.cancelled)
            return replace(segment, cpu_s=self._cpu_clock() - began)

        return await self.workers.run(work)

    def _segment(self, pcm: bytes, guess: Sequence[int], cancelled: Callable[[], bool]) -> _Segment:
        """Blocking. Long sound that gives no words is looked at again in two halves."""
        network = self._network
        decoded = network.transcribe(pcm + bytes(_size(SILENCE_BEHIND_S)), guess, cancelled)
        if decoded.tokens or len(pcm) < _size(HALVED_S) or cancelled():
            probabilities = network.word_probabilities(decoded)
            return _Segment(decoded, network.text(decoded.tokens), probabilities)
        seconds = len(pcm) / _size(1.0)
        cut = quietest_place(pcm[: _size(0.75 * seconds)], 0.25 * seconds)
        halves = [self._segment(part, (), cancelled) for part in (pcm[:cut], pcm[cut:])]
        return _Segment(
            Decoded(
                tuple(token for each in halves for token in each.decoded.tokens),
                tuple(log for each in halves for log in each.decoded.log_probabilities),
                any(each.decoded.runaway for each in halves),
            ),
            join([each.text for each in halves]),
            [probability for each in halves for probability in each.word_probabilities],
        )


class MoonshineRecognition:
    """One conversation; nothing adapts to its speaker. See `engines.ports.Recognition`."""

    def __init__(self, transcribe: _Transcribe) -> None:
        self._transcribe = transcribe

    @contextlib.asynccontextmanager
    async def utterance(self) -> AsyncIterator[MoonshineUtterance]:
        """Begin a stretch of speech. A cancelled call leaves its thread at the next token."""
        yield MoonshineUtterance(self._transcribe)

    async def aclose(self) -> None:
        """Nothing to end: the network belongs to the recognizer."""


class MoonshineRecognizer:
    """English speech to text. See `engines.ports.Recognizer`."""

    capabilities = RecognizerCapabilities(streaming=True, languages=("en",))

    def __init__(
        self,
        network: Network,
        workers: int,
        clock: Clock = time.monotonic,
        cpu_clock: Clock = time.thread_time,
    ) -> None:
        self._workers = WorkerPool(ENGINE, workers=workers, queue=1024)
        self._transcribe = _Transcribe(network, self._workers, clock, cpu_clock)
        self._refused_languages: set[str] = set()

    def open(self, options: RecognitionOptions) -> MoonshineRecognition:
        """A recognizer for one conversation.

        Other languages than English are not understood: that is logged once for each language, and
        the speech is transcribed as if it were English. A vocabulary has no effect.
        """
        for code in options.language_codes:
            language = code.split("-")[0].casefold()
            if language != "en" and language not in self._refused_languages:
                self._refused_languages.add(language)
                log.warning(
                    "speech is recognized as English", extra={"engine": ENGINE, "language": code}
                )
        return MoonshineRecognition(self._transcribe)

    async def aclose(self) -> None:
        """No more work; a thread that is busy leaves by itself."""
        self._workers.close()


def quietest_place(pcm: bytes, first_s: float = EARLIEST_CUT_S) -> int:
    """The end, in bytes, of the quietest `QUIET_WINDOW_S` from `first_s` on."""
    window = samples(QUIET_WINDOW_S)
    first = samples(first_s)
    sound = np.frombuffer(pcm, dtype="<i2")[first:].astype(np.float64)
    energy = np.concatenate([[0.0], np.cumsum(sound**2)])
    quiet = int(np.argmin(energy[window:] - energy[:-window]))
    return (first + quiet + window) * BYTES_PER_SAMPLE


def stable_words(before: str, segment: _Segment) -> str:
    """The first words of a segment that are not expected to change; `before` is what it was."""
    words = segment.text.split()
    pairs = zip(words, before.split(), strict=False)
    alike = takewhile(lambda pair: _letters(pair[0]) == _letters(pair[1]), pairs)
    agreed = sum(1 for _ in alike)
    further = takewhile(lambda p: p >= PROBABLE, segment.word_probabilities[agreed:-1])
    return " ".join(words[: agreed + sum(1 for _ in further)])


def _letters(word: str) -> str:
    return "".join(filter(str.isalnum, word)).casefold()


def join(texts: Sequence[str]) -> str:
    """Texts as one, empty ones left out."""
    return " ".join(filter(None, texts))


def without_closing_mark(text: str) -> str:
    """The text up to its last letter: the mark behind it depends on what follows."""
    return text.rstrip(_CLOSING_MARKS)


def _size(seconds: float) -> int:
    """Bytes of so much sound."""
    return round(seconds * INPUT_RATE) * BYTES_PER_SAMPLE


# --- building ----------------------------------------------------------------------------


async def create(folder: Path, workers: int) -> MoonshineRecognizer:
    """The recognizer, when its network is loaded (about a second, in its own thread)."""
    loader = WorkerPool(f"{ENGINE} load", workers=1)
    try:
        network = await loader.run(lambda _: Network(folder))
    except OSError as error:
        raise EngineError(ENGINE, f"{error.filename} can't be read: {error.strerror}") from error
    finally:
        loader.close()
    return MoonshineRecognizer(network, workers or default_workers())


def default_workers() -> int:
    """Half of the cores, so that the language model has the others; one at least."""
    return max(1, (os.cpu_count() or 1) // 2)
