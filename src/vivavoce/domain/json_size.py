"""How many values JSON holds, found out without parsing it."""

from __future__ import annotations

_MARKS = b"{[,"


def exceeds_values(text: bytes, values: int) -> bool:
    """Whether JSON in UTF-8 holds more than so many objects, lists and things in them.

    Every value stands behind an opening bracket or a comma, so these are counted where they are
    no part of a string. Takes about a millisecond for a megabyte.
    """
    return _count_marks(text) > values and _count_marks(_without_strings(text)) > values


def _count_marks(text: bytes) -> int:
    return sum(map(text.count, _MARKS))


def _without_strings(text: bytes) -> bytes:
    """The JSON with nothing for every string in it."""
    plain = text.replace(rb"\\", b"").replace(rb"\"", b"")
    return b"".join(plain.split(b'"')[::2])
