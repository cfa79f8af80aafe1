"""Synthesizer on the `hibari` package: one English model, converted into thirty voices.

One run of the network turns phonemes into the spectral envelopes and the pitch of every frame of
12.5 ms, of which `hibari.dsp` makes the sound. Envelopes and pitch are predicted apart, so each can
be moved without the other: pitch to the voice's own mean, the envelopes along the frequency axis,
as a longer or shorter vocal tract moves them. Other languages are spoken by another engine.

Four voices of hibari's author have a model each, on the publisher's hub only. They are optional and
never fetched unasked; after `vivavoce pull hibari-kore`, Kore speaks with her own model. Sizes and
hashes are those of the package's `voices.json`, version 0.2.1.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import unicodedata
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from vivavoce.domain.audio import OUTPUT_RATE
from vivavoce.domain.setup import DEFAULT_VOICE, VOICES, canonical_voice
from vivavoce.engines.ports import (
    EngineHost,
    Settings,
    Speech,
    Synthesizer,
    SynthesizerCapabilities,
)
from vivavoce.engines.settings import EngineChoice, ExistingFile, read_settings
from vivavoce.engines.speech_text import split_sentences
from vivavoce.engines.synthesis import (
    VoiceParameters,
    estimated_marks,
    gain_to_level,
    marks_of_groups,
    pause_after,
    resolve_voice,
    silence,
    speech_pieces,
    trim_silence,
    voice_parameters,
)
from vivavoce.engines.weights import PublishedFile, Weights, import_onnxruntime
from vivavoce.engines.workers import CancelToken, WorkerPool
from vivavoce.errors import EngineError, EngineMissing
from vivavoce.install_hints import missing_library

Floats: TypeAlias = NDArray[np.float32]

# --- the acoustic model ------------------------------------------------------------------

ENGINE = "synthesizer.hibari"

_OUTPUTS = ("lh", "theta", "ln", "lr", "phi", "f0")
_PHONEME_ENDS_OUTPUT = b"/CumSum_output_0"
"""The one cumulative sum of the graph: where each phoneme ends, in steps of two frames."""

_STEP_S = 0.025

_MAX_RUN_PHONEMES = 400
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
        """Return the phonemes of `text`, words separated by spaces; very long ones in pieces."""
        readable = pronounceable(text)
        try:
            phonemes = self.g2p(readable)
        except Exception:  # it is not made for every text; what remains is still worth saying
            log.debug("text can't be read as a whole", extra={"text": readable}, exc_info=True)
            phonemes = " ".join(filter(None, map(self._word_phonemes, readable.split())))
        if len(phonemes) <= _MAX_RUN_PHONEMES:
            return [phonemes] if phonemes.strip() else []
        return [" ".join(words) for words in _cut_words(phonemes.split(), _MAX_RUN_PHONEMES)]

    def _word_phonemes(self, word: str) -> str:
        try:
            return str(self.g2p(word))
        except Exception:
            return ""

    def frames(self, phonemes: str, pace: float) -> VocoderFrames | None:
        """Return the vocoder parameters of `phonemes`; `None` if none of them is known. Blocks.

        About 7 ms of CPU for a second of speech.
        """
        ids = self._hibari.ids(phonemes)
        if len(ids) < 3:
            return None
        feed = {"ids": np.array([ids], np.int64), "speed": np.array([pace], np.float32)}
        found = dict(zip(self._outputs, self._session.run(None, feed), strict=True))
        ends = found.get(_PHONEME_ENDS_OUTPUT.decode())
        known = "".join(character for character in phonemes if character in self._hibari.vocab)
        starts: list[float] = []
        if ends is not None and ends.shape == (len(ids),):
            starts = _group_starts(known, ends.tolist())
        lh, theta, ln, lr, phi, f0 = (found[name][0] for name in _OUTPUTS)
        return VocoderFrames(lh, theta, ln, lr, phi, f0, tuple(starts))


def _with_phoneme_ends(model: bytes) -> bytes:
    """Add an output to the model: where each phoneme ends.

    A message that is encoded twice is merged by protobuf, so the output is appended in the
    encoding of ONNX: field 7 of the model (graph), 12 (output), 1 (name). A model without that
    value stays as it is.
    """
    if _PHONEME_ENDS_OUTPUT not in model:
        return model
    return model + _field(7, _field(12, _field(1, _PHONEME_ENDS_OUTPUT)))


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2, len(content))) + content


def _group_starts(phonemes: str, ends: list[int]) -> list[float]:
    """Return when each group begins; `ends` also has the silence before and after the phonemes."""
    starts = []
    for index, character in enumerate(phonemes):
        if character != " " and (index == 0 or phonemes[index - 1] == " "):
            starts.append(ends[index] * _STEP_S)
    return starts


def _cut_words(words: Iterable[str], longest: int) -> Iterator[list[str]]:
    """Yield the words in groups of at most `longest` characters, or of a single word."""
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
    """Return `text` without what the text analysis can't read.

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

_PITCH_WARP_LIMIT = 1.3
"""The envelope follows the pitch up to 1.3 times its mean, and the formants from 1 kHz on.

The network's envelope has a peak where the model's own fundamental is; left in its place, it
makes one or two harmonics of a low voice boom (loudness of clauses spread by 1.7 dB instead of
0.4, DNSMOS 2.8 instead of 3.2).
"""
_FORMANTS_HZ = 1000.0

_SMOOTHING = (0.25, 0.75, 1.0, 0.75, 0.25)
"""Weights of neighbouring bins: closes the notches that the envelope has between harmonics of the
model's own pitch (DNSMOS of a low voice 3.0 instead of 2.8)."""


def convert_voice(frames: VocoderFrames, voice: VoiceParameters) -> VocoderFrames:
    """Convert `frames` to the voice described by `voice`."""
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


def render_sound(frames: VocoderFrames) -> Floats:
    """Return the sound, 24 kHz, full scale at 1. Blocks; 4 ms of CPU for a second of speech."""
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
        top = _BINS * _BIN_HZ
        voice_hz = (0.0, _PITCH_WARP_LIMIT * pitch_hz, _FORMANTS_HZ * formant, top * formant)
        model_hz = (0.0, _PITCH_WARP_LIMIT * MODEL_PITCH_HZ, _FORMANTS_HZ, top)
        at = np.interp(np.arange(_BINS) * _BIN_HZ, voice_hz, model_hz) / _BIN_HZ
        at = np.minimum(at, _BINS - 1)
        self._low = at.astype(np.intp)
        self._high = np.minimum(self._low + 1, _BINS - 1)
        self._share = (at - self._low).astype(np.float32)[:, None]
        self._nearest = np.round(at).astype(np.intp)

    @staticmethod
    @lru_cache(maxsize=64)
    def of(pitch_hz: float, formant: float) -> _Warp:
        """Return the stretch for a voice, made once."""
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
    reach = len(_SMOOTHING) // 2
    padded = np.pad(envelope, ((reach, reach), (0, 0)), mode="edge")
    smoothed: Floats = np.zeros_like(envelope)
    for shift, weight in enumerate(_SMOOTHING):
        smoothed += np.float32(weight / sum(_SMOOTHING)) * padded[shift : shift + _BINS]
    return smoothed


@lru_cache(maxsize=64)
def _tilt(db: float) -> Floats:
    """Return a slope in dB an octave around 1 kHz, level outside 250 to 8000 Hz; in nepers."""
    octaves = np.log2(np.clip(np.arange(_BINS) * _BIN_HZ, 250, 8000) / 1000)
    slope: Floats = (octaves * db / _NEPER_DB).astype(np.float32)[:, None]
    return slope


@lru_cache(maxsize=64)
def _breath(db: float) -> Floats:
    """Return the gain of breath: from 500 Hz on, whole from 2 kHz on; in nepers."""
    share = np.clip((np.arange(_BINS) * _BIN_HZ - 500) / 1500, 0, 1)
    return (share * db / _NEPER_DB).astype(np.float32)[:, None]


# --- further voices ----------------------------------------------------------------------

_HUB = "https://huggingface.co/maureesewilliams/hibari/resolve/main/voices/"


def _voice(name: str, description: str, file: str, size_bytes: int, sha256: str) -> Weights:
    return Weights(
        name=f"hibari-{name}",
        description=f"further voice of hibari, {description}",
        version="0.2.1",
        license="Apache-2.0",
        origin="huggingface.co/maureesewilliams/hibari",
        wheels=(),
        disk_bytes=size_bytes + 20_000,
        license_text="Apache-2.0",
        joined=PublishedFile(file, sha256, size_bytes, _HUB + file),
    )


FURTHER_VOICES = {
    "Kore": _voice(
        "kore", "an American woman, for Kore", "af_kore.int8.onnx", 7_936_868,
        "346885752673e45d42f9864c9e2432094bc4b6385df060d4b83273da764d2fa9",
    ),
    "Fenrir": _voice(
        "fenrir", "an American man, for Fenrir", "am_fenrir_v2.int8.onnx", 8_031_158,
        "f59fbd87908c91f827bc21b1b89443757b9a8580db9eee20aa948deb731321f4",
    ),
    "Erinome": _voice(
        "emma", "a British woman, for Erinome", "bf_emma.int8.onnx", 7_936_868,
        "f709f0488ee63b583a22189a955aaf4257b9806dd330be3490661e53af0a89c1",
    ),
    "Iapetus": _voice(
        "fable", "a British man, for Iapetus", "bm_fable.int8.onnx", 7_936_868,
        "c28529302f2d27cd12f62625c24425888c4e3c2675583100ec530259136b8bc6",
    ),
}  # fmt: skip
"""Weights of a further voice by the Live API voice that it speaks for where it is present."""

WEIGHTS = tuple(FURTHER_VOICES.values())

# --- the synthesizer ---------------------------------------------------------------------

log = logging.getLogger(__name__)

_MAX_RUN_CHARS = 240
"""Characters in one run of the network: about 15 s of sound, made in 0.2 s of CPU."""

_CALIBRATION = "How is the weather in London today?"
"""A sentence of mixed sounds, by which the level of a voice is set."""

_OTHER_LANGUAGES = "espeak"


class HibariSynthesizer:
    """Speaks English in thirty voices made of one model, or of a model each in `voice_models`.

    `fallback_synthesizer` speaks other languages; without it, all text is read as English.
    """

    def __init__(
        self,
        model: AcousticModel,
        voice_models: Mapping[str, AcousticModel] | None = None,
        fallback_synthesizer: Synthesizer | None = None,
        workers: int = 1,
    ) -> None:
        languages = (
            fallback_synthesizer.capabilities.languages if fallback_synthesizer is not None else ()
        )
        self.capabilities = SynthesizerCapabilities(
            voices=VOICES, languages=("en", *(code for code in languages if code != "en"))
        )
        self._model = model
        self._voice_models = dict(voice_models or {})
        self._fallback_synthesizer = fallback_synthesizer
        self._workers = WorkerPool(ENGINE, workers=workers)
        self._gains: dict[str, float] = {}
        self._read_as_english: set[str] = set()

    async def speak(self, text: str, voice: str, language: str = "") -> AsyncIterator[Speech]:
        """Yield the sound of `text` by clauses, in pieces of 100 ms.

        A clause of 4, 8 or 16 words takes 20, 35 or 65 ms of CPU before its first piece.
        Letters of other scripts are left out of the sound and kept in the text.
        """
        if (fallback_synthesizer := self._engine_for(language)) is not None:
            pieces: Any = fallback_synthesizer.speak(text, voice, language)
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
            return
        name = resolve_voice(voice)
        for clause in split_sentences(text, _MAX_RUN_CHARS):
            for piece in await self._workers.run(partial(self.synthesize, clause, name)):
                yield piece

    async def aclose(self) -> None:
        self._workers.close()
        if self._fallback_synthesizer is not None:
            await self._fallback_synthesizer.aclose()

    def synthesize(self, clause: str, voice: str, token: CancelToken | None = None) -> list[Speech]:
        """Return the pieces of one clause in one of the thirty voices. Blocks."""
        model = self._voice_models.get(voice, self._model)
        sounds: list[Floats] = []
        starts: list[float] = []
        elapsed_s = 0.0
        for sentence in model.phonemes(clause):
            if token is not None and token.cancelled:
                return []
            made = self._render(sentence, voice)
            if made is None:
                continue
            sound, group_starts = made
            sounds.append(sound)
            starts += [elapsed_s + start for start in group_starts]
            elapsed_s += len(sound) / OUTPUT_RATE
        kept, cut_s = (
            trim_silence(np.concatenate(sounds)) if sounds else (np.zeros(0, np.float32), 0.0)
        )
        if not len(kept):
            return [Speech(silence(pause_after(clause)), clause)]
        if starts:
            begun = [start - cut_s for start in starts]
            marks = marks_of_groups(clause, begun, partial(_count_groups, model))
        else:
            marks = estimated_marks(clause, len(kept) / OUTPUT_RATE)
        return list(speech_pieces(clause, kept, marks))

    def _render(
        self, phonemes: str, voice: str, level: bool = True
    ) -> tuple[Floats, tuple[float, ...]] | None:
        """Return the sound of a sentence at the common loudness, and the start of each word."""
        if voice in self._voice_models:
            frames = self._voice_models[voice].frames(phonemes, pace=1.0)
            converted = frames
        else:
            parameters = voice_parameters(voice)
            frames = self._model.frames(phonemes, parameters.pace)
            converted = frames and convert_voice(frames, parameters)
        if converted is None:
            return None
        sound = render_sound(converted)
        return (sound * self._gain(voice) if level else sound), converted.group_starts

    def _gain(self, voice: str) -> float:
        """Return the gain of a voice to the common loudness, measured at its first use."""
        if voice not in self._gains:
            model = self._voice_models.get(voice, self._model)
            made = self._render(model.phonemes(_CALIBRATION)[0], voice, level=False)
            self._gains[voice] = gain_to_level(made[0]) if made else 1.0
        return self._gains[voice]

    def _engine_for(self, language: str) -> Synthesizer | None:
        """Return the engine for another language; `None` for English or if there is none."""
        base = language.casefold().replace("_", "-").partition("-")[0]
        if base in ("", "en"):
            return None
        if self._fallback_synthesizer is None and base not in self._read_as_english:
            self._read_as_english.add(base)
            log.warning("language is read as English", extra={"language": base})
        return self._fallback_synthesizer


def _count_groups(model: AcousticModel, word: str) -> int:
    return sum(len(sentence.split()) for sentence in model.phonemes(word))


def _known_voice(name: str) -> str:
    if (voice := canonical_voice(name)) is None:
        raise ValueError(f"names no voice: {name!r} (see `vivavoce voices`)")
    return voice


@dataclass(frozen=True, slots=True)
class HibariSettings:
    """`model` is a model file in place of the package's; `voices` names files of single voices.

    `other_languages` is the engine for languages but English, where it is installed; false for
    none. `workers` is the number of threads.
    """

    model: ExistingFile | None = None
    voices: Mapping[Annotated[str, AfterValidator(_known_voice)], ExistingFile] = field(
        default_factory=dict
    )
    workers: Annotated[int, Field(ge=1)] = 1 if (os.cpu_count() or 1) <= 2 else 2
    other_languages: EngineChoice | Literal[False] = _OTHER_LANGUAGES


async def create(settings: Settings, host: EngineHost) -> HibariSynthesizer:
    """Build the engine. Raises `ConfigError`, `EngineMissing` without the package."""
    read = read_settings(ENGINE, settings, HibariSettings)
    voice_models = {**_present_voices(host), **read.voices}
    fallback_synthesizer = await _other_languages(read.other_languages, host)
    try:
        return await asyncio.to_thread(
            _load, read.model, voice_models, fallback_synthesizer, read.workers
        )
    except BaseException:
        if fallback_synthesizer is not None:
            await fallback_synthesizer.aclose()
        raise


def required_parts(settings: Settings) -> tuple[tuple[str, str | Settings], ...]:
    """Return the engine for other languages."""
    choice = settings.get("other_languages", _OTHER_LANGUAGES)
    return () if choice is False else (("synthesizer", choice),)


def _present_voices(host: EngineHost) -> dict[str, Path]:
    """Return the model files of the further voices that are on this machine."""
    found = {}
    for voice, weights in FURTHER_VOICES.items():
        with suppress(EngineMissing):
            found[voice] = host.weights(weights.name) / weights.files[0]
    return found


def _load(
    path: Path | None,
    voices: Mapping[str, Path],
    fallback_synthesizer: Synthesizer | None,
    workers: int,
) -> HibariSynthesizer:
    model = AcousticModel(path)
    voice_models = {name: _own_model(file, model) for name, file in voices.items()}
    engine = HibariSynthesizer(model, voice_models, fallback_synthesizer, workers)
    engine.synthesize("Ready.", DEFAULT_VOICE)  # first uses cost 100 ms that no user should wait
    return engine


def _own_model(path: Path, model: AcousticModel) -> AcousticModel:
    """Load a voice's own model, named like Kokoro's: `bf_emma` is British, `af_kore` is not."""
    if path.name.startswith("b"):
        return AcousticModel(path, british=True)
    return AcousticModel(path, g2p=model.g2p)


async def _other_languages(choice: Any, host: EngineHost) -> Synthesizer | None:
    if choice is False:
        return None
    try:
        engine: Synthesizer = await host.build("synthesizer", choice)
    except EngineMissing as missing:
        log.info("other languages are read as English", extra={"reason": str(missing)})
        return None
    return engine
