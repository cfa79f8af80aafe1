"""Microphone stream of a session: resample to 16 kHz PCM and count positions.

The core refers to audio by positions only; the audio itself stays here, in a ring buffer. Chunks
may be split anywhere, even inside a sample or a WAV header, and the rate may change in mid-stream.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import soxr

from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, AudioChunk, Position, samples
from vivavoce.errors import ClientFault

RING_BUFFER_S = 660.0
"""Audio that a session keeps, 21 MB; older audio is dropped. Longer than a recognizer may
be behind before the client has to wait, so that none is lost to it."""

MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 192_000

# MQ looks about 9 ms ahead at 24 and 48 kHz, HQ 15 ms and more; their cost is the same
# (20 us for 100 ms of audio), and recognition cannot tell them apart.
RESAMPLER_QUALITY = "MQ"


class AudioBuffer:
    """Ring buffer of one session's microphone audio at 16 kHz; positions count on from `start`."""

    def __init__(self, start: Position = 0, ring_s: float = RING_BUFFER_S) -> None:
        self._ring = bytearray()
        self._base = start
        self._start = start
        self._ring_samples = samples(ring_s)
        self._odd = b""
        self._wav: WavFormat | None = None
        self._begin_stream()

    @property
    def position(self) -> Position:
        """Position up to which audio has arrived."""
        return self._base + len(self._ring) // BYTES_PER_SAMPLE

    @property
    def oldest(self) -> Position:
        """Position of the oldest audio in the buffer."""
        return self._base

    def add_chunk(self, chunk: AudioChunk) -> Position:
        """Append a chunk of the stream and return the new position. Raises `ClientFault`."""
        for data, wav in self._header.feed_bytes(chunk.data):
            if wav is not self._wav:
                self._wav, self._odd = wav, b""
            rate, channels = (chunk.rate, 1) if wav is None else (wav.rate, wav.channels)
            self._take(data, rate, channels)
        return self.position

    def end_stream(self, frame_samples: int = 0) -> Position:
        """Flush the end of the stream into the buffer; return the position of its end.

        Silence fills the last detector frame, counted from where the session's audio began.
        """
        if rest := self._header.flush_header():
            self.add_chunk(AudioChunk(rest, self._rate))
        self._flush_resampler()
        if frame_samples and (short := (self._start - self.position) % frame_samples):
            self._append(bytes(short * BYTES_PER_SAMPLE))
        self._begin_stream()
        return self.position

    def read_audio(self, start: Position, end: Position) -> bytes:
        """Return the audio between two positions, as far as it is still held."""
        first = max(0, start - self._base) * BYTES_PER_SAMPLE
        last = max(0, end - self._base) * BYTES_PER_SAMPLE
        return bytes(memoryview(self._ring)[first:last])

    def forget_audio(self, before: Position) -> None:
        """Drop the audio before this position."""
        surplus = min(before, self.position) - self._base
        if surplus > 0:
            del self._ring[: surplus * BYTES_PER_SAMPLE]
            self._base += surplus

    def _begin_stream(self) -> None:
        self._header = WavHeaderReader()
        self._wav = None
        self._odd = b""
        self._rate = INPUT_RATE
        self._resampler: soxr.ResampleStream | None = None

    def _take(self, data: bytes, rate: int, channels: int) -> None:
        if self._odd:
            data = self._odd + data
        whole = len(data) - len(data) % (channels * BYTES_PER_SAMPLE)
        data, self._odd = data[:whole], data[whole:]
        if data:
            self._append(self._resample(_mono(data) if channels == 2 else data, rate))

    def _append(self, pcm: bytes) -> None:
        self._ring += pcm
        self.forget_audio(self.position - self._ring_samples)

    def _resample(self, pcm: bytes, rate: int) -> bytes:
        if rate != self._rate:
            if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
                raise ClientFault(
                    1007,
                    f"Unsupported audio rate {rate}: send PCM between {MIN_RATE_HZ} and "
                    f"{MAX_RATE_HZ} samples a second.",
                )
            self._flush_resampler()
            self._rate = rate
            if rate != INPUT_RATE:
                self._resampler = soxr.ResampleStream(
                    rate, INPUT_RATE, 1, dtype="int16", quality=RESAMPLER_QUALITY
                )
        if self._resampler is None:
            return pcm
        heard = self._resampler.resample_chunk(np.frombuffer(pcm, dtype="<i2"))
        return bytes(heard.tobytes())

    def _flush_resampler(self) -> None:
        if self._resampler is not None:
            rest = self._resampler.resample_chunk(np.zeros(0, dtype=np.int16), last=True)
            self._resampler = None
            self._append(bytes(rest.tobytes()))


def _mono(pcm: bytes) -> bytes:
    """Mix stereo to mono."""
    pairs = np.frombuffer(pcm, dtype="<i2").reshape(-1, 2)
    return bytes((pairs.sum(axis=1, dtype=np.int32) // 2).astype("<i2").tobytes())


# --- WAV headers ------------------------------------------------------------------------------
#
# Some clients (among them a documented JavaScript sample) send a whole WAV file as if it were raw
# PCM. Unread, its header is a click, and a file at another rate is heard at the wrong speed.

MAX_HEADER_BYTES = 64 * 1024
"""Bytes before the data chunk of a WAV header; a file with more (cover art, say) is refused."""


@dataclass(frozen=True, slots=True)
class WavFormat:
    """Audio format that a WAV header declares."""

    rate: int
    channels: int


Sound = tuple[bytes, WavFormat | None]
"""Bytes of audio with their header's format; `None` without a header."""


class WavHeaderReader:
    """Parser that separates WAV headers from audio in one microphone stream.

    A stream may begin with a header. It holds for as much audio as it says; then another header
    may follow, or audio that needs none. A header that names no size holds to the end.
    """

    def __init__(self) -> None:
        self._head: bytearray | None = None
        self._left: int | None = None
        self._format: WavFormat | None = None
        self._look()

    def feed_bytes(self, data: bytes) -> list[Sound]:
        """Return the audio in `data`; none while a header is incomplete. Raises `ClientFault`."""
        found: list[Sound] = []
        while data:
            if self._head is not None:
                self._head += data
                data = self._decide(self._head)
                continue
            sound = data if self._left is None else data[: self._left]
            found.append((sound, self._format))
            data = data[len(sound) :]
            if self._left is not None:
                self._left -= len(sound)
                if not self._left:
                    self._look()
        return found

    def flush_header(self) -> bytes:
        """Return the held bytes of a stream that ends before a header could be recognized."""
        head, self._head = self._head or bytearray(), None
        return b"" if len(head) >= 4 else bytes(head)

    def _look(self) -> None:
        """Expect a header, or audio."""
        self._head, self._at = bytearray(), 12
        self._left = self._format = None

    def _decide(self, head: bytearray) -> bytes:
        """Return the audio in `head` once its beginning is certain; nothing before."""
        start: int | None = 0
        if _may_be_wav(head):
            start = self._find_sound(head)
            if start is None and len(head) > MAX_HEADER_BYTES:
                raise ClientFault(1007, "Invalid audio: a WAV header without a data chunk.")
        if start is None:
            return b""
        self._head = None
        return bytes(memoryview(head)[start:])

    def _find_sound(self, head: bytearray) -> int | None:
        """Return the offset of the data chunk; chunks that were read are not read again."""
        while self._at + 8 <= len(head):
            name, size = struct.unpack_from("<4sI", head, self._at)
            if name == b"data":
                if self._format is None:
                    raise ClientFault(1007, "Invalid audio: a WAV header without a format chunk.")
                # A recorder that writes as it goes knows no size: it is 0, or larger than any file.
                self._left = size or None
                return self._at + 8
            if name == b"fmt ":
                if self._at + 24 > len(head):
                    return None
                self._format = _read_format(head, self._at + 8)
            self._at += 8 + size + (size & 1)
        return None


def _may_be_wav(head: bytearray) -> bool:
    return b"RIFF".startswith(head[:4]) and b"WAVE".startswith(head[8:12])


def _read_format(head: bytearray, at: int) -> WavFormat:
    coding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, at)
    if coding not in (1, 0xFFFE) or bits != 16 or channels not in (1, 2):
        raise ClientFault(
            1007,
            f"Unsupported WAV audio (coding {coding}, {bits} bits, {channels} channels): "
            "send 16-bit PCM, mono or stereo.",
        )
    return WavFormat(rate, channels)
