"""A reader that gives large WebSocket frames to the parser as small fragments.

The parser of `websockets` unmasks a frame at once, and copies it twice: 20 ms for a picture of
20 MB, in which the event loop serves no one else. A frame and its fragments mean the same, and
fragments share a mask where their lengths are multiples of its four bytes. So only headers are
written, as the frame arrives.
"""

from __future__ import annotations

import struct
from collections.abc import Generator

from websockets.frames import Opcode
from websockets.streams import StreamReader

FRAGMENT_BYTES = 64 * 1024

_HEAD = struct.Struct("!BBQ4s")
_FINAL, _RESERVED, _OPCODE = 0x80, 0x70, 0x0F
_MASKED_64_BIT = 0x80 | 127
_SPLIT = (Opcode.CONT, Opcode.TEXT, Opcode.BINARY)


class FrameSplitter(StreamReader):
    """Splits masked data frames above `FRAGMENT_BYTES`, but those above `largest` bytes, which the
    parser refuses by their header.

    `left` is what of the present frame has not been given to the parser, in bytes.
    """

    def __init__(self, largest: int) -> None:
        super().__init__()
        self.left = 0
        self._largest = largest
        self._final = 0
        self._mask = b""

    def at_eof(self) -> Generator[None, None, bool]:
        """Tell whether the stream has ended; the parser asks before each frame."""
        if self.left:
            self._begin_fragment(Opcode.CONT)
            return False
        if (yield from super().at_eof()):
            return True
        yield from self._await(2)
        if len(self.buffer) >= 2 and self.buffer[1] == _MASKED_64_BIT:
            yield from self._await(_HEAD.size)
            if len(self.buffer) >= _HEAD.size:
                self._split()
        return False

    def _await(self, count: int) -> Generator[None, None, None]:
        while len(self.buffer) < count and not self.eof:
            yield

    def _split(self) -> None:
        first, _, length, mask = _HEAD.unpack_from(self.buffer)
        splits = first & _OPCODE in _SPLIT and not first & _RESERVED
        if splits and FRAGMENT_BYTES < length <= self._largest:
            del self.buffer[: _HEAD.size]
            self.left, self._mask, self._final = length, mask, first & _FINAL
            self._begin_fragment(first & _OPCODE)

    def _begin_fragment(self, opcode: int) -> None:
        """Put the header of the next fragment in front of what has arrived of it."""
        length = min(self.left, FRAGMENT_BYTES)
        self.left -= length
        final = 0 if self.left else self._final
        self.buffer[:0] = _HEAD.pack(final | opcode, _MASKED_64_BIT, length, self._mask)

    def discard(self) -> None:
        """Drop what has arrived, and the rest of its frame."""
        super().discard()
        self.left = 0
