"""Recorded speech in `clientContent`: made words before the core gets to know of it.

What the client says after it waits meanwhile, so that the order holds. Sound that can't be
understood stays as it is: models that hear nothing say so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from vivavoce.core.events import ContentReceived
from vivavoce.domain.audio import (
    INPUT_RATE,
    AudioChunk,
    pcm_seconds,
    recorded_rate,
)
from vivavoce.domain.content import Blob, Content, Part, Text
from vivavoce.domain.typed import find_mismatch
from vivavoce.engines.ports import Recognition, RecognitionOptions, Recognizer, Transcript
from vivavoce.errors import ClientFault, EngineError
from vivavoce.runtime.audio_input import LOWEST_RATE, AudioBuffer
from vivavoce.runtime.rate_limit import RateLimiter
from vivavoce.runtime.tasks import EngineTasks, EngineTimeout, is_end
from vivavoce.runtime.transcripts import FEED_SAMPLES, HUNG_S
from vivavoce.runtime.voice_activity import PIECE_S

log = logging.getLogger(__name__)

LONGEST_S = 600.0
"""The most speech of one recording that is understood."""


class Recordings:
    """Understands the recorded speech of one conversation.

    `mismatch(sentence, code)` gets to know of what can't be understood; it may raise `ClientFault`.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        options: RecognitionOptions,
        tasks: EngineTasks,
        rates: RateLimiter,
        mismatch: Callable[[str, int], None],
    ) -> None:
        self._recognizer = recognizer
        self._options = options
        self._tasks = tasks
        self._rates = rates
        self._mismatch = mismatch

    async def read(self, event: ContentReceived) -> ContentReceived:
        """The same with words in the place of recorded speech. Raises `ClientFault`."""
        turns = [await self._content(turn) for turn in event.turns]
        return replace(event, turns=tuple(turns))

    async def _content(self, content: Content) -> Content:
        if not any(map(_is_recording, content.parts)):
            return content
        parts: list[Part] = []
        heard_s, confidence = content.heard_s, content.confidence
        for part in content.parts:
            if not isinstance(part, Blob) or not _is_recording(part):
                parts.append(part)
                continue
            pcm = await self._decode(part)
            transcript = await self._recognize(pcm) if pcm else None
            if transcript is None or not transcript.text.strip():
                self._mismatch("recorded speech could not be understood: it stays sound", 0)
                parts.append(part)
                continue
            heard_s += pcm_seconds(pcm, INPUT_RATE)
            confidence = transcript.confidence if len(content.parts) == 1 else None
            parts.append(Text(transcript.text.strip()))
        return replace(content, parts=_apart(parts), heard_s=heard_s, confidence=confidence)

    async def _decode(self, blob: Blob) -> bytes:
        """The sound at 16 kHz; none where it can't be read."""
        audio, rate = AudioBuffer(ring_s=LONGEST_S), recorded_rate(blob.mime_type) or INPUT_RATE
        at_least = max(LOWEST_RATE, rate)
        size = 2 * int(PIECE_S * at_least)
        try:
            for at in range(0, len(blob.data), size):
                await self._rates.audio(pcm_seconds(len(blob.data[at : at + size]), at_least))
                await asyncio.sleep(0)
                audio.add_chunk(AudioChunk(blob.data[at : at + size], rate))
            end = audio.end_stream()
        except ClientFault as fault:
            self._mismatch(fault.reason, fault.code)
            return b""
        if audio.oldest:
            self._mismatch(f"a recording has more than {LONGEST_S:.0f} s: its end is heard", 0)
        return audio.read_audio(audio.oldest, end)

    async def _recognize(self, pcm: bytes) -> Transcript | None:
        """What is understood of it; `None` where the recognizer fails, or hangs."""
        outcome: asyncio.Future[Transcript | None] = asyncio.get_running_loop().create_future()

        def settle(transcript: Transcript | None) -> None:
            if not outcome.done():
                outcome.set_result(transcript)

        timeout = EngineTimeout(HUNG_S)
        task = self._tasks.start_task("recording", self._listen(pcm, timeout, settle))
        try:
            return await outcome
        finally:
            timeout.stop_timer()
            self._tasks.cancel_task(task)

    async def _listen(
        self, pcm: bytes, timeout: EngineTimeout, settle: Callable[[Transcript | None], None]
    ) -> None:
        recognition: Recognition | None = None
        timeout.start_timer(partial(settle, None))
        try:
            recognition = self._recognizer.open(self._options)
            async with recognition.utterance() as utterance:
                for at in range(0, len(pcm), 2 * FEED_SAMPLES):
                    timeout.start_timer(partial(settle, None))
                    await utterance.feed(pcm[at : at + 2 * FEED_SAMPLES])
                timeout.start_timer(partial(settle, None))
                transcript = await utterance.finish()
                if mismatch := find_mismatch(transcript, Transcript, "transcript"):
                    raise TypeError(mismatch)
                settle(transcript)
        except EngineError as failure:
            log.warning("recording not recognized", extra={"problem": str(failure)})
        except BaseException as failure:
            if is_end(failure):
                raise
            log.exception("recognizer broke down")
        finally:
            settle(None)
            if recognition is not None:
                await recognition.aclose()


def has_recordings(event: ContentReceived) -> bool:
    """Whether `event` holds recorded speech."""
    return any(_is_recording(part) for turn in event.turns for part in turn.parts)


def _is_recording(part: Part) -> bool:
    return isinstance(part, Blob) and recorded_rate(part.mime_type) is not None


def _apart(parts: list[Part]) -> tuple[Part, ...]:
    """Neighbouring words with a space between them: they are read as one text."""
    written: list[Part] = []
    for part in parts:
        before = written[-1] if written else None
        if isinstance(part, Text) and isinstance(before, Text) and not before.text[-1:].isspace():
            part = replace(part, text=f" {part.text.lstrip()}")
        written.append(part)
    return tuple(written)
