"""What plays answers: queues that can be dropped at once when the user interrupts."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import IO, Protocol

from vivavoce.client.files import Recording
from vivavoce.domain.audio import BYTES_PER_SAMPLE, OUTPUT_RATE, pcm_seconds

PIPE_PIECE = OUTPUT_RATE // 25 * BYTES_PER_SAMPLE
"""Written to a pipe at once: 40 ms."""


class Speaker(Protocol):
    """Plays 24 kHz PCM in the order in which it was given."""

    def queue_audio(self, pcm: bytes) -> None:
        """Queue sound behind what is queued already."""
        ...

    def drop_audio(self) -> None:
        """Forget everything that wasn't played yet."""
        ...

    @property
    def pending_s(self) -> float:
        """Seconds of sound that are still to be played."""
        ...


async def wait_until_played(speaker: Speaker) -> None:
    """Wait until a speaker has played everything."""
    # A device tells nobody that it has become silent: one has to look.
    while (left := speaker.pending_s) > 0:  # noqa: ASYNC110
        await asyncio.sleep(min(left, 0.5))


class PlaybackQueue:
    """The queue between the session and a device's callback, which runs in a thread of its own.

    `on_output` is told what truly goes to the loudspeaker, silence included: the reference that an
    echo canceller needs.
    """

    def __init__(self, on_output: Callable[[bytes], None] | None = None) -> None:
        self._sound = bytearray()
        self._lock = threading.Lock()
        self._on_output = on_output

    def queue_audio(self, pcm: bytes) -> None:
        with self._lock:
            self._sound += pcm

    def drop_audio(self) -> None:
        with self._lock:
            self._sound.clear()

    @property
    def pending_s(self) -> float:
        return pcm_seconds(len(self._sound))

    def read_bytes(self, size: int) -> bytes:
        """Exactly `size` bytes for the device: sound, then silence."""
        with self._lock:
            piece = bytes(self._sound[:size])
            del self._sound[:size]
        piece = piece.ljust(size, b"\0")
        if self._on_output:
            self._on_output(piece)
        return piece


class ClockSpeaker:
    """A loudspeaker without a device: keeps time as one would, and what was heard.

    Sound that was dropped before its moment came is not in the recording, exactly as nobody
    would have heard it. `fast` plays everything at once, for files made faster than life.
    """

    def __init__(self, fast: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self.recording = Recording.empty()
        self._clock = clock
        self._fast = fast
        self._busy_until = clock()

    def queue_audio(self, pcm: bytes) -> None:
        if not self._fast:
            self._busy_until = max(self._busy_until, self._clock()) + pcm_seconds(pcm)
        self.recording.add_audio(pcm)

    def drop_audio(self) -> None:
        unplayed = round(self.pending_s * OUTPUT_RATE) * BYTES_PER_SAMPLE
        if unplayed:
            del self.recording.pcm[-unplayed:]
        self._busy_until = self._clock()

    @property
    def pending_s(self) -> float:
        return max(0.0, self._busy_until - self._clock())


class PipeSpeaker:
    """Hands raw PCM on as fast as it is taken; whoever reads the pipe plays it.

    A thread writes, so that a slow reader delays nothing but the sound. Once nobody reads, the
    rest goes nowhere. As `PipeMicrophone`, it stays below Python's buffer.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = getattr(pipe, "raw", pipe)
        self._sound = bytearray()
        self._writing = 0
        self._changed = threading.Condition()
        self._writer = threading.Thread(target=self._write, name="pipe-speaker", daemon=True)
        self._writer.start()

    def queue_audio(self, pcm: bytes) -> None:
        with self._changed:
            if self._writer.is_alive():
                self._sound += pcm
                self._changed.notify()

    def drop_audio(self) -> None:
        """What is in the pipe already is out of our hands."""
        with self._changed:
            self._sound.clear()

    @property
    def pending_s(self) -> float:
        """Seconds of sound that nobody took yet."""
        with self._changed:
            return pcm_seconds(len(self._sound) + self._writing)

    def _write(self) -> None:
        try:
            while True:
                with self._changed:
                    self._writing = 0
                    self._changed.wait_for(lambda: self._sound)
                    piece = bytes(self._sound[:PIPE_PIECE])
                    del self._sound[:PIPE_PIECE]
                    self._writing = len(piece)
                while piece:
                    piece = piece[self._pipe.write(piece) :]
        except (OSError, ValueError):
            with self._changed:
                self._sound.clear()
                self._writing = 0
