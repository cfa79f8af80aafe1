"""Moonshine's encoder and decoder on onnxruntime: 16 kHz sound in, tokens and text out.

The encoder turns a whole piece of sound into hidden states [1, T, 416] at 27 ms of CPU for each
second of it. The decoder is autoregressive: `first` reads any number of tokens at once, `step`
one more token with the keys and values of those before it ([1, 8, tokens, 52] for each of eight
layers), 8 to 10 ms each.

A *guess*, the tokens of an earlier hypothesis of the same and shorter sound, is read by `first` in
one run together with the start token. What the network itself would have said is kept up to the
first difference, and only what is new costs a step: 12 to 35 ms in place of 52 to 286. The result
is nearly that of decoding token by token: products are quantized with the range of all tokens of a
run, so one in nine hypotheses of growing sound differs, mostly in a mark or a capital.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, exp
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vivavoce.domain.audio import INPUT_RATE
from vivavoce.engines.libraries import load_session
from vivavoce.engines.moonshine.graphs import EMBEDDING, ENCODER, FIRST, STEP, TOKENIZER
from vivavoce.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENGINE = "recognizer.moonshine"

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


class Network:
    """The three graphs and the vocabulary. Holds no state of a stream; any thread may call it."""

    def __init__(self, folder: Path) -> None:
        """Load the files of `graphs.CONVERTED_FILES`. Raises `EngineMissing`, `EngineError`."""
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
        """The tokens of 16-bit PCM at 16 kHz. Blocking; ends early once `cancelled` says so."""
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
        """The words of tokens, without blanks around them."""
        raw = b"".join(self._vocabulary[token] for token in tokens if token > END)
        return raw.decode("utf-8", "replace").replace("\u2581", " ").strip()

    def word_probabilities(self, decoded: Decoded) -> list[float]:
        """The least probability among the tokens of each word, in order."""
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
            if length := repeated(tokens):
                return Decoded(tuple(tokens[:length]), tuple(logs[:length]), runaway=True)
            token, log_probability = self._next(tokens[-1], past)
            logs.append(log_probability)
            if token == END:
                break
            tokens.append(token)
        return Decoded(tuple(tokens), tuple(logs))

    def _next(self, token: int, past: list[Any]) -> tuple[int, float]:
        """The token after `token`; `past` is brought up to date."""
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


def repeated(tokens: Sequence[int]) -> int:
    """Count the tokens up to the end of a runaway's first repetition; 0 without a runaway."""
    for length in range(1, LONGEST_PATTERN + 1):
        times = SHORT_REPEATS if length <= 2 else REPEATS
        tail = list(tokens[-times * length :])
        if len(tail) == times * length and tail == tail[:length] * times:
            return len(tokens) - (times - 1) * length
    return 0


def read_vocabulary(data: bytes) -> list[bytes]:
    """The bytes of every token of `tokenizer.bin`.

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
