"""A voice for machines that have none: the words travel, with silence where sound would be.

A conversation in audio then goes on as a transcript. It is the last resort of the embedded
profile, and `/readyz` says so while it is in use.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from vivavoce.domain.audio import BYTES_PER_SAMPLE, OUTPUT_RATE
from vivavoce.domain.voices import VOICES
from vivavoce.engines.ports import EngineHost, Settings, Speech, SynthesizerCapabilities
from vivavoce.errors import ConfigError

SECONDS_PER_CHARACTER = 0.06
"""About the pace of calm speech, so that turns last as long as they would with a voice."""


class Silence:
    """A synthesizer that only takes the time."""

    capabilities = SynthesizerCapabilities(voices=VOICES)

    async def speak(self, text: str, voice: str, language: str = "") -> AsyncIterator[Speech]:
        """Silence as long as the words would take, a word at a time."""
        for piece in re.findall(r"(?:\A\s++)?\S++\s*+", text) or [text]:
            yield Speech(_silence(len(piece) * SECONDS_PER_CHARACTER), piece)

    async def aclose(self) -> None:
        pass


async def create(settings: Settings, host: EngineHost) -> Silence:
    """The engine; it has no settings."""
    if settings:
        raise ConfigError("synthesizer.silence has no settings.", "Remove them.")
    return Silence()


def _silence(seconds: float) -> bytes:
    return bytes(round(seconds * OUTPUT_RATE) * BYTES_PER_SAMPLE)
