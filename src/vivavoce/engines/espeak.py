"""Speech synthesis by the program espeak-ng: a hundred languages at almost no cost.

It is under the GPL, so it runs as a process of its own: text goes in by standard input, a WAV comes
out. A clause takes 10 to 30 ms, so each is made whole; the process is killed on cancellation.
"""

from __future__ import annotations

import asyncio
import shutil
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import soxr
from numpy.typing import NDArray

from vivavoce.domain.audio import OUTPUT_RATE
from vivavoce.domain.setup import VOICES
from vivavoce.engines.ports import EngineHost, Settings, Speech, SynthesizerCapabilities
from vivavoce.engines.settings import read_settings
from vivavoce.engines.speech_text import split_sentences
from vivavoce.engines.synthesis import (
    estimated_marks,
    gain_to_level,
    pause_after,
    resolve_voice,
    silence,
    speech_pieces,
    trim_silence,
    voice_parameters,
)
from vivavoce.engines.workers import CancelToken, WorkerPool
from vivavoce.errors import EngineError, EngineMissing

ENGINE = "synthesizer.espeak"
_FIX = "Install it with `apt-get install espeak-ng` or `brew install espeak-ng`."
_PROGRAMS = ("espeak-ng", "espeak")
_MAX_CLAUSE_CHARS = 240
_LIMIT_S = 20.0
_WORDS_A_MINUTE = 170
_DEFAULT = "en-us"

_FEMININE_VARIANTS = ("f2", "f3", "f4", "f5")
_MASCULINE_VARIANTS = ("m1", "m3", "m4", "m7")
_MIDDLE_HZ = {True: 190.0, False: 110.0}
"""The pitch of espeak-ng's middle setting, by gender."""

_ALIASES = {"iw": "he", "zh": "cmn", "no": "nb", "in": "id", "ji": "yi"}
"""Language codes of the Live API that have another name in espeak-ng."""


@dataclass(frozen=True, slots=True)
class EspeakSettings:
    """`program` is espeak-ng; empty for the one on the path."""

    program: str = ""


@dataclass(frozen=True, slots=True)
class Clip:
    """Decoded output of the program."""

    sound: NDArray[np.int16]
    rate: int


class EspeakSynthesizer:
    """Speaks any of espeak-ng's languages in thirty voices made of its variants."""

    def __init__(self, program: str, languages: Sequence[str]) -> None:
        self.capabilities = SynthesizerCapabilities(voices=VOICES, languages=tuple(languages))
        self._program = program
        self._workers = WorkerPool(ENGINE)

    async def speak(self, text: str, voice: str, language: str = "") -> AsyncIterator[Speech]:
        """Yield the sound of `text` by clauses. An unknown language is spoken as English."""
        options = self._options(voice, language)
        for clause in split_sentences(text, _MAX_CLAUSE_CHARS):
            if not any(map(str.isalnum, clause)):
                yield Speech(silence(pause_after(clause)), clause)
                continue
            wav = await run_program(self._program, options, _readable(clause))
            for piece in await self._workers.run(partial(make_pieces, clause, wav)):
                yield piece

    async def aclose(self) -> None:
        self._workers.close()

    def language(self, code: str) -> str:
        """Return the program's name of a BCP-47 code: the exact one, else of the language alone."""
        code = code.casefold().replace("_", "-")
        base = code.partition("-")[0]
        for name in (code, _ALIASES.get(base, base)):
            if name in self.capabilities.languages and name != "en":
                return name
        return _DEFAULT

    def _options(self, voice: str, language: str) -> list[str]:
        parameters = voice_parameters(voice)
        variants = _FEMININE_VARIANTS if parameters.feminine else _MASCULINE_VARIANTS
        variant = variants[VOICES.index(resolve_voice(voice)) % len(variants)]
        pitch = 50 + 100 * (parameters.pitch_hz / _MIDDLE_HZ[parameters.feminine] - 1)
        return [
            "-v", f"{self.language(language)}+{variant}",
            "-p", str(max(0, min(99, round(pitch)))),
            "-s", str(round(_WORDS_A_MINUTE * parameters.pace)),
            "-b", "1", "--stdin", "--stdout",
        ]  # fmt: skip


async def run_program(program: str, options: Sequence[str], text: bytes = b"") -> bytes:
    """Run the program and return its output; it is killed on cancellation. Raises `EngineError`."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            program, *options, stdin=pipe, stdout=pipe, stderr=pipe
        )
    except OSError as failure:
        raise EngineError(ENGINE, f"{program} can't be run: {failure}.") from failure
    try:
        async with asyncio.timeout(_LIMIT_S):
            written, errors = await process.communicate(text)
    except TimeoutError as failure:
        raise EngineError(ENGINE, f"{program} did not end within {_LIMIT_S:g} s.") from failure
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        message = errors.decode(errors="replace").strip().partition("\n")[0]
        raise EngineError(ENGINE, f"It ended with status {process.returncode}. {message}".strip())
    return written


def _readable(text: str) -> bytes:
    """Return one line of UTF-8: the program reads a line break as the end of a clause."""
    return " ".join(text.replace("\x00", " ").split()).encode("utf-8", "replace") + b"\n"


def decode_wav(wav: bytes) -> Clip:
    """Decode a WAV written to a pipe, whose header has no length."""
    start = wav.find(b"data")
    if wav[:4] != b"RIFF" or start < 36:
        raise EngineError(ENGINE, "Its output is not a WAV.")
    (rate,) = struct.unpack_from("<I", wav, 24)
    data = wav[start + 8 :]
    return Clip(np.frombuffer(data[: len(data) // 2 * 2], "<i2"), rate)


def make_pieces(text: str, wav: bytes, token: CancelToken) -> list[Speech]:
    """Return the pieces of one clause: 24 kHz, trimmed, at the common loudness, with words."""
    clip = decode_wav(wav)
    sound = soxr.resample(clip.sound.astype(np.float32) / 32768, clip.rate, OUTPUT_RATE)
    kept, _ = trim_silence(sound)
    if token.cancelled or not len(kept):
        return [Speech(silence(pause_after(text)), text)]
    marks = estimated_marks(text, len(kept) / OUTPUT_RATE)
    return list(speech_pieces(text, kept * gain_to_level(kept), marks))


async def create(settings: Settings, host: EngineHost) -> EspeakSynthesizer:
    """Build the engine. Raises `ConfigError`, `EngineMissing`."""
    if chosen := read_settings(ENGINE, settings, EspeakSettings).program:
        program = shutil.which(chosen)
        problem = f"There is no program {chosen}."
    else:
        program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
        problem = "espeak-ng is not on this machine."
    if program is None:
        raise EngineMissing(ENGINE, problem, _FIX)
    return EspeakSynthesizer(program, await _languages(program))


async def _languages(program: str) -> list[str]:
    """Return the second column of the program's list."""
    try:
        listed = await run_program(program, ["--voices"])
    except EngineError as failure:
        raise EngineMissing(ENGINE, failure.problem, _FIX) from failure
    lines = listed.decode(errors="replace").splitlines()[1:]
    found = {columns[1] for line in lines if len(columns := line.split()) > 1}
    if not found:
        raise EngineMissing(ENGINE, f"{program} lists no voices.", _FIX)
    return sorted(found)
