"""Sound files: read any WAV as what a microphone would give, write answers as WAV."""

from __future__ import annotations

import asyncio
import io
import threading
import wave
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, OUTPUT_RATE, pcm_seconds
from vivavoce.errors import ConfigError

CHUNK_S = 0.04
"""Sound is sent in pieces of this length, as microphones give it."""

READ_AHEAD = 25
"""Pieces taken from a pipe before anybody wants them."""

CHUNK_BYTES = round(CHUNK_S * INPUT_RATE) * BYTES_PER_SAMPLE


class Microphone(Protocol):
    """Gives sound as it is heard: 16-bit mono PCM at 16 kHz."""

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Pieces as they come; ends when the source does."""
        ...


def read_wav(path: Path) -> bytes:
    """The sound of a WAV file as 16 kHz mono PCM, whatever its rate, width and channels.

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
    """Samples in -1..1. WAV holds 8 bits unsigned, everything wider signed little-endian."""
    if width == 1:
        unsigned = np.frombuffer(frames, np.uint8).astype(np.float32)
        return (unsigned - np.float32(128)) / np.float32(128)
    # Padded at the low end, so that 24 bits are read as 32 without a change of value.
    padded = np.zeros((len(frames) // width, 4), np.uint8)
    padded[:, 4 - width :] = np.frombuffer(frames, np.uint8).reshape(-1, width)
    return padded.view("<i4").reshape(-1).astype(np.float32) / np.float32(2**31)


def to_pcm(samples: NDArray[np.float32]) -> bytes:
    """16-bit PCM of samples in -1..1, clipped where they are louder than that."""
    scaled = np.rint(samples * 2**15)
    return np.clip(scaled, -(2**15), 2**15 - 1).astype("<i2").tobytes()


async def pace_chunks(chunks: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    """16 kHz pieces, each at the moment at which its last sample would have been heard."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for chunk in chunks:
        due += pcm_seconds(chunk, INPUT_RATE)
        await asyncio.sleep(max(0.0, due - loop.time()))
        yield chunk


class FileMicrophone:
    """Plays sound that is already there, at real-time pace or as fast as it is taken.

    With `tail_s` the microphone stays on: that much silence follows the sound.
    """

    def __init__(self, pcm: bytes, fast: bool = False, tail_s: float = 0.0) -> None:
        self.pcm = pcm + bytes(round(tail_s * INPUT_RATE) * BYTES_PER_SAMPLE)
        self._fast = fast

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Pieces of 40 ms."""
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
    """A microphone that is on and hears nothing."""

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Silence at real-time pace, for ever."""
        async with aclosing(pace_chunks(repeat(bytes(CHUNK_BYTES)))) as timed:
            async for chunk in timed:
                yield chunk


class PipeMicrophone:
    """Raw 16 kHz PCM from a pipe, at the pace at which it comes.

    A thread reads, since nothing can call a read back: it is a daemon, so that a pipe that
    stays open and says nothing keeps neither the conversation nor the process. It reads below
    Python's buffer, whose lock would be taken again at the process's end.
    """

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = getattr(pipe, "raw", pipe)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Pieces as the pipe gives them, until it ends."""
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        room = threading.Semaphore(READ_AHEAD)

        def read() -> None:
            chunk = b"first"
            while chunk:
                room.acquire()
                try:
                    chunk = self._pipe.read(CHUNK_BYTES) or b""
                except (OSError, ValueError):
                    chunk = b""
                try:
                    loop.call_soon_threadsafe(heard.put_nowait, chunk)
                except RuntimeError:  # the loop is gone, and with it whoever wanted this
                    return

        threading.Thread(target=read, name="pipe-microphone", daemon=True).start()
        while chunk := await heard.get():
            room.release()
            yield chunk


@dataclass(slots=True)
class Recording:
    """Sound gathered in memory, 24 kHz unless said otherwise."""

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
        """The whole as a WAV file."""
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(BYTES_PER_SAMPLE)
            writer.setframerate(self.rate)
            writer.writeframes(bytes(self.pcm))
        return file.getvalue()

    def save(self, path: Path) -> None:
        """Write the whole as a WAV file. Raises `ConfigError` where that isn't possible."""
        try:
            path.write_bytes(self.wav_bytes())
        except OSError as error:
            raise ConfigError(
                f"{path} can't be written: {error.strerror}.", "Choose another --out."
            ) from error
