"""WAV headers in a microphone stream: recognized, honoured for their own sound, and taken off.

Some clients (among them a documented JavaScript sample) send a whole WAV file as if it were
raw PCM. Unread, the header is a click, and a file at another rate is heard at the wrong speed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vivavoce.errors import ClientFault

MAX_HEADER_BYTES = 64 * 1024
"""A file whose sound begins later than this (cover art, say) is not a microphone."""


@dataclass(frozen=True, slots=True)
class WavFormat:
    """What the header says about the sound behind it."""

    rate: int
    channels: int


Sound = tuple[bytes, WavFormat | None]
"""Bytes of sound, and what a header said about them; `None` where there was no header."""


class WavHeaderReader:
    """Tells headers from sound in one microphone stream.

    A stream may begin with a header. It holds for as much sound as it says; then another header
    may follow, or sound that needs none. A header that names no size holds to the end.
    """

    def __init__(self) -> None:
        self._head: bytearray | None = None
        self._left: int | None = None
        self._format: WavFormat | None = None
        self._look()

    def feed_bytes(self, data: bytes) -> list[Sound]:
        """The sound in `data`: none while undecided. Raises `ClientFault` for other WAV files."""
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

    def take_held(self) -> bytes:
        """What was held back when the stream ends undecided: too short to be a header."""
        head, self._head = self._head or bytearray(), None
        return b"" if len(head) >= 4 else bytes(head)

    def _look(self) -> None:
        """What comes next may be a header."""
        self._head, self._at = bytearray(), 12
        self._left = self._format = None

    def _decide(self, head: bytearray) -> bytes:
        """The sound in `head` once it is certain where it begins; nothing before."""
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
        """Where the data chunk begins; what was looked at is not looked at again."""
        while self._at + 8 <= len(head):
            name, size = struct.unpack_from("<4sI", head, self._at)
            if name == b"data":
                if self._format is None:
                    raise ClientFault(1007, "Invalid audio: a WAV header without a format chunk.")
                # Whoever writes while recording knows no size: it is 0, or larger than any file.
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
