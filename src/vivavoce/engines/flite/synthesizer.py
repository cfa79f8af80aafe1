"""The `Synthesizer` over libflite."""

from __future__ import annotations

import asyncio
import logging
import os
import unicodedata
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from vivavoce.domain.voices import VOICES
from vivavoce.engines.align import Timeline, marks_of_tokens
from vivavoce.engines.flite import fetch as fetching
from vivavoce.engines.flite.library import ENGINE, RATE, Flite, Tokens, load
from vivavoce.engines.lanes import CancelToken, Lane
from vivavoce.engines.pcm import Trimmer, Upsampler, louder, pause_after, silence
from vivavoce.engines.ports import EngineHost, Settings, Speech, SynthesizerCapabilities
from vivavoce.engines.sentences import Cutter
from vivavoce.engines.voices import Speaker, VoicePrint, voice_print
from vivavoce.errors import ConfigError, EngineMissing

if TYPE_CHECKING:
    from vivavoce.engines.flite.library import Sound

log = logging.getLogger("vivavoce.engines.flite")

_LONGEST = 240
"""Characters given to flite at once: about 15 s of sound, made in 0.2 s."""

_GAIN = {Speaker.SLT: 0.75, Speaker.RMS: 1.45, Speaker.AWB: 1.25, Speaker.KAL16: 3.4}
"""Brings the recordings, made at different levels, to about -18 dBFS."""

_PUNCTUATION = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "–": ",", "—": ",", "…": ".", "。": ".", "，": ",",
     "！": "!", "？": "?", "、": ",", "；": ";", "：": ":", "ß": "s", "æ": "e", "œ": "e", "ø": "o",
     "đ": "d", "ł": "l", "ð": "d", "þ": "t", "ı": "i"}
)  # fmt: skip


class FliteSynthesizer:
    """Speaks English in thirty voices made of four recorded speakers."""

    def __init__(self, library: Flite, workers: int = 2) -> None:
        self.capabilities = SynthesizerCapabilities(voices=VOICES, languages=("en",))
        self._library = library
        self._lane = Lane(ENGINE, workers=workers)

    async def speak(self, text: str, voice: str, language: str = "") -> AsyncIterator[Speech]:
        """Sound for `text`, in pieces of about 100 ms; the first after 10 to 40 ms."""
        print_ = self._available(voice_print(voice))
        cutter = Cutter(longest=_LONGEST, early=False)
        for clause in (*cutter.feed(text), *cutter.flush()):
            spoken = plain(clause)
            if not any(map(str.isalnum, spoken)):
                yield Speech(silence(pause_after(clause)), clause)
                continue
            work = self._work(clause, spoken, print_)
            async with aclosing(self._lane.stream(work)) as pieces:
                async for piece in pieces:
                    yield piece

    async def aclose(self) -> None:
        self._lane.close()

    def _available(self, wanted: VoicePrint) -> VoicePrint:
        """The voice itself, or one by another speaker where that recording is not installed."""
        speakers = self._library.speakers
        if wanted.speaker in speakers:
            return wanted
        same = [s for s in speakers if s.feminine == wanted.speaker.feminine]
        return VoicePrint((same or [*speakers])[0], wanted.pitch_hz, wanted.pace, wanted.shift)

    def _work(
        self, clause: str, spoken: str, voice: VoicePrint
    ) -> Callable[[CancelToken, Callable[[Speech], None]], None]:
        def work(token: CancelToken, put: Callable[[Speech], None]) -> None:
            finisher = _Finisher(clause, spoken, voice, put)

            def take(sound: Sound, tokens: Tokens) -> bool:
                finisher.take(sound, tokens)
                return not token.cancelled

            if token.cancelled:
                return
            stretch = voice.pace * voice.shift
            self._library.synthesize(
                spoken.encode("ascii"), voice.speaker, voice.pitch_hz, stretch, take
            )
            if not token.cancelled:
                finisher.finish()

        return work


class _Finisher:
    """From flite's sound and words to pieces of speech: trimmed, aligned, 24 kHz."""

    def __init__(
        self, clause: str, spoken: str, voice: VoicePrint, put: Callable[[Speech], None]
    ) -> None:
        self._clause = clause
        self._spoken = spoken
        self._put = put
        self._trimmer = Trimmer(RATE, pause_after(clause))
        # Played faster than it was made, a voice has the tract of a smaller person.
        self._upsampler = Upsampler(RATE * voice.shift)
        self._gain = _GAIN[voice.speaker]
        self._timeline: Timeline | None = None
        self._heard = 0

    def take(self, sound: Sound, tokens: Tokens) -> None:
        if self._timeline is None:
            self._timeline = Timeline(self._clause, marks_of_tokens(self._spoken, tokens))
        kept = self._trimmer.feed(louder(sound, self._gain))
        if not len(kept):
            return
        self._heard += len(kept)
        pcm = self._upsampler.feed(kept)
        text = self._timeline.until((self._trimmer.dropped + self._heard) / RATE)
        if pcm or text:
            self._put(Speech(pcm, text))

    def finish(self) -> None:
        """The pause after the clause, and whatever words are still owed."""
        pause = self._trimmer.finish()
        text = self._timeline.rest() if self._timeline else self._clause
        if pause is None:
            self._put(Speech(silence(pause_after(self._clause)), text))
        else:
            self._put(Speech(self._upsampler.feed(pause, last=True), text))


def plain(text: str) -> str:
    """`text` in ASCII, character for character, so that positions stay the same.

    Accents are dropped, since flite's dictionary has none; other scripts become spaces.
    """
    return "".join(map(_plain_character, text.translate(_PUNCTUATION)))


def _plain_character(character: str) -> str:
    if " " <= character <= "~":
        return character
    base = unicodedata.normalize("NFKD", character)[0]
    return base if " " <= base <= "~" else " "


async def create(settings: Settings, host: EngineHost) -> FliteSynthesizer:
    """The engine. Settings: `folder` (where libflite lies), `fetch` (default true), `workers`.

    Uses the system's library or the one fetched earlier; fetches it where Debian's tools
    are present. Raises `EngineMissing` with the fix.
    """
    unknown = set(settings) - {"folder", "fetch", "workers"}
    if unknown:
        raise ConfigError(
            f"{ENGINE} has no setting {min(unknown)!r}.", "It knows folder, fetch and workers."
        )
    return await asyncio.to_thread(_create, settings, host.say)


def _create(settings: Settings, say: fetching.Say) -> FliteSynthesizer:
    workers = settings.get("workers", max(1, (os.cpu_count() or 2) - 1))
    if chosen := settings.get("folder"):
        library = load(Path(str(chosen)).expanduser())
        problem = f"There is no libflite in {chosen}."
    else:
        library = load() or load(fetching.data_folder())
        problem = "flite is not on this machine."
        if library is None and settings.get("fetch", True):
            library = load(fetching.fetch(fetching.data_folder(), say))
            problem = "flite was fetched but can't be loaded."
    if library is None:
        raise EngineMissing(ENGINE, problem, fetching.FIX)
    _warm(library)
    return FliteSynthesizer(library, workers)


def _warm(library: Flite) -> None:
    """Speak once to nobody: the first use of the libraries costs 150 ms that no user should pay."""
    upsampler = Upsampler(RATE)
    for speaker in library.speakers:
        library.synthesize(b"a", speaker, 100.0, 1.0, lambda sound, _: bool(upsampler.feed(sound)))
