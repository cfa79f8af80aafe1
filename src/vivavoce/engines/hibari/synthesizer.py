"""The `Synthesizer` over hibari: English in thirty voices, other languages by another engine.

Four voices of hibari's author have a model each, on the publisher's hub only. They are optional and
never fetched unasked; after `vivavoce pull hibari-kore`, Kore speaks with her own model. Sizes and
hashes are those of the package's `voices.json`, version 0.2.1.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from vivavoce.domain.audio import OUTPUT_RATE
from vivavoce.domain.voices import DEFAULT_VOICE, VOICES, canonical_voice
from vivavoce.engines.hibari import vocoder
from vivavoce.engines.hibari.vocoder import ENGINE, AcousticModel
from vivavoce.engines.ports import (
    EngineHost,
    Settings,
    Speech,
    Synthesizer,
    SynthesizerCapabilities,
)
from vivavoce.engines.settings import EngineChoice, ExistingFile, read_settings
from vivavoce.engines.synthesis import (
    estimated_marks,
    gain_to_level,
    marks_of_groups,
    pause_after,
    resolve_voice,
    silence,
    speech_pieces,
    trim,
    voice_parameters,
)
from vivavoce.engines.text import split_sentences
from vivavoce.engines.weights import PublishedFile, Weights
from vivavoce.engines.workers import CancelToken, WorkerPool
from vivavoce.errors import EngineMissing

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


WEIGHTS = (
    _voice(
        "kore", "an American woman, for Kore", "af_kore.int8.onnx", 7_936_868,
        "346885752673e45d42f9864c9e2432094bc4b6385df060d4b83273da764d2fa9",
    ),
    _voice(
        "fenrir", "an American man, for Fenrir", "am_fenrir_v2.int8.onnx", 8_031_158,
        "f59fbd87908c91f827bc21b1b89443757b9a8580db9eee20aa948deb731321f4",
    ),
    _voice(
        "emma", "a British woman, for Erinome", "bf_emma.int8.onnx", 7_936_868,
        "f709f0488ee63b583a22189a955aaf4257b9806dd330be3490661e53af0a89c1",
    ),
    _voice(
        "fable", "a British man, for Iapetus", "bm_fable.int8.onnx", 7_936_868,
        "c28529302f2d27cd12f62625c24425888c4e3c2675583100ec530259136b8bc6",
    ),
)  # fmt: skip

FURTHER_VOICES = {
    "Kore": "hibari-kore",
    "Fenrir": "hibari-fenrir",
    "Erinome": "hibari-emma",
    "Iapetus": "hibari-fable",
}
"""The Live API voices that a further voice speaks for where it is present, by its weights."""


def model_file(weights: str) -> str:
    """The name of the one file of `weights`."""
    return next(each.files[0] for each in WEIGHTS if each.name == weights)


# --- the synthesizer ---------------------------------------------------------------------

log = logging.getLogger("vivavoce.engines.hibari")

_LONGEST = 240
"""Characters in one run of the network: about 15 s of sound, made in 0.2 s of CPU."""

_CALIBRATION = "How is the weather in London today?"
"""A sentence of mixed sounds, by which the level of a voice is set."""

_OTHER_LANGUAGES = "espeak"


class HibariSynthesizer:
    """Speaks English in thirty voices made of one model; `own` voices have a model each.

    `others` speaks what is asked for in another language; without it, all is read as English.
    """

    def __init__(
        self,
        model: AcousticModel,
        own: Mapping[str, AcousticModel] | None = None,
        others: Synthesizer | None = None,
        workers: int = 1,
    ) -> None:
        languages = others.capabilities.languages if others is not None else ()
        self.capabilities = SynthesizerCapabilities(
            voices=VOICES, languages=("en", *(code for code in languages if code != "en"))
        )
        self._model = model
        self._own = dict(own or {})
        self._others = others
        self._workers = WorkerPool(ENGINE, workers=workers)
        self._gains: dict[str, float] = {}
        self._read_as_english: set[str] = set()

    async def speak(self, text: str, voice: str, language: str = "") -> AsyncIterator[Speech]:
        """Sound for `text`, clause by clause, in pieces of 100 ms.

        A clause of 4, 8 or 16 words takes 20, 35 or 65 ms of CPU before its first piece.
        Letters of other scripts are left out of the sound and kept in the text.
        """
        if (others := self._engine_for(language)) is not None:
            pieces: Any = others.speak(text, voice, language)
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
            return
        name = resolve_voice(voice)
        for clause in split_sentences(text, _LONGEST):
            for piece in await self._workers.run(partial(self.synthesize, clause, name)):
                yield piece

    async def aclose(self) -> None:
        self._workers.close()
        if self._others is not None:
            await self._others.aclose()

    def synthesize(self, clause: str, voice: str, token: CancelToken | None = None) -> list[Speech]:
        """The pieces of one clause in one of the thirty voices. Blocks."""
        import numpy as np

        model = self._own.get(voice, self._model)
        sounds: list[vocoder.Floats] = []
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
        kept, cut_s = trim(np.concatenate(sounds)) if sounds else (np.zeros(0, np.float32), 0.0)
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
    ) -> tuple[vocoder.Floats, tuple[float, ...]] | None:
        """The sound of one sentence at the common loudness, and the start of each word in it."""
        if voice in self._own:
            frames = self._own[voice].frames(phonemes, pace=1.0)
            converted = frames
        else:
            parameters = voice_parameters(voice)
            frames = self._model.frames(phonemes, parameters.pace)
            converted = frames and vocoder.convert(frames, parameters)
        if converted is None:
            return None
        sound = vocoder.render(converted)
        return (sound * self._gain(voice) if level else sound), converted.group_starts

    def _gain(self, voice: str) -> float:
        """The factor that brings a voice to the common loudness; measured at its first use."""
        if voice not in self._gains:
            model = self._own.get(voice, self._model)
            made = self._render(model.phonemes(_CALIBRATION)[0], voice, level=False)
            self._gains[voice] = gain_to_level(made[0]) if made else 1.0
        return self._gains[voice]

    def _engine_for(self, language: str) -> Synthesizer | None:
        """The engine that speaks another language; `None` for English or if there is none."""
        base = language.casefold().replace("_", "-").partition("-")[0]
        if base in ("", "en"):
            return None
        if self._others is None and base not in self._read_as_english:
            self._read_as_english.add(base)
            log.warning("language is read as English", extra={"language": base})
        return self._others


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
    own = {**_present_voices(host), **read.voices}
    others = await _other_languages(read.other_languages, host)
    try:
        return await asyncio.to_thread(_load, read.model, own, others, read.workers)
    except BaseException:
        if others is not None:
            await others.aclose()
        raise


def required_parts(settings: Settings) -> tuple[tuple[str, str | Settings], ...]:
    """The engine for other languages."""
    choice = settings.get("other_languages", _OTHER_LANGUAGES)
    return () if choice is False else (("synthesizer", choice),)


def _present_voices(host: EngineHost) -> dict[str, Path]:
    """Model files of the further voices that are on this machine."""
    found = {}
    for voice, weights in FURTHER_VOICES.items():
        with suppress(EngineMissing):
            found[voice] = host.weights(weights) / model_file(weights)
    return found


def _load(
    path: Path | None, voices: Mapping[str, Path], others: Synthesizer | None, workers: int
) -> HibariSynthesizer:
    model = AcousticModel(path)
    own = {name: _own_model(file, model) for name, file in voices.items()}
    engine = HibariSynthesizer(model, own, others, workers)
    engine.synthesize("Ready.", DEFAULT_VOICE)  # first uses cost 100 ms that no user should wait
    return engine


def _own_model(path: Path, model: AcousticModel) -> AcousticModel:
    """The publisher names files like Kokoro's voices: `bf_emma` is British, `af_kore` American."""
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
