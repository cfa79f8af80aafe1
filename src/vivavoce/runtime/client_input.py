"""Convert client input for the core: decode frames to events, replace audio by positions.

Everything here happens in the reader's task, in the order in which the client sent it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioArrived,
    AudioStreamEnded,
    ClientInput,
    ContentReceived,
    ReadingPaused,
    VideoArrived,
)
from vivavoce.domain.audio import AudioChunk, Position, VideoFrame, pcm_seconds
from vivavoce.domain.content import Blob
from vivavoce.errors import ClientFault
from vivavoce.runtime.audio_input import MIN_RATE_HZ, AudioBuffer
from vivavoce.runtime.event_loop import run_in_decoder
from vivavoce.runtime.event_queue import EventQueue
from vivavoce.runtime.ports import Dialect, Transport
from vivavoce.runtime.rate_limit import RateLimiter
from vivavoce.runtime.transcription import Recordings, Transcripts, has_recordings
from vivavoce.runtime.turn_metrics import TurnReporter, UsageMetering
from vivavoce.runtime.voice_activity import MAX_SCORED_S, VoiceActivityDetection

MIN_FRAME_INTERVAL_S = 0.25
"""Shortest interval of video frames; sooner ones are dropped. The API asks for one a second."""

MAX_FRAME_BYTES = 8 * 1024 * 1024


class InputReceiver:
    """Receiver of one client's decoded input, which it posts as events for the core."""

    def __init__(
        self,
        audio: AudioBuffer,
        detection: VoiceActivityDetection | None,
        transcripts: Transcripts,
        events: EventQueue,
        reporter: TurnReporter,
        rates: RateLimiter,
        recordings: Recordings,
        mismatch: Callable[[str, int], None],
    ) -> None:
        self._audio = audio
        self._detection = detection
        self._transcripts = transcripts
        self._events = events
        self._reporter = reporter
        self._rates = rates
        self._recordings = recordings
        self._mismatch = mismatch
        self._next_frame_at = 0.0

    async def handle_incoming(self, incoming: ClientInput) -> None:
        """Process one input of the client; return when the next may be read.

        Raises `ClientFault` for media that cannot be taken, `EngineError` for a dead detector.
        """
        match incoming:
            case AudioChunk():
                await self._add_audio(incoming)
            case VideoFrame():
                self._add_frame(incoming)
            case ActivityStarted() | ActivityEnded():
                self._events.put_event(replace(incoming, position=self._audio.position))
            case AudioStreamEnded():
                await self._end_stream()
            case ContentReceived() if has_recordings(incoming):
                self._events.put_event(await self._read_recordings(incoming))
            case _:
                self._events.put_event(incoming)

    def handle_audio_now(self, chunk: AudioChunk) -> bool:
        """Handle audio in this step and return True, unless anything has to wait for something.

        That is what a microphone's audio costs: one wake-up from the socket to the scores.
        """
        detection, audio = self._detection, self._audio
        length_s = pcm_seconds(chunk.data, max(MIN_RATE_HZ, chunk.rate))
        waits = (
            length_s > MAX_SCORED_S
            or (detection is not None and not detection.takes_inline)
            or self._transcripts.is_far_behind()
            or not self._rates.admit_audio(length_s)
        )
        if waits:
            return False
        before = audio.position
        if (position := audio.add_chunk(chunk)) != before:
            self._reporter.record_arrival(position, asyncio.get_running_loop().time())
            if detection is None or not detection.score_now():
                self._events.put_frequent(AudioArrived(position))
        return True

    def forget_audio(self, before: Position) -> None:
        """Drop audio before a position, except what a detector or recognizer still needs."""
        needed = self._transcripts.needed_from()
        if self._detection is not None:
            needed = min(needed, self._detection.position)
        self._audio.forget_audio(min(before, needed))

    async def _add_audio(self, chunk: AudioChunk) -> None:
        # A long message is added in pieces, so that no other connection waits for it.
        rate = max(MIN_RATE_HZ, chunk.rate)
        size = 2 * int(MAX_SCORED_S * rate)
        for at in range(0, len(chunk.data), size):
            if at:
                await asyncio.sleep(0)
            await self._rates.loop.yield_to_loop()
            piece = AudioChunk(chunk.data[at : at + size], chunk.rate)
            await self._rates.wait_for_audio(pcm_seconds(piece.data, rate))
            before = self._audio.position
            with self._rates.loop.working():
                position = self._audio.add_chunk(piece)
            if position != before:
                await self._arrived(position)

    async def _read_recordings(self, content: ContentReceived) -> ContentReceived:
        """Transcribe recordings in content, while reading counts as paused, not as silence."""
        self._events.put_event(ReadingPaused(True))
        try:
            return await self._recordings.transcribe_content(content)
        finally:
            self._events.put_event(ReadingPaused(False))

    async def _end_stream(self) -> None:
        frame = 0 if self._detection is None else self._detection.frame_samples
        before = self._audio.position
        position = self._audio.end_stream(frame)
        if position != before:
            await self._arrived(position)
        if self._detection is not None:
            self._detection.end_stream()
        self._events.put_event(AudioStreamEnded(position))

    async def _arrived(self, position: Position) -> None:
        self._reporter.record_arrival(position, asyncio.get_running_loop().time())
        self._events.put_frequent(AudioArrived(position))
        if self._detection is not None:
            await self._detection.score_arrived()
        await self._transcripts.wait_for_recognizer()

    def _add_frame(self, frame: VideoFrame) -> None:
        if len(frame.data) > MAX_FRAME_BYTES:
            raise ClientFault(
                1007, f"Video frame too large: send at most {MAX_FRAME_BYTES // 2**20} MiB a frame."
            )
        now = asyncio.get_running_loop().time()
        if now < self._next_frame_at:
            self._mismatch(
                f"images sooner than {MIN_FRAME_INTERVAL_S} s after another are left out", 0
            )
            return
        self._next_frame_at = now + MIN_FRAME_INTERVAL_S
        blob = Blob(frame.data, frame.mime_type)
        self._events.put_event(VideoArrived(self._audio.position, blob))


class FrameReader:
    """Reader of a client's frames: receives and decodes them, at the rate that `rates` allow.

    `handle_audio_now` handles a piece of audio without waiting, or returns False.
    """

    def __init__(
        self,
        transport: Transport,
        dialect: Dialect,
        metering: UsageMetering,
        rates: RateLimiter,
        handle_audio_now: Callable[[AudioChunk], bool],
    ) -> None:
        self._transport = transport
        self._dialect = dialect
        self._metering = metering
        self._rates = rates
        self._handle_audio_now = handle_audio_now

    async def read_frame(self) -> tuple[Sequence[ClientInput], bool]:
        """Return the inputs left of the next frame, and whether all of it is audio.

        Audio that does not have to wait has been handled then, and none is left. Raises
        `Disconnected`, and `ClientFault` for what cannot be read or comes too fast.
        """
        frame = await self._transport.receive()
        self._metering.count_message()
        if self._dialect.is_light(frame):
            with self._rates.loop.working():
                inputs = self._dialect.decode(frame)
                if self._handled(inputs):
                    return (), True
        else:
            inputs = await self._decode_in_thread(frame)
        audio_only = bool(inputs) and all(isinstance(each, AudioChunk) for each in inputs)
        await self._rates.wait_for_message(audio_only)
        await self._rates.loop.repay()
        await self._rates.loop.yield_to_loop()
        return inputs, audio_only

    def _handled(self, inputs: Sequence[ClientInput]) -> bool:
        """Handle a lone piece of audio, if it does not have to wait."""
        if len(inputs) != 1:
            return False
        [chunk] = inputs
        if not isinstance(chunk, AudioChunk) or not self._handle_audio_now(chunk):
            return False
        self._metering.count_input(chunk)
        return True

    async def _decode_in_thread(self, frame: bytes | str) -> Sequence[ClientInput]:
        measure = partial(self._rates.loop.measure, partial(self._dialect.decode, frame))
        inputs, taken_s = await run_in_decoder(measure)
        self._rates.loop.count_work(taken_s)
        return inputs
