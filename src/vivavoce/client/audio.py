"""Audio input and output of the client: sound cards, WAV files, pipes, or no device.

Sound cards are reached by miniaudio, which brings everything in its wheel, on Linux, macOS and
Windows alike. The back end `null` is for servers and tests: silent input; output is
timed but not played.
"""

from __future__ import annotations

import asyncio
import importlib
import io
import os
import threading
import time
import wave
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, OUTPUT_RATE, pcm_seconds
from vivavoce.errors import ConfigError
from vivavoce.install_hints import install_command

CHUNK_S = 0.04
"""Audio is sent in chunks of this length, as microphones give it."""

READ_AHEAD_CHUNKS = 25
"""Chunks read from a pipe in advance."""

CHUNK_BYTES = round(CHUNK_S * INPUT_RATE) * BYTES_PER_SAMPLE

PIPE_BYTES = OUTPUT_RATE // 25 * BYTES_PER_SAMPLE
"""Written to a pipe at once: 40 ms."""
BACKENDS = ("miniaudio", "null")
MAX_QUEUED_CHUNKS = 250
"""Microphone chunks kept while the network is slow: ten seconds; the oldest are dropped."""


class Microphone(Protocol):
    """A source of 16-bit mono PCM at 16 kHz."""

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield chunks as they come, until the source ends."""
        ...


def read_wav(path: Path) -> bytes:
    """Read a WAV file of any rate, width and channels as 16 kHz mono PCM.

    Raises `ConfigError` when it isn't there or isn't integer PCM.
    """
    try:
        with wave.open(str(path), "rb") as file:
            rate, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
            frames = file.readframes(file.getnframes())
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}.", "Check the path.") from error
    except (wave.Error, EOFError) as error:
        raise ConfigError(
            f"{path} is not a WAV file of integer PCM ({error}).",
            f"Convert it first, for example: ffmpeg -i {path.name} -c:a pcm_s16le out.wav",
        ) from error
    whole = len(frames) - len(frames) % (width * channels)
    mono = _decode_samples(frames[:whole], width).reshape(-1, channels).mean(axis=1)
    return to_pcm(soxr.resample(mono, rate, INPUT_RATE) if rate != INPUT_RATE else mono)


def _decode_samples(frames: bytes, width: int) -> NDArray[np.float32]:
    """Return samples in -1..1. WAV holds 8 bits unsigned, all wider ones signed little-endian."""
    if width == 1:
        unsigned = np.frombuffer(frames, np.uint8).astype(np.float32)
        return (unsigned - np.float32(128)) / np.float32(128)
    # Padded at the low end, so that 24 bits are read as 32 without a change of value.
    padded = np.zeros((len(frames) // width, 4), np.uint8)
    padded[:, 4 - width :] = np.frombuffer(frames, np.uint8).reshape(-1, width)
    return padded.view("<i4").reshape(-1).astype(np.float32) / np.float32(2**31)


def to_pcm(samples: NDArray[np.float32]) -> bytes:
    """Return samples in -1..1 as 16-bit PCM; louder ones are clipped."""
    scaled = np.rint(samples * 2**15)
    return np.clip(scaled, -(2**15), 2**15 - 1).astype("<i2").tobytes()


async def pace_chunks(chunks: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield each 16 kHz chunk at the time at which a microphone would have completed it."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for chunk in chunks:
        due += pcm_seconds(chunk, INPUT_RATE)
        await asyncio.sleep(max(0.0, due - loop.time()))
        yield chunk


class FileMicrophone:
    """Yields a recording at real-time pace, or as fast as it is read, then `tail_s` of silence."""

    def __init__(self, pcm: bytes, fast: bool = False, tail_s: float = 0.0) -> None:
        self.pcm = pcm + bytes(round(tail_s * INPUT_RATE) * BYTES_PER_SAMPLE)
        self._fast = fast

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield chunks of 40 ms."""
        pieces = (self.pcm[at : at + CHUNK_BYTES] for at in range(0, len(self.pcm), CHUNK_BYTES))
        if not self._fast:
            async with aclosing(pace_chunks(pieces)) as timed:
                async for chunk in timed:
                    yield chunk
            return
        for chunk in pieces:
            await asyncio.sleep(0)
            yield chunk


class SilentMicrophone:
    """Yields silence."""

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield silence at real-time pace, without end."""
        async with aclosing(pace_chunks(repeat(bytes(CHUNK_BYTES)))) as timed:
            async for chunk in timed:
                yield chunk


class PipeMicrophone:
    """Reads raw 16 kHz PCM from a pipe, at the pace at which it comes.

    A daemon thread reads, since a blocking read can't be cancelled: an open pipe without data holds
    up neither the conversation nor the end of the process. It reads below Python's buffer, whose
    lock would be taken again at the process's end.
    """

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = getattr(pipe, "raw", pipe)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield chunks as the pipe gives them, until it ends."""
        loop = asyncio.get_running_loop()
        received: asyncio.Queue[bytes] = asyncio.Queue()
        room = threading.Semaphore(READ_AHEAD_CHUNKS)

        def read() -> None:
            chunk = b"first"
            while chunk:
                room.acquire()
                try:
                    chunk = self._pipe.read(CHUNK_BYTES) or b""
                except (OSError, ValueError):
                    chunk = b""
                try:
                    loop.call_soon_threadsafe(received.put_nowait, chunk)
                except RuntimeError:  # the loop is closed, and with it the reader
                    return

        threading.Thread(target=read, name="pipe-microphone", daemon=True).start()
        while chunk := await received.get():
            room.release()
            yield chunk


@dataclass(slots=True)
class Recording:
    """Audio collected in memory, 24 kHz by default."""

    pcm: bytearray
    rate: int = OUTPUT_RATE

    @classmethod
    def empty(cls, rate: int = OUTPUT_RATE) -> Recording:
        return cls(bytearray(), rate)

    def add_audio(self, pcm: bytes) -> None:
        self.pcm += pcm

    @property
    def seconds(self) -> float:
        return pcm_seconds(len(self.pcm), self.rate)

    def wav_bytes(self) -> bytes:
        """Return the recording as a WAV file."""
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(BYTES_PER_SAMPLE)
            writer.setframerate(self.rate)
            writer.writeframes(bytes(self.pcm))
        return file.getvalue()

    def save(self, path: Path) -> None:
        """Write the recording as a WAV file. Raises `ConfigError` where that isn't possible."""
        try:
            path.write_bytes(self.wav_bytes())
        except OSError as error:
            raise ConfigError(
                f"{path} can't be written: {error.strerror}.", "Choose another --out."
            ) from error


# --- speakers ------------------------------------------------------------------------------------


class Speaker(Protocol):
    """Plays 24 kHz PCM in order."""

    def queue_audio(self, pcm: bytes) -> None:
        """Append audio to the queue."""
        ...

    def drop_audio(self) -> None:
        """Drop everything that wasn't played yet, as when the user interrupts."""
        ...

    @property
    def pending_s(self) -> float:
        """Seconds of audio that are still to be played."""
        ...


async def wait_until_played(speaker: Speaker) -> None:
    """Wait until a speaker has played everything."""
    # Devices do not notify of silence, so that it is polled.
    while (left := speaker.pending_s) > 0:  # noqa: ASYNC110
        await asyncio.sleep(min(left, 0.5))


class PlaybackQueue:
    """The queue between the session and a device's callback, which runs in a thread of its own.

    `on_output` gets what truly goes to the loudspeaker, silence included: the reference that an
    echo canceller needs.
    """

    def __init__(self, on_output: Callable[[bytes], None] | None = None) -> None:
        self._queued = bytearray()
        self._lock = threading.Lock()
        self._on_output = on_output

    def queue_audio(self, pcm: bytes) -> None:
        with self._lock:
            self._queued += pcm

    def drop_audio(self) -> None:
        with self._lock:
            self._queued.clear()

    @property
    def pending_s(self) -> float:
        return pcm_seconds(len(self._queued))

    def read_bytes(self, size: int) -> bytes:
        """Return exactly `size` bytes for the device: audio, then silence."""
        with self._lock:
            piece = bytes(self._queued[:size])
            del self._queued[:size]
        piece = piece.ljust(size, b"\0")
        if self._on_output:
            self._on_output(piece)
        return piece


class ClockSpeaker:
    """A speaker without a device, which keeps time like one and records what it plays.

    Audio that was dropped before its time is not in the recording. `fast` plays everything at once,
    for files made faster than real time.
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
    """Writes raw PCM to a pipe as fast as it is read there.

    A thread writes, so that a slow reader delays nothing but the audio. Once the pipe is closed,
    the remainder is dropped. As `PipeMicrophone`, it stays below Python's buffer.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = getattr(pipe, "raw", pipe)
        self._queued = bytearray()
        self._writing = 0
        self._changed = threading.Condition()
        self._writer = threading.Thread(target=self._write, name="pipe-speaker", daemon=True)
        self._writer.start()

    def queue_audio(self, pcm: bytes) -> None:
        with self._changed:
            if self._writer.is_alive():
                self._queued += pcm
                self._changed.notify()

    def drop_audio(self) -> None:
        """Drop what is not in the pipe yet."""
        with self._changed:
            self._queued.clear()

    @property
    def pending_s(self) -> float:
        """Seconds of audio that were not read yet."""
        with self._changed:
            return pcm_seconds(len(self._queued) + self._writing)

    def _write(self) -> None:
        try:
            while True:
                with self._changed:
                    self._writing = 0
                    self._changed.wait_for(lambda: self._queued)
                    piece = bytes(self._queued[:PIPE_BYTES])
                    del self._queued[:PIPE_BYTES]
                    self._writing = len(piece)
                while piece:
                    piece = piece[self._pipe.write(piece) :]
        except (OSError, ValueError):
            with self._changed:
                self._queued.clear()
                self._writing = 0


# --- devices -------------------------------------------------------------------------------------


class AudioDeviceMissing(ConfigError):
    """A microphone or loudspeaker can't be opened on this machine."""

    code = "E-NO-AUDIO-DEVICE"


@dataclass(frozen=True, slots=True)
class AudioDevice:
    """A microphone or loudspeaker as the library lists it; `id` is the library's own."""

    index: int
    name: str
    output: bool
    id: Any = None


class QueueMicrophone:
    """Passes audio from a device's thread into the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(MAX_QUEUED_CHUNKS)

    def add_audio(self, pcm: bytes) -> None:
        """Append a chunk. Called by the device, from any thread."""
        self._loop.call_soon_threadsafe(self._put, pcm)

    def _put(self, pcm: bytes) -> None:
        if self._chunks.full():
            self._chunks.get_nowait()
        self._chunks.put_nowait(pcm)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield chunks as the device gives them, without end."""
        while True:
            yield await self._chunks.get()


def _import_library() -> Any:
    try:
        return importlib.import_module("miniaudio")
    except ImportError as error:
        fix = f"Run `{install_command('miniaudio')}`, or use recordings: --in FILE --out FILE."
        problem = "No library for microphones and loudspeakers is installed."
        raise ConfigError(problem, fix) from error


def choose_backend(wanted: str = "") -> str:
    """Return the back end to use. Raises `ConfigError` if there is no such, or no library."""
    if wanted and wanted not in BACKENDS:
        raise ConfigError(f"There is no sound back end {wanted!r}.", f"Use {', '.join(BACKENDS)}.")
    if wanted != "null":
        _import_library()
    return wanted or "miniaudio"


def list_devices(backend: str = "miniaudio") -> list[AudioDevice]:
    """List every device of the back end: microphones, then loudspeakers."""
    if backend == "null":
        return [AudioDevice(0, "null", output=False), AudioDevice(1, "null", output=True)]
    library = _import_library()
    try:
        with _silence_alsa():
            seen = library.Devices(_real_backends(library))
            listed = [(False, each) for each in seen.get_captures()]
            listed += [(True, each) for each in seen.get_playbacks()]
    except library.MiniaudioError:
        return []
    return [
        AudioDevice(index, each["name"], output, each["id"])
        for index, (output, each) in enumerate(listed)
    ]


def _real_backends(library: Any) -> list[Any]:
    """Return every back end of the library except the null back end."""
    return [backend for backend in library.Backend if backend is not library.Backend.NULL]


def find_device(listed: Sequence[AudioDevice], wanted: str, output: bool) -> AudioDevice | None:
    """Return the device that `wanted` names by number or by part of its name.

    `None` for the system's default (empty `wanted`). Raises `ConfigError` when nothing or
    more than one fits.
    """
    if not wanted:
        return None
    usable = [device for device in listed if device.output is output]
    if wanted.isdigit():
        fits = [device for device in usable if device.index == int(wanted)]
    else:
        fits = [device for device in usable if wanted.casefold() in device.name.casefold()]
    if len(fits) == 1:
        return fits[0]
    kind = "output" if output else "input"
    names = ", ".join(f"{each.index} {each.name}" for each in fits or usable) or "none"
    problem = "More than one" if fits else "No"
    raise ConfigError(
        f"{problem} {kind} device fits {wanted!r}.", f"There are: {names}. See --list-devices."
    )


@contextmanager
def open_devices(
    backend: str,
    microphone: str = "",
    speaker: str = "",
    on_output: Callable[[bytes], None] | None = None,
) -> Iterator[tuple[Microphone, Speaker]]:
    """Run a microphone and a loudspeaker; `on_output` gets what is played, silence included.

    Raises `AudioDeviceMissing` where there are none.
    """
    if backend == "null":
        yield SilentMicrophone(), ClockSpeaker()
        return
    recorder, queue = QueueMicrophone(), PlaybackQueue(on_output)
    with (
        open_microphone(microphone, recorder.add_audio),
        open_speaker(speaker, queue.read_bytes),
    ):
        yield recorder, queue


@contextmanager
def open_microphone(
    wanted: str = "", on_audio: Callable[[bytes], object] = bytes
) -> Iterator[None]:
    """Run a microphone, which calls `on_audio` with 16 kHz PCM from any thread.

    Raises `AudioDeviceMissing` when it can't be opened, `ConfigError` when `wanted` names none.
    """

    def capture() -> Generator[None, bytes, None]:
        while True:
            on_audio(bytes((yield)))

    with _run_stream(wanted, False, capture()):
        yield


@contextmanager
def open_speaker(wanted: str = "", read_audio: Callable[[int], bytes] = bytes) -> Iterator[None]:
    """Run a loudspeaker, which calls `read_audio` for 24 kHz PCM from any thread.

    Raises `AudioDeviceMissing` when it can't be opened, `ConfigError` when `wanted` names none.
    """

    def playback() -> Generator[bytes, int, None]:
        frames = yield b""
        while True:
            frames = yield read_audio(frames * BYTES_PER_SAMPLE)

    with _run_stream(wanted, True, playback()):
        yield


@contextmanager
def _run_stream(wanted: str, output: bool, feed: Generator[Any, Any, None]) -> Iterator[None]:
    library = _import_library()
    device = find_device(list_devices(), wanted, output)
    try:
        with _silence_alsa():
            stream = (library.PlaybackDevice if output else library.CaptureDevice)(
                sample_rate=OUTPUT_RATE if output else INPUT_RATE,
                nchannels=1,
                buffersize_msec=round(CHUNK_S * 1000),
                app_name="vivavoce",
                backends=_real_backends(library),
                device_id=device.id if device else None,
            )
            next(feed)
            stream.start(feed)
    except library.MiniaudioError as error:
        words = ", ".join(
            f"code {part}" if isinstance(part, int) else str(part) for part in error.args
        )
        kind = "loudspeaker" if output else "microphone"
        raise AudioDeviceMissing(
            f"No {kind} could be opened by miniaudio ({words}).",
            "See --list-devices; without a sound card use --in FILE --out FILE.",
        ) from error
    try:
        yield
    finally:
        stream.close()


@contextmanager
def _silence_alsa() -> Iterator[None]:
    """Suppress ALSA's messages on stderr; it writes many when there is no sound card."""
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
