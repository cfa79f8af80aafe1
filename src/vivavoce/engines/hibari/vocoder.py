"""The acoustic model of hibari, and voice conversion on its vocoder parameters.

One run of the network turns phonemes into the spectral envelopes and the pitch of every frame of
12.5 ms, of which `hibari.dsp` makes the sound. Envelopes and pitch are predicted apart, so each can
be moved without the other: pitch to the voice's own mean, the envelopes along the frequency axis,
as a longer or shorter vocal tract moves them.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivavoce.engines.libraries import import_onnxruntime, missing_library
from vivavoce.engines.synthesis import VoiceParameters
from vivavoce.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

# --- the acoustic model ------------------------------------------------------------------

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
class VocoderFrames:
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

    def frames(self, phonemes: str, pace: float) -> VocoderFrames | None:
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
        return VocoderFrames(lh, theta, ln, lr, phi, f0, tuple(starts))


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


# --- voice conversion --------------------------------------------------------------------

MODEL_PITCH_HZ = 195.0
"""Geometric mean of the pitch of the model in the package, over six sentences."""

_BINS = 601
_BIN_HZ = 20.0
_VOICED_HZ = 40.0
_NEPER_DB = 8.686

_FUNDAMENTAL = 1.3
"""The envelope follows the pitch up to 1.3 times its mean, and the formants from 1 kHz on.

The network's envelope has a peak where the model's own fundamental is; left in its place, it
makes one or two harmonics of a low voice boom (loudness of clauses spread by 1.7 dB instead of
0.4, DNSMOS 2.8 instead of 3.2).
"""
_FORMANTS_HZ = 1000.0

_SMOOTHING = (0.25, 0.75, 1.0, 0.75, 0.25)
"""Weights of neighbouring bins: closes the notches that the envelope has between harmonics of the
model's own pitch (DNSMOS of a low voice 3.0 instead of 2.8)."""


def convert(frames: VocoderFrames, voice: VoiceParameters) -> VocoderFrames:
    """`frames` as the voice described by `voice` would have them."""
    import numpy as np

    voiced = frames.pitch > _VOICED_HZ
    ratio = voice.pitch_hz / MODEL_PITCH_HZ
    pitch = frames.pitch
    if voiced.any():
        middle = np.exp(np.log(pitch[voiced]).mean())
        moved = middle * (np.maximum(pitch, 1) / middle) ** voice.range
        pitch = np.where(voiced, moved, pitch) * np.float32(ratio)
    warp = _Warp.of(voice.pitch_hz, voice.formant)
    tilt = _tilt(voice.tilt_db)
    # Twice as many harmonics of the same size would be twice the power.
    level = np.float32(0.5 * np.log(ratio))
    noise = warp.envelope(frames.noise) + tilt
    if voice.breath_db:
        noise += _breath(voice.breath_db) * voiced
    return replace(
        frames,
        harmonic=warp.envelope(_smooth(frames.harmonic)) + (tilt + level),
        harmonic_phase=warp.phase(frames.harmonic_phase),
        noise=noise,
        free=warp.envelope(frames.free) + tilt,
        free_phase=warp.phase(frames.free_phase),
        pitch=pitch.astype(np.float32),
    )


def render(frames: VocoderFrames) -> Floats:
    """The sound, 24 kHz, full scale at 1. Blocks, about 4 ms of CPU for a second of speech."""
    import numpy as np
    from hibari import dsp

    # The same noise every time: a text always sounds the same.
    noise = np.random.default_rng(0)
    sound: Floats = dsp.synth(
        frames.harmonic, frames.harmonic_phase, frames.noise, frames.free, frames.free_phase,
        frames.pitch, noise,
    )  # fmt: skip
    return sound


class _Warp:
    """A stretch of the frequency axis: which bins of the model a bin of the voice comes from."""

    def __init__(self, pitch_hz: float, formant: float) -> None:
        import numpy as np

        top = _BINS * _BIN_HZ
        voice_hz = (0.0, _FUNDAMENTAL * pitch_hz, _FORMANTS_HZ * formant, top * formant)
        model_hz = (0.0, _FUNDAMENTAL * MODEL_PITCH_HZ, _FORMANTS_HZ, top)
        at = np.interp(np.arange(_BINS) * _BIN_HZ, voice_hz, model_hz) / _BIN_HZ
        at = np.minimum(at, _BINS - 1)
        self._low = at.astype(np.intp)
        self._high = np.minimum(self._low + 1, _BINS - 1)
        self._share = (at - self._low).astype(np.float32)[:, None]
        self._nearest = np.round(at).astype(np.intp)

    @staticmethod
    @lru_cache(maxsize=64)
    def of(pitch_hz: float, formant: float) -> _Warp:
        """The stretch for a voice; made once."""
        return _Warp(pitch_hz, formant)

    def envelope(self, values: Floats) -> Floats:
        """Log magnitudes [601, frames], in proportion between bins."""
        low = values[self._low]
        moved: Floats = low + (values[self._high] - low) * self._share
        return moved

    def phase(self, values: Floats) -> Floats:
        """Phases [601, frames], of the nearest bin."""
        moved: Floats = values[self._nearest]
        return moved


def _smooth(envelope: Floats) -> Floats:
    import numpy as np

    reach = len(_SMOOTHING) // 2
    padded = np.pad(envelope, ((reach, reach), (0, 0)), mode="edge")
    smoothed: Floats = np.zeros_like(envelope)
    for shift, weight in enumerate(_SMOOTHING):
        smoothed += np.float32(weight / sum(_SMOOTHING)) * padded[shift : shift + _BINS]
    return smoothed


@lru_cache(maxsize=64)
def _tilt(db: float) -> Floats:
    """A slope in dB an octave around 1 kHz, level below 250 Hz and above 8 kHz; in nepers."""
    import numpy as np

    octaves = np.log2(np.clip(np.arange(_BINS) * _BIN_HZ, 250, 8000) / 1000)
    slope: Floats = (octaves * db / _NEPER_DB).astype(np.float32)[:, None]
    return slope


@lru_cache(maxsize=64)
def _breath(db: float) -> Floats:
    """Noise from 500 Hz on, whole from 2 kHz on; in nepers."""
    import numpy as np

    share = np.clip((np.arange(_BINS) * _BIN_HZ - 500) / 1500, 0, 1)
    return (share * db / _NEPER_DB).astype(np.float32)[:, None]
