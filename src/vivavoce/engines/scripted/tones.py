"""`recognizer.tones` and `synthesizer.tones`: words that travel as tones, both ways.

Sound that holds no tones, such as a person speaking, is understood as how long it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE
from vivavoce.domain.voices import VOICES
from vivavoce.engines.ports import (
    EngineHost,
    RecognitionOptions,
    RecognizerCapabilities,
    Settings,
    Speech,
    SynthesizerCapabilities,
    Transcript,
)
from vivavoce.engines.scripted.sound import hear, loud_seconds, say
from vivavoce.engines.settings import NoSettings, read_settings

SHORTEST_SPEECH_S = 0.1


class TonesUtterance:
    """One stretch of sound, kept until it is asked about."""

    def __init__(self, streaming: bool) -> None:
        self._pcm = bytearray()
        self._streaming = streaming

    async def feed(self, pcm: bytes) -> None:
        self._pcm += pcm

    async def hypothesis(self) -> Transcript:
        text = understand(bytes(self._pcm))
        return Transcript(text, text.rpartition(" ")[0] if self._streaming else "")

    async def pause(self) -> Transcript:
        return await self.hypothesis()

    async def finish(self) -> Transcript:
        return await self.hypothesis()


class TonesRecognition:
    """One conversation; nothing adapts."""

    def __init__(self, streaming: bool) -> None:
        self._streaming = streaming

    @asynccontextmanager
    async def utterance(self) -> AsyncIterator[TonesUtterance]:
        yield TonesUtterance(self._streaming)

    async def aclose(self) -> None:
        return None


class TonesRecognizer:
    """Recognizes tones. `streaming`: all words but the last are stable while they come."""

    def __init__(self, streaming: bool = False) -> None:
        self.capabilities = RecognizerCapabilities(streaming, languages=("en",))

    def open(self, options: RecognitionOptions) -> TonesRecognition:
        return TonesRecognition(self.capabilities.streaming)

    async def aclose(self) -> None:
        return None


class TonesSynthesizer:
    """Speaks in tones, a word at a time."""

    capabilities = SynthesizerCapabilities(voices=VOICES)

    async def speak(self, text: str, voice: str, language: str = "") -> AsyncIterator[Speech]:
        for word in _words(text):
            yield Speech(say(word, OUTPUT_RATE), word)
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        return None


def understand(pcm: bytes) -> str:
    """The words in tones; for other sound how long it lasted; empty for silence."""
    if words := hear(pcm, INPUT_RATE):
        return words
    spoken_s = loud_seconds(pcm, INPUT_RATE)
    return f"speech of {spoken_s:.1f} seconds" if spoken_s >= SHORTEST_SPEECH_S else ""


def _words(text: str) -> list[str]:
    """Pieces that together are the text: each word with the space before it."""
    words: list[str] = []
    for word in text.split(" "):
        words.append(f" {word}" if words else word)
    return [word for word in words if word]


async def create_recognizer(settings: Settings, host: EngineHost) -> TonesRecognizer:
    """Build `recognizer.tones`, which has no settings. Raises `ConfigError`."""
    read_settings("recognizer.tones", settings, NoSettings)
    return TonesRecognizer()


async def create_synthesizer(settings: Settings, host: EngineHost) -> TonesSynthesizer:
    """Build `synthesizer.tones`, which has no settings. Raises `ConfigError`."""
    read_settings("synthesizer.tones", settings, NoSettings)
    return TonesSynthesizer()
