"""Base64 as clients write it: both alphabets, even mixed, padded or not, with line breaks.

Python clients send the URL-safe alphabet, JavaScript the standard one. What we send is always
standard and padded, because browsers decode it with `atob`.
"""

from __future__ import annotations

import binascii

import pybase64

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_BLANKS = b" \t\r\n"


def decode_base64(text: str) -> bytes:
    """The bytes that `text` spells. Raises `ValueError` when it is not base64."""
    try:
        raw = text.encode("ascii")
    except UnicodeEncodeError:
        raise ValueError("not base64: a character outside of ASCII") from None
    if b"-" in raw or b"_" in raw:
        raw = raw.translate(_TO_STANDARD)
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
