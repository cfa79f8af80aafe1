"""Speech recognition by Moonshine base (English) on onnxruntime.

The encoder turns a whole piece of sound into hidden states [1, T, 416] at 27 ms of CPU for each
second of it. The decoder is autoregressive: `first` reads any number of tokens at once, `step`
one more token with the keys and values of those before it ([1, 8, tokens, 52] for each of eight
layers), 8 to 10 ms each.

A *guess*, the tokens of an earlier hypothesis of the same and shorter sound, is read by `first` in
one run together with the start token. What the network itself would have said is kept up to the
first difference, and only what is new costs a step: 12 to 35 ms in place of 52 to 286. The result
is nearly that of decoding token by token: products are quantized with the range of all tokens of a
run, so one in nine hypotheses of growing sound differs, mostly in a mark or a capital.

The sound of an utterance is kept in an open *segment*. At a pause the segment is transcribed; if
it is long enough it is closed then, and its text is final. So the network never sees more than
`LONGEST_S` of sound (it is unreliable beyond 40 s), and a hypothesis stays cheap however long the
user speaks. Speech without such pauses is cut where it is quietest.

A hypothesis is made of the sound since the last pause. Like the transcript at a pause, it is
decoded with the previous hypothesis as a guess: 85 ms less at a pause, where a user waits, with the
same word error rate. Its words are *stable* as far as the hypothesis before had them, too, and on
from there as long as they are probable, except for the last one. Of 268 words in quiet and 268 at
10 dB, 0.4 and 1.1 % of those sent so differed from the final text; by agreement alone 0 and 0.4 %,
a quarter of a second later; without the last word alone 3.7 and 6.4 %.

All sessions share the network and one worker pool. An utterance has one job in it at most, and
jobs run in the order in which they came, so sessions take turns. A hypothesis is only made when a
thread is free, and for a quarter of a core at most; otherwise the previous one is returned.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from math import ceil, exp
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, samples
from vivavoce.engines.moonshine_graphs import (
    CONVERTED_FILES,
    EMBEDDING,
    ENCODER,
    ENGINE,
    FIRST,
    SOURCE_FILES,
    STEP,
    TOKENIZER,
)
from vivavoce.engines.ports import (
    EngineHost,
    RecognitionOptions,
    RecognizerCapabilities,
    Settings,
    Transcript,
)
from vivavoce.engines.settings import ExistingFolder, read_settings
from vivavoce.engines.weights import Weights, Wheel, load_session
from vivavoce.engines.workers import CancelToken, WorkerPool
from vivavoce.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# --- the network -------------------------------------------------------------------------

START, END = 1, 2
LAYERS = 8
WORD_BEGIN = "\u2581".encode()
"""What tokens begin with that begin a word: the vocabulary's sign for a space."""

SHORTEST_SAMPLES = INPUT_RATE // 10
"""The least sound that the encoder's convolutions take; shorter sound is padded with silence."""

DITHER = 10.0
"""Standard deviation of the noise that is added to all samples (-70 dBFS). Ten seconds of speech
with a tenth of a second of digital zeros behind it are transcribed as nothing; with this much noise
they are transcribed right, and the word error rate stays the same."""

TOKENS_PER_SECOND = 6.5
"""The publisher's own bound for English; a decoder that says more repeats itself."""

FEWEST_TOKENS = 8
"""Tokens that are allowed however short the sound is."""

LONGEST_PATTERN = 8
"""The longest stretch of tokens whose repetition is looked for."""

SHORT_REPEATS, REPEATS = 8, 4
"""A stretch of one or two tokens that stands eight times in a row, or a longer one that stands
four times, is a runaway: "no, no, no, no" is four times two tokens, and is said by people."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Tokens of a piece of sound, and the log probability of each.

    `log_probabilities` holds one more than `tokens`, that of the end, unless decoding was cut off;
    `runaway` says that it was cut off because it repeated itself.
    """

    tokens: tuple[int, ...] = ()
    log_probabilities: tuple[float, ...] = ()
    runaway: bool = False


class MoonshineNetwork:
    """The three graphs and the vocabulary. Holds no state of a stream; any thread may call it."""

    def __init__(self, folder: Path) -> None:
        """Load `moonshine_graphs.CONVERTED_FILES`. Raises `EngineMissing`, `EngineError`."""
        try:
            self._embedding = np.load(folder / EMBEDDING, mmap_mode="r")
            self._vocabulary = read_vocabulary((folder / TOKENIZER).read_bytes())
        except (ValueError, IndexError, EOFError) as error:
            problem = f"{folder} holds no converted Moonshine: {error}."
            raise EngineError(ENGINE, problem) from error
        self._encoder, self._first, self._step = (
            load_session(folder / name, ENGINE) for name in (ENCODER, FIRST, STEP)
        )
        sides = [f"{n}.{side}" for n in range(LAYERS) for side in ("decoder", "encoder")]
        kinds = [f"{side}.{part}" for side in sides for part in ("key", "value")]
        self._past = [f"past_key_values.{kind}" for kind in kinds]
        self._own = [at for at, kind in enumerate(kinds) if ".decoder." in kind]

    def transcribe(
        self,
        pcm: bytes,
        guess: Sequence[int] = (),
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Decoded:
        """Decode 16-bit PCM at 16 kHz. Blocking; ends early once `cancelled` returns true."""
        sound = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
        sound = (sound + _dither(len(sound))) / np.float32(32768)
        seconds = len(sound) / INPUT_RATE
        if len(sound) < SHORTEST_SAMPLES:
            sound = np.pad(sound, (0, SHORTEST_SAMPLES - len(sound)))
        (hidden,) = self._encoder.run(None, {"input_values": sound[None]})
        if cancelled():
            return Decoded()
        most = max(FEWEST_TOKENS, ceil(seconds * TOKENS_PER_SECOND) + 2)
        return self._decode(hidden, list(guess[:most]), most, cancelled)

    def text(self, tokens: Sequence[int]) -> str:
        """Return the words of tokens, without blanks around them."""
        raw = b"".join(self._vocabulary[token] for token in tokens if token > END)
        return raw.decode("utf-8", "replace").replace("\u2581", " ").strip()

    def word_probabilities(self, decoded: Decoded) -> list[float]:
        """Return the least probability among the tokens of each word, in order."""
        words: list[float] = []
        for token, log_probability in zip(decoded.tokens, decoded.log_probabilities, strict=False):
            if self._vocabulary[token].startswith(WORD_BEGIN) or not words:
                words.append(1.0)
            words[-1] = min(words[-1], exp(log_probability))
        return words

    def _decode(
        self, hidden: Any, guess: list[int], most: int, cancelled: Callable[[], bool]
    ) -> Decoded:
        logits, *past = self._first.run(
            None, {"embedded": self._embed([START, *guess]), "encoder_hidden_states": hidden}
        )
        tokens: list[int] = []
        logs: list[float] = []
        for row in logits[0]:
            token, log_probability = _most_likely(row)
            logs.append(log_probability)
            if token == END:
                return Decoded(tuple(tokens), tuple(logs))
            tokens.append(token)
            if len(tokens) > len(guess) or guess[len(tokens) - 1] != token:
                break
        for at in self._own:
            past[at] = past[at][:, :, : len(tokens)]
        while len(tokens) < most and not cancelled():
            if length := runaway_length(tokens):
                return Decoded(tuple(tokens[:length]), tuple(logs[:length]), runaway=True)
            token, log_probability = self._next(tokens[-1], past)
            logs.append(log_probability)
            if token == END:
                break
            tokens.append(token)
        return Decoded(tuple(tokens), tuple(logs))

    def _next(self, token: int, past: list[Any]) -> tuple[int, float]:
        """Return the token after `token`, and update `past`."""
        feed = dict(zip(self._past, past, strict=True), embedded=self._embed([token]))
        logits, *present = self._step.run(None, feed)
        for at in self._own:
            past[at] = present[at]
        return _most_likely(logits[0, -1])

    def _embed(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        return np.asarray(self._embedding[list(tokens)], dtype=np.float32)[None]


def _dither(size: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(0).standard_normal(size, dtype=np.float32)
    return noise * np.float32(DITHER)


def _most_likely(row: NDArray[np.float32]) -> tuple[int, float]:
    token = int(row.argmax())
    return token, -float(np.log(np.exp(row - row[token]).sum()))


def runaway_length(tokens: Sequence[int]) -> int:
    """Count the tokens up to the end of a runaway's first repetition; 0 without a runaway."""
    for length in range(1, LONGEST_PATTERN + 1):
        times = SHORT_REPEATS if length <= 2 else REPEATS
        tail = list(tokens[-times * length :])
        if len(tail) == times * length and tail == tail[:length] * times:
            return len(tokens) - (times - 1) * length
    return 0


def read_vocabulary(data: bytes) -> list[bytes]:
    """Return the bytes of every token of `tokenizer.bin`.

    An entry is a length and as many bytes; a length of 128 or more takes two bytes. "▁" stands for
    a space, and an entry `<0x41>` for a single byte.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        length = data[at]
        at += 1
        if length >= 128:
            length += 128 * data[at] - 128
            at += 1
        entry = data[at : at + length]
        at += length
        is_byte = len(entry) == 6 and entry.startswith(b"<0x") and entry.endswith(b">")
        entries.append(bytes.fromhex(entry[3:5].decode()) if is_byte else entry)
    return entries


# --- the recognizer ----------------------------------------------------------------------

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

HYPOTHESIS_CREDIT_S = 0.2
"""CPU that hypotheses may take before that counts: three of the first half second, by which an
interruption is told from a back-channel."""

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
        """Take more sound, whole samples. Waits while a segment that is too long is transcribed."""
        if len(pcm) % BYTES_PER_SAMPLE:
            raise ValueError(f"{len(pcm)} bytes are no whole number of samples")
        self._sound += pcm
        while len(self._sound) > _size(LONGEST_S):
            cut = quietest_place(bytes(self._sound[: _size(LONGEST_S)]))
            self._close(await self._transcribe(bytes(self._sound[:cut])), cut)

    async def hypothesis(self) -> Transcript:
        """Transcribe the sound so far; returns the previous answer when no thread is free."""
        now = self._transcribe.clock()
        due = self._next_hypothesis_at - now <= HYPOTHESIS_CREDIT_S / HYPOTHESIS_SHARE
        fresh = due and self._transcribe.workers.idle
        if fresh:
            before, guess = self._recent.text, self._recent.decoded.tokens
            sound = bytes(self._sound[self._window :])
            self._recent = await self._transcribe(sound, guess)
            self._stable = stable_words(before, self._recent)
            spent_s = self._recent.cpu_s / HYPOTHESIS_SHARE
            self._next_hypothesis_at = max(now, self._next_hypothesis_at) + spent_s
        return replace(self._transcript(self._stable), fresh=fresh)

    async def pause(self) -> Transcript:
        """Transcribe all that was fed; closes a segment that is long enough."""
        size = len(self._sound)
        guess = (*self._open.decoded.tokens, *self._recent.decoded.tokens)
        self._begin_window(await self._transcribe(bytes(self._sound), guess), size)
        if size >= _size(CLOSE_AFTER_S):
            self._close(self._open, size)
        return self._transcript("")

    async def finish(self) -> Transcript:
        """Return the final text."""
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
        """Return the whole text; stable are all before the last pause, and `words`."""
        before = join_texts([*(each.text for each in self._closed), self._open.text])
        whole = join_texts([before, self._recent.text])
        stable = without_closing_mark(join_texts([before, words]))
        return Transcript(whole, stable, self._confidence())

    def _confidence(self) -> float | None:
        """Return the geometric mean over the tokens of all segments; 0 where one is a runaway.

        Where none has tokens, it is the confidence that there are no words.
        """
        segments = (*self._closed, self._open, self._recent)
        every = [each.decoded for each in segments if each.decoded.log_probabilities]
        decoded = [each for each in every if each.tokens] or every
        if not decoded:
            return None
        if any(each.runaway for each in decoded):
            return 0.0
        logs = [log for each in decoded for log in each.log_probabilities]
        return exp(sum(logs) / len(logs))


class _Transcribe:
    """Transcribes sound in the worker pool that all conversations share."""

    def __init__(
        self, network: MoonshineNetwork, workers: WorkerPool, clock: Clock, cpu_clock: Clock
    ) -> None:
        self.workers = workers
        self.clock = clock
        self._cpu_clock = cpu_clock
        self._network = network

    async def __call__(self, pcm: bytes, guess: Sequence[int] = ()) -> _Segment:
        """Transcribe `pcm`; `guess` are the tokens of its beginning, as far as they are known."""
        if not pcm:
            return _Segment()

        def work(token: CancelToken) -> _Segment:
            began = self._cpu_clock()
            segment = self._segment(pcm, guess, lambda: token.cancelled)
            return replace(segment, cpu_s=self._cpu_clock() - began)

        return await self.workers.run(work)

    def _segment(self, pcm: bytes, guess: Sequence[int], cancelled: Callable[[], bool]) -> _Segment:
        """Transcribe, blocking. Long sound without words is transcribed again in two halves."""
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
            join_texts([each.text for each in halves]),
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
        """Do nothing: the network belongs to the recognizer."""


class MoonshineRecognizer:
    """English speech to text. See `engines.ports.Recognizer`."""

    capabilities = RecognizerCapabilities(streaming=True, languages=("en",))

    def __init__(
        self,
        network: MoonshineNetwork,
        workers: int,
        clock: Clock = time.monotonic,
        cpu_clock: Clock = time.thread_time,
    ) -> None:
        self._workers = WorkerPool(ENGINE, workers=workers, queue=1024)
        self._transcribe = _Transcribe(network, self._workers, clock, cpu_clock)
        self._refused_languages: set[str] = set()

    def open(self, options: RecognitionOptions) -> MoonshineRecognition:
        """Open the recognizer of one conversation.

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
        """Accept no more work; a busy thread ends by itself."""
        self._workers.close()


def quietest_place(pcm: bytes, first_s: float = EARLIEST_CUT_S) -> int:
    """Return the end, in bytes, of the quietest `QUIET_WINDOW_S` from `first_s` on."""
    window = samples(QUIET_WINDOW_S)
    first = samples(first_s)
    sound = np.frombuffer(pcm, dtype="<i2")[first:].astype(np.float64)
    energy = np.concatenate([[0.0], np.cumsum(sound**2)])
    quiet = int(np.argmin(energy[window:] - energy[:-window]))
    return (first + quiet + window) * BYTES_PER_SAMPLE


def stable_words(before: str, segment: _Segment) -> str:
    """Return the stable first words of a segment; `before` is its former text."""
    words = segment.text.split()
    pairs = zip(words, before.split(), strict=False)
    alike = takewhile(lambda pair: _letters(pair[0]) == _letters(pair[1]), pairs)
    agreed = sum(1 for _ in alike)
    further = takewhile(lambda p: p >= PROBABLE, segment.word_probabilities[agreed:-1])
    return " ".join(words[: agreed + sum(1 for _ in further)])


def _letters(word: str) -> str:
    return "".join(filter(str.isalnum, word)).casefold()


def join_texts(texts: Sequence[str]) -> str:
    """Join texts, without empty ones."""
    return " ".join(filter(None, texts))


def without_closing_mark(text: str) -> str:
    """Return `text` up to its last letter: the mark behind it depends on what follows."""
    return text.rstrip(_CLOSING_MARKS)


def _size(seconds: float) -> int:
    """Return the bytes of `seconds` of sound."""
    return round(seconds * INPUT_RATE) * BYTES_PER_SAMPLE


# --- building ----------------------------------------------------------------------------


_PACKAGE = "moonshine_cpp-0.1.4.data/purelib/moonshine_cpp"

WEIGHTS = (
    Weights(
        name="moonshine",
        description="speech recognizer Moonshine base, English",
        version="0.1.4",
        license="MIT",
        origin="huggingface.co/UsefulSensors/moonshine (the wheel is its makers' own)",
        disk_bytes=217_230_755,
        wheels=(
            Wheel(
                distribution="moonshine-cpp",
                version="0.1.4",
                filename="moonshine_cpp-0.1.4-py3-none-manylinux2014_x86_64.whl",
                sha256="f7afc662bdd3ef98815ee3b940438b456e77d5a77cea5396ed9c572785412ebd",
                size_bytes=54_645_697,
                members=tuple(f"{_PACKAGE}/models/base-en/{name}" for name in SOURCE_FILES),
            ),
        ),
        convert="vivavoce.engines.moonshine_graphs:convert",
        converted_files=CONVERTED_FILES,
    ),
)


@dataclass(frozen=True, slots=True)
class MoonshineSettings:
    """`path` is a folder of converted graphs in place of the fetched one.

    `workers` are the threads that all sessions share; 0 for half of the cores.
    """

    path: ExistingFolder | None = None
    workers: Annotated[int, Field(ge=0)] = 0


def required_weights(settings: Settings) -> tuple[str, ...]:
    """Return the names of the weights that it loads under these settings."""
    return () if settings.get("path") else ("moonshine",)


async def create(settings: Settings, host: EngineHost) -> MoonshineRecognizer:
    """Build and load the recognizer. Raises `ConfigError`, `EngineMissing`, `EngineError`."""
    read = read_settings(ENGINE, settings, MoonshineSettings)
    network = await load_network(read.path or host.weights("moonshine"))
    return MoonshineRecognizer(network, read.workers or default_workers())


async def load_network(folder: Path) -> MoonshineNetwork:
    """Load the network in a thread of its own (about a second). Raises `EngineError`."""
    loader = WorkerPool(f"{ENGINE} load", workers=1)
    try:
        return await loader.run(lambda _: MoonshineNetwork(folder))
    except OSError as error:
        raise EngineError(ENGINE, f"{error.filename} can't be read: {error.strerror}") from error
    finally:
        loader.close()


def default_workers() -> int:
    """Return half of the cores, at least one: the language model needs the others."""
    return max(1, (os.cpu_count() or 1) // 2)
