"""Recognize speech of one conversation: the user's turns, and recordings in content.

Turns are recognized one after the other, a task each, because what a recognizer learns of the
speaker goes from turn to turn. A turn is fed what the core has judged to be still open, and not
what has merely arrived: the end of a turn and the beginning of the next may come in one message. A
recognizer that fails or hangs fails its turn and nothing else; a hung one is replaced by a fresh
one for the next turn.

A client may be far ahead of a recognizer: whole files are sent at once. What was not recognized
yet is kept, for ten minutes of audio, and only beyond that the client has to wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from vivavoce.core.events import (
    ContentReceived,
    Event,
    ReadingPaused,
    TranscriptFailed,
    TranscriptProgressed,
    TranscriptUpdated,
)
from vivavoce.domain.audio import (
    INPUT_RATE,
    AudioChunk,
    Position,
    pcm_seconds,
    recorded_rate,
    samples,
)
from vivavoce.domain.content import Blob, Content, Part, Text
from vivavoce.domain.ids import TurnId
from vivavoce.domain.serialization import find_mismatch
from vivavoce.engines.ports import (
    Recognition,
    RecognitionOptions,
    Recognizer,
    Transcript,
    Utterance,
)
from vivavoce.errors import ClientFault, EngineError
from vivavoce.runtime.audio_input import MIN_RATE_HZ, AudioBuffer
from vivavoce.runtime.rate_limit import RateLimiter
from vivavoce.runtime.tasks import CANCEL_TIMEOUT_S, EngineTasks, EngineTimeout, is_end
from vivavoce.runtime.voice_activity import MAX_SCORED_S

T = TypeVar("T")

log = logging.getLogger(__name__)

CALL_TIMEOUT_S = 30.0
"""Timeout of one call of a recognizer, which may wait for the audio of other sessions: on
a machine that is overloaded a call of honest work takes ten seconds and more."""

MAX_FEED_SAMPLES = samples(1.0)
"""Audio in one call, at most, so that a long message is not mistaken for a hang."""

PROGRESS_INTERVAL_S = 1.0
"""Interval of progress reports to the core while a recognizer lags behind."""

MAX_LAG_SAMPLES = samples(600.0)
"""Lag of a recognizer at which reading from the client stops; the audio buffer keeps more."""

BROKEN = "The recognizer broke down."


class Transcripts:
    """Recognition of one conversation's spoken turns.

    Audio that was fed is dropped, but for the last `kept_samples`, until the core releases it.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        options: RecognitionOptions,
        audio: AudioBuffer,
        tasks: EngineTasks,
        post: Callable[[Event], None],
        kept_samples: int = 0,
    ) -> None:
        self.audio = audio
        self.post = post
        self._kept_samples = kept_samples
        self._recognizer = recognizer
        self.streams = recognizer.capabilities.streaming
        self._options = options
        self._tasks = tasks
        self._recognition: Recognition | None = None
        self.vad_processed_until: Position = audio.position
        self._open: dict[TurnId, _OpenTurn] = {}
        self._waited_for: list[_OpenTurn] = []
        self._caught_up = asyncio.Event()

    def start(self, turn: TurnId, start: Position) -> None:
        """Start recognizing a turn, from position `start`."""
        open_turn = _OpenTurn(self, turn, start)
        self._open[turn] = open_turn
        work = self._run(open_turn, tuple(self._waited_for))
        open_turn.task = self._tasks.start_task(f"transcript {turn}", work)
        self._waited_for.append(open_turn)

    def refresh(self, turn: TurnId, position: Position, paused: bool = False) -> None:
        """Request a transcript up to `position`, where the user may have `paused`."""
        if (open_turn := self._open.get(turn)) is not None and (paused or self.streams):
            open_turn.ask(position, paused)

    def finish(self, turn: TurnId, end: Position, paused_at: Position | None = None) -> None:
        """End the turn at `end` and request its final transcript.

        All speech lies before the pause at `paused_at`, if there is one.
        """
        if (open_turn := self._open.get(turn)) is not None:
            open_turn.finish(end, paused_at)

    def drop(self, turn: TurnId) -> None:
        """Cancel the turn's transcript."""
        if (open_turn := self._open.get(turn)) is not None:
            self.retire(open_turn)

    def advance_audio(self, position: Position) -> None:
        """Feed audio up to `position`, which the core has assigned to turns."""
        if position <= self.vad_processed_until:
            return
        self.vad_processed_until = position
        for open_turn in self._open.values():
            open_turn.more.set()

    async def wait_for_recognizer(self) -> None:
        """Wait while the recognizer lags too far behind; reading counts as paused meanwhile."""
        if not self.is_far_behind():
            return
        self.post(ReadingPaused(True))
        while self.is_far_behind():
            self._caught_up.clear()
            await self._caught_up.wait()
        self.post(ReadingPaused(False))

    def needed_from(self) -> Position:
        """Return the position of the oldest audio that was not fed yet."""
        return min((turn.position for turn in self._open.values()), default=self.audio.position)

    def fail(self, open_turn: _OpenTurn, problem: str) -> None:
        """Post that the recognizer failed and no transcript of this turn will follow."""
        if not open_turn.retired:
            self.post(TranscriptFailed(open_turn.turn, problem))
        self.retire(open_turn)

    def retire(self, open_turn: _OpenTurn) -> None:
        """Cancel this turn's recognition; its later output is ignored."""
        open_turn.retired = True
        open_turn.over.set()
        open_turn.timeout.stop_timer()
        self._open.pop(open_turn.turn, None)
        self._caught_up.set()
        if open_turn.task is not None and open_turn.task is not asyncio.current_task():
            self._tasks.cancel_task(open_turn.task)

    def progress(self, open_turn: _OpenTurn) -> None:
        """Drop audio that was fed, but for what is kept, and report progress if it is due."""
        self._caught_up.set()
        self.audio.forget_audio(self.needed_from() - self._kept_samples)
        if not open_turn.retired and open_turn.progress_is_due():
            self.post(TranscriptProgressed(open_turn.turn, open_turn.position))

    def is_far_behind(self) -> bool:
        """Return whether the recognizer lags so far behind that the client's audio has to wait."""
        return any(turn.behind > MAX_LAG_SAMPLES for turn in self._open.values())

    def close(self) -> None:
        """Cancel all turns."""
        for open_turn in tuple(self._open.values()):
            self.retire(open_turn)

    async def aclose(self) -> None:
        """Release the recognizer. Call after every task was cancelled."""
        recognition, self._recognition = self._recognition, None
        if recognition is not None:
            await recognition.aclose()

    async def _run(self, open_turn: _OpenTurn, earlier: tuple[_OpenTurn, ...]) -> None:
        try:
            for other in earlier:
                await self._wait_for_turn(other)
            if self._recognition is None:
                self._recognition = self._recognizer.open(self._options)
            open_turn.timeout.start_timer(open_turn.time_out)
            async with self._recognition.utterance() as utterance:
                await open_turn.listen(utterance)
                self.retire(open_turn)
        except EngineError as failure:
            log.warning(
                "transcript failed", extra={"turn": open_turn.turn, "problem": str(failure)}
            )
            self.fail(open_turn, str(failure))
        except BaseException as failure:
            if is_end(failure):
                raise
            log.exception("recognizer broke down", extra={"turn": open_turn.turn})
            self.fail(open_turn, BROKEN)
        finally:
            self.retire(open_turn)
            self._forget(open_turn)

    async def _wait_for_turn(self, other: _OpenTurn) -> None:
        """Wait until the recognizer is free of an earlier turn, or replaced."""
        await other.over.wait()
        if other.task is None or other not in self._waited_for:
            return
        _, late = await asyncio.wait({other.task}, timeout=CANCEL_TIMEOUT_S)
        if other not in self._waited_for:
            return
        self._forget(other)
        if late:
            log.error("recognizer hangs and is replaced", extra={"turn": other.turn})
            self._recognition = None

    def _forget(self, open_turn: _OpenTurn) -> None:
        if open_turn in self._waited_for:
            self._waited_for.remove(open_turn)


class _OpenTurn:
    """Recognition of one spoken turn."""

    def __init__(self, home: Transcripts, turn: TurnId, start: Position) -> None:
        self.turn = turn
        self.position = start
        self.more = asyncio.Event()
        self.retired = False
        self.over = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.timeout = EngineTimeout(CALL_TIMEOUT_S)
        self._home = home
        self._asked: tuple[Position, bool] | None = None
        self._pause: tuple[Position, Transcript] | None = None
        self._end: Position | None = None
        self._last_pause: Position | None = None
        self._progress_at = 0.0
        self.more.set()

    @property
    def behind(self) -> int:
        """Samples of this turn that were not fed yet."""
        return self._limit() - self.position

    def progress_is_due(self) -> bool:
        """Return whether the core, which waits for the final text, is due a progress report."""
        now = asyncio.get_running_loop().time()
        if self._end is None or now < self._progress_at + PROGRESS_INTERVAL_S:
            return False
        self._progress_at = now
        return True

    def ask(self, position: Position, paused: bool) -> None:
        """Request a transcript, in place of an earlier request."""
        self._asked = position, paused
        self.more.set()

    def finish(self, end: Position, paused_at: Position | None) -> None:
        self._end, self._last_pause = end, paused_at
        self._progress_at = asyncio.get_running_loop().time()
        self.more.set()

    async def listen(self, utterance: Utterance) -> None:
        """Feed audio and post the requested transcripts, until the end of the turn."""
        while True:
            self.more.clear()
            await self._feed(utterance)
            if self._end is not None:
                self._post_transcript(await self._finished(utterance), final=True)
                return
            if self._asked is not None and self.position >= self._asked[0]:
                hypothesis = await self._hypothesis(utterance, *self._asked)
                if hypothesis.fresh:
                    self._post_transcript(hypothesis, final=False)
            else:
                await self.more.wait()

    async def _hypothesis(
        self, utterance: Utterance, position: Position, paused: bool
    ) -> Transcript:
        self._asked = None
        if not paused:
            return await self._understood(utterance.hypothesis())
        transcript = await self._understood(utterance.pause())
        self._pause = position, transcript
        return transcript

    async def _finished(self, utterance: Utterance) -> Transcript:
        """Return the final transcript: that of the last pause, if no speech followed it."""
        if self._pause is not None and self._pause[0] == self._last_pause:
            return self._pause[1]
        return await self._understood(utterance.finish())

    async def _understood(self, call: Awaitable[Transcript]) -> Transcript:
        transcript = await self._watched(call)
        if mismatch := find_mismatch(transcript, Transcript, "transcript"):
            raise TypeError(mismatch)
        return transcript

    async def _feed(self, utterance: Utterance) -> None:
        while self.behind > 0:
            start = max(self.position, self._home.audio.oldest)
            end = min(start + MAX_FEED_SAMPLES, self._limit())
            await self._watched(utterance.feed(self._home.audio.read_audio(start, end)))
            self.position = end
            self._home.progress(self)

    async def _watched(self, call: Awaitable[T]) -> T:
        self.timeout.start_timer(self.time_out)
        try:
            return await call
        finally:
            self.timeout.stop_timer()

    def _limit(self) -> Position:
        if self._end is None:
            return self._home.vad_processed_until
        return min(self._home.audio.position, self._end)

    def _post_transcript(self, said: Transcript, final: bool) -> None:
        if not self.retired:
            self._home.post(
                TranscriptUpdated(
                    self.turn, self.position, said.text, final, said.stable, said.confidence
                )
            )

    def time_out(self) -> None:
        """Fail the turn because its recognizer does not answer."""
        log.error("recognizer hangs", extra={"turn": self.turn})
        self._home.fail(self, f"The recognizer gave no answer for {CALL_TIMEOUT_S:.0f} s.")


# --- recordings -------------------------------------------------------------------------------

MAX_RECORDING_S = 600.0
"""Longest part of one recording that is transcribed."""


class Recordings:
    """Transcription of recorded speech in `clientContent`, before the core sees it.

    Input behind it waits meanwhile, so that the order holds. Audio that can't be understood stays
    as it is, and is reported to `mismatch(sentence, code)`, which may raise `ClientFault`.
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

    async def transcribe_content(self, event: ContentReceived) -> ContentReceived:
        """Replace recorded speech by its transcript. Raises `ClientFault`."""
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
        """Decode a recording to 16 kHz PCM; empty if it can't be read."""
        audio, rate = (
            AudioBuffer(ring_s=MAX_RECORDING_S),
            recorded_rate(blob.mime_type) or INPUT_RATE,
        )
        at_least = max(MIN_RATE_HZ, rate)
        size = 2 * int(MAX_SCORED_S * at_least)
        try:
            for at in range(0, len(blob.data), size):
                chunk = AudioChunk(blob.data[at : at + size], rate)
                await self._rates.wait_for_audio(pcm_seconds(chunk.data, at_least))
                await asyncio.sleep(0)
                audio.add_chunk(chunk)
            end = audio.end_stream()
        except ClientFault as fault:
            self._mismatch(fault.reason, fault.code)
            return b""
        if audio.oldest:
            self._mismatch(
                f"a recording has more than {MAX_RECORDING_S:.0f} s: its end is heard", 0
            )
        return audio.read_audio(audio.oldest, end)

    async def _recognize(self, pcm: bytes) -> Transcript | None:
        """Transcribe a recording; `None` if the recognizer fails or hangs."""
        outcome: asyncio.Future[Transcript | None] = asyncio.get_running_loop().create_future()

        def settle(transcript: Transcript | None) -> None:
            if not outcome.done():
                outcome.set_result(transcript)

        timeout = EngineTimeout(CALL_TIMEOUT_S)
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
                for at in range(0, len(pcm), 2 * MAX_FEED_SAMPLES):
                    timeout.start_timer(partial(settle, None))
                    await utterance.feed(pcm[at : at + 2 * MAX_FEED_SAMPLES])
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
    """Return whether `event` holds recorded speech."""
    return any(_is_recording(part) for turn in event.turns for part in turn.parts)


def _is_recording(part: Part) -> bool:
    return isinstance(part, Blob) and recorded_rate(part.mime_type) is not None


def _apart(parts: list[Part]) -> tuple[Part, ...]:
    """Add a space between neighboring texts, which are read as one."""
    written: list[Part] = []
    for part in parts:
        before = written[-1] if written else None
        if isinstance(part, Text) and isinstance(before, Text) and not before.text[-1:].isspace():
            part = replace(part, text=f" {part.text.lstrip()}")
        written.append(part)
    return tuple(written)
