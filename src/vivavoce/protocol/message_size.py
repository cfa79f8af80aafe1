"""How much a message holds, found out before it is parsed.

What a message costs depends on the values in it and not on its bytes: 30 MB of base64 are one
string, 30 MB of empty lists ten million objects. Every value stands behind an opening bracket or a
comma, so these are counted. Only base64 may be large: what of a message is anything else is
bounded in bytes as well.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vivavoce.domain.json_size import exceeds
from vivavoce.errors import ClientFault
from vivavoce.protocol import close

LIGHT_BYTES = 256 * 1024
LIGHT_VALUES = 32
"""A message of so much at most is read within a few milliseconds, whatever it says."""

_BLOCK = 4096
_MARKS = "{[,"
_BASE64 = (string.ascii_letters + string.digits + "+/-_=").encode()


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """What one message may hold: `values`, and `text_bytes` of all but base64."""

    values: int = 50_000
    text_bytes: int = 1024 * 1024


def is_light(frame: bytes | str) -> bool:
    """Whether reading a message takes so little that an event loop can be without it.

    Takes a few microseconds itself, for the sound of a microphone one.
    """
    if len(frame) > LIGHT_BYTES:
        return False
    left = LIGHT_VALUES
    for mark in _MARKS:
        at = _find(frame, mark)
        while at >= 0 and left:
            left -= 1
            at = _find(frame, mark, at + 1)
        if not left:
            return False
    # An escape may be half of a character, for which all of them are looked at one by one.
    return len(frame) < _BLOCK or _find(frame, "\\") < 0


def check_size(frame: bytes | str, limits: MessageLimits) -> None:
    """Refuse a message of too many values or too much text. Raises `ClientFault`."""
    text = b"".join(_text_blocks(frame, limits))
    if exceeds(text, limits.values):
        raise close.too_big(f"more than {limits.values:,} values; send less at once.")


def check_texts(payload: Any, limits: MessageLimits) -> None:
    """Refuse long strings that only look like base64: it stands in fields called `data` alone.

    Names count as well: one may consist of the letters of base64. Raises `ClientFault`. For
    parsed messages within `limits.values`.
    """
    size, pending = 0, [payload]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value
            pending += [v for k, v in value.items() if k != "data" or not isinstance(v, str)]
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str):
            size += len(value)
            if size > limits.text_bytes:
                raise _too_much_text(limits)


def _text_blocks(frame: bytes | str, limits: MessageLimits) -> Iterator[bytes]:
    """The message in UTF-8 but for blocks of base64, where it is so large that they count."""
    large = len(frame) > limits.text_bytes
    size = 0
    for start in range(0, len(frame), _BLOCK):
        piece = frame[start : start + _BLOCK]
        block = piece.encode("utf-8", "surrogatepass") if isinstance(piece, str) else piece
        if not (large and _is_base64(block)):
            size += len(block)
            if size > limits.text_bytes:
                raise _too_much_text(limits)
            yield block


def _too_much_text(limits: MessageLimits) -> ClientFault:
    return close.too_big(f"more than {limits.text_bytes:,} bytes of anything but base64 data.")


def _find(frame: bytes | str, mark: str, start: int = 0) -> int:
    return frame.find(mark, start) if isinstance(frame, str) else frame.find(mark.encode(), start)


def _is_base64(block: bytes) -> bool:
    if b'"' in block:
        return False
    if b"\\" in block:  # lines, as some encoders break them
        block = block.replace(b"\\n", b"").replace(b"\\r", b"")
    return not block.translate(None, _BASE64)
