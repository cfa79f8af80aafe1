"""A WAV header at the start of a microphone stream: recognized, honoured and taken off.

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


class HeaderReader:
    """Takes the first bytes of a stream until it is certain whether they are a header."""

    def __init__(self) -> None:
        self._head: bytearray | None = bytearray()
        self.format: WavFormat | None = None

    @property
    def decided(self) -> bool:
        """Whether everything from here on is sound."""
        return self._head is None

    def feed(self, data: bytes) -> bytes:
        """The sound in `data`: empty while undecided. Raises `ClientFault` for other WAV files."""
        if self._head is None:
            return data
        self._head += data
        head = bytes(self._head)
        if not _may_be_wav(head):
            self._head = None
            return head
        start = self._find_sound(head)
        if start is None:
            if len(head) > MAX_HEADER_BYTES:
                raise ClientFault(1007, "Invalid audio: a WAV header without a data chunk.")
            return b""
        self._head = None
        return head[start:]

    def rest(self) -> bytes:
        """What was held back when the stream ends undecided: too short to be a header."""
        head, self._head = self._head or bytearray(), None
        return b"" if len(head) >= 4 else bytes(head)

    def _find_sound(self, head: bytes) -> int | None:
        at = 12
        while at + 8 <= len(head):
            name, size = struct.unpack_from("<4sI", head, at)
            if name == b"data":
                if self.format is None:
                    raise ClientFault(1007, "Invalid audio: a WAV header without a format chunk.")
                return at + 8
            if name == b"fmt " and at + 24 <= len(head):
                self.format = _read_format(head, at + 8)
            at += 8 + size + (size & 1)
        return None


def _may_be_wav(head: bytes) -> bool:
    return b"RIFF".startswith(head[:4]) and b"WAVE".startswith(head[8:12])


def _read_format(head: bytes, at: int) -> WavFormat:
    coding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, at)
    if coding not in (1, 0xFFFE) or bits != 16 or channels not in (1, 2):
        raise ClientFault(
            1007,
            f"Unsupported WAV audio (coding {coding}, {bits} bits, {channels} channels): "
            "send 16-bit PCM, mono or stereo.",
        )
    return WavFormat(rate, channels)
