"""What is said between the server and a recognition worker: frames on two pipes, in lock step.

A frame is the length of its payload (4 bytes, big-endian), one byte that says what it is,
and the payload: PCM, or JSON, or text. Each request has exactly one reply. Nothing that is
received can name code to run.
"""

from __future__ import annotations

import struct
from enum import Enum

HEADER = struct.Struct(">Ic")
MAX_PAYLOAD = 1 << 20


class Request(Enum):
    """What the server asks."""

    LOAD = b"L"
    """JSON: the decoder's options. The first request."""
    BEGIN = b"B"
    """JSON: `{"mean": …}`; an utterance begins."""
    FEED = b"A"
    """PCM, 16 kHz."""
    HYPOTHESIS = b"H"
    """The reply is the text so far."""
    FINISH = b"F"
    """The reply is JSON: `{"text": …, "mean": …}`."""
    ABANDON = b"X"
    """Nobody wants the rest of the utterance."""


class Reply(Enum):
    """What the worker answers."""

    DONE = b"+"
    FAILED = b"!"
    """Text: what went wrong."""


def frame(kind: Request | Reply, payload: bytes = b"") -> bytes:
    """The bytes of one frame."""
    return HEADER.pack(len(payload), kind.value) + payload
