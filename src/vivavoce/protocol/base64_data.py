"""Base64 as clients write it: both alphabets, even mixed, padded or not, with line breaks.

Python clients send the URL-safe alphabet, JavaScript the standard one. What we send is always
standard and padded, because browsers decode it with `atob`. Some encoders escape characters of it
in JSON: PHP slashes, Gson equal signs, .NET plus signs.
"""

from __future__ import annotations

import binascii
import re

import orjson
import pybase64

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_BLANKS = b" \t\r\n"
_ESCAPE = re.compile(rb"\\(?:[nrt/]|u00(?:0[9AaDd]|20|2[BbDdFf]|3[Dd]|5[Ff]))")
"""A blank, or a character of base64, as JSON can escape it."""

_MEANT = {b"\\n": b"", b"\\r": b"", b"\\t": b"", b"\\/": b"/"} | {
    digits: b"" if char in _BLANKS else bytes((char,))
    for char in b"+/-_=" + _BLANKS
    for digits in (b"%02x" % char, b"%02X" % char)
}
"""By the last two characters of an escape."""

_LONGEST_ESCAPE = 6

PIECE_BYTES = 64 * 1024
"""Decoded at a time. Python holds its lock within a piece, and gives way between two."""


class LongBase64:
    """A long base64 string as it stands in the JSON of a message, neither copied nor decoded."""

    def __init__(self, written: memoryview) -> None:
        self._written = written

    def __len__(self) -> int:
        return len(self._written)

    def __str__(self) -> str:
        text: str = orjson.loads(b'"%b"' % bytes(self._written))
        return text

    def decode(self) -> bytes:
        """The bytes that it spells, piece by piece. Raises `ValueError` when it is not base64."""
        decoded, rest, size = [], b"", len(self._written)
        ends = [*range(PIECE_BYTES, size - PIECE_BYTES, PIECE_BYTES), size]
        for start, end in zip([0, *ends], ends, strict=False):
            text = rest + bytes(self._written[start:end])
            cut = len(text) - unfinished_escape(text)
            text, escape = text[:cut], text[cut:]
            text = unescaped(text).translate(_TO_STANDARD, _BLANKS)
            whole = len(text) if end == size else len(text) - len(text) % 4
            decoded.append(_decode(text[:whole]))
            rest = text[whole:] + escape
        return b"".join(decoded)  # without Python's lock


def unfinished_escape(text: bytes) -> int:
    """How many bytes at the end of a piece of JSON begin an escape that goes on behind it."""
    at = text.rfind(b"\\", max(0, len(text) + 1 - _LONGEST_ESCAPE))
    begun = text[at:] if at >= 0 else b""
    return len(begun) if begun == b"\\" or begun.startswith(rb"\u") else 0


def unescaped(text: bytes) -> bytes:
    """Base64 without the escapes of JSON that stand in it."""
    return _ESCAPE.sub(_meant, text) if b"\\" in text else text


def without_escapes(text: bytes) -> bytes:
    """Base64 without any of these escapes: quicker, where only the rest of it matters."""
    return _ESCAPE.sub(b"", text) if b"\\" in text else text


def _meant(escape: re.Match[bytes]) -> bytes:
    return _MEANT[escape[0][-2:]]


def decode_base64(text: str | LongBase64) -> bytes:
    """The bytes that `text` spells. Raises `ValueError` when it is not base64."""
    if isinstance(text, LongBase64):
        return text.decode()
    try:
        raw = text.encode("ascii")
    except UnicodeEncodeError:
        raise ValueError("not base64: a character outside of ASCII") from None
    if b"-" in raw or b"_" in raw:
        raw = raw.translate(_TO_STANDARD)
    return _decode(raw)


def _decode(raw: bytes) -> bytes:
    try:
        return pybase64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError):
        return _decode_untidy(raw)


def _decode_untidy(raw: bytes) -> bytes:
    raw = raw.translate(None, _BLANKS).rstrip(b"=")
    try:
        return pybase64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64: {error}") from None
