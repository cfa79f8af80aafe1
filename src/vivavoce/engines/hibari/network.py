"""The acoustic model of hibari: text to phonemes to vocoder parameters.

One run of the network gives, for every frame of 12.5 ms, the spectral envelopes and the pitch of
which `hibari.dsp` makes the sound, so a voice can be changed between the two (`timbre.py`).
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivavoce.engines.libraries import import_onnxruntime, missing_library
from vivavoce.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

ENGINE = "synthesizer.hibari"

log = logging.getLogger("vivavoce.engines.hibari")

_OUTPUTS = ("lh", "theta", "ln", "lr", "phi", "f0")
_ENDS = b"/CumSum_output_0"
"""The one cumulative sum of the graph: where each phoneme ends, in steps of two frames."""

_STEP_S = 0.025

_LONGEST_PHONEMES = 400
"""What the network was trained on in one run; the package cuts there too."""

_LONG_NUMBER = re.compile(r"\d{16,}")


@dataclass(frozen=True, slots=True)
class Frames:
    """Vocoder parameters of one run: envelopes and phases [601, frames], pitch in Hz [frames]."""

    harmonic: Floats
    harmonic_phase: Floats
    noise: Floats
    free: Floats
    free_phase: Floats
    pitch: Floats
    group_starts: tuple[float, ...]
    """When each group of phonemes between spaces begins, in seconds; empty if not known."""


class AcousticModel:
    """One model file of hibari with its text analysis. Any thread may call it."""

    def __init__(self, path: Path | None = None, british: bool = False, g2p: Any = None) -> None:
        """Load the model at `path`, or the one inside the package. `g2p`: to be shared.

        Raises `EngineMissing` if the package is absent, `EngineError` for an unreadable model.
        """
        import_onnxruntime(ENGINE)  # first, because hibari imports it with its reports on
        try:
            import hibari
            import onnxruntime  # noqa: F401  the package imports it when a model is loaded
        except ImportError as error:
            raise missing_library(ENGINE, error, "hibari") from error
        path = path or Path(hibari.__file__).parent / "assets" / "hibari.onnx"
        # `voice` only selects the pronunciation here: a model that is given is never fetched.
        voice = "emma" if british else "heart"
        try:
            graph = _with_phoneme_ends(path.read_bytes())
            self._hibari = hibari.Hibari(voice=voice, model=graph, threads=1, g2p=g2p)
            self.g2p = self._hibari.g2p
        except Exception as error:  # onnxruntime's own errors share no public base
            raise EngineError(ENGINE, f"{path} can't be loaded: {error}.") from error
        self._session = self._hibari.sess
        self._outputs = [output.name for output in self._session.get_outputs()]

    def phonemes(self, text: str) -> list[str]:
        """Phonemes of `text`, words separated by spaces; in several strings if it is very long."""
        readable = pronounceable(text)
        try:
            phonemes = self.g2p(readable)
        except Exception:  # it is not made for every text; what remains is still worth saying
            log.debug("text can't be read as a whole", extra={"text": readable}, exc_info=True)
            phonemes = " ".join(filter(None, map(self._word_phonemes, readable.split())))
        if len(phonemes) <= _LONGEST_PHONEMES:
            return [phonemes] if phonemes.strip() else []
        return [" ".join(words) for words in _cut_words(phonemes.split(), _LONGEST_PHONEMES)]

    def _word_phonemes(self, word: str) -> str:
        try:
            return str(self.g2p(word))
        except Exception:
            return ""

    def frames(self, phonemes: str, pace: float) -> Frames | None:
        """Vocoder parameters for `phonemes`; `None` if none of them is known. Blocks.

        About 7 ms of CPU for a second of speech.
        """
        import numpy as np

        ids = self._hibari.ids(phonemes)
        if len(ids) < 3:
            return None
        feed = {"ids": np.array([ids], np.int64), "speed": np.array([pace], np.float32)}
        found = dict(zip(self._outputs, self._session.run(None, feed), strict=True))
        ends = found.get(_ENDS.decode())
        known = "".join(character for character in phonemes if character in self._hibari.vocab)
        starts: list[float] = []
        if ends is not None and ends.shape == (len(ids),):
            starts = _group_starts(known, ends.tolist())
        lh, theta, ln, lr, phi, f0 = (found[name][0] for name in _OUTPUTS)
        return Frames(lh, theta, ln, lr, phi, f0, tuple(starts))


def _with_phoneme_ends(model: bytes) -> bytes:
    """The model with one more output: where each phoneme ends.

    A message that is encoded twice is merged by protobuf, so the output is appended in the
    encoding of ONNX: field 7 of the model (graph), 12 (output), 1 (name). A model without that
    value stays as it is.
    """
    if _ENDS not in model:
        return model
    return model + _field(7, _field(12, _field(1, _ENDS)))


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2, len(content))) + content


def _group_starts(phonemes: str, ends: list[int]) -> list[float]:
    """`ends` has one value more at the front and at the back: the silence around the phonemes."""
    starts = []
    for index, character in enumerate(phonemes):
        if character != " " and (index == 0 or phonemes[index - 1] == " "):
            starts.append(ends[index] * _STEP_S)
    return starts


def _cut_words(words: Iterable[str], longest: int) -> Iterator[list[str]]:
    """The words in groups of at most `longest` characters, or of a single word."""
    group: list[str] = []
    size = 0
    for word in words:
        if group and size + len(word) > longest:
            yield group
            group, size = [], 0
        group.append(word)
        size += len(word) + 1
    yield group


def pronounceable(text: str) -> str:
    """`text` without what the text analysis can't read.

    Letters of other scripts become spaces (it would spell Cyrillic by the names of letters),
    digits of other scripts ASCII ones, and numbers of more than 15 digits are read digit by digit.
    """
    if not text.isascii():
        text = "".join(map(_pronounceable_character, text))
    return _LONG_NUMBER.sub(lambda found: " ".join(found[0]), text)


def _pronounceable_character(character: str) -> str:
    if character.isascii() or character in "½¼¾²³":
        return character
    if (digit := unicodedata.digit(character, None)) is not None:
        return str(digit)
    if character.isalnum() and not unicodedata.name(character, "").startswith("LATIN"):
        return " "
    return character
