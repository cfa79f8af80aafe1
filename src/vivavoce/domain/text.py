"""Text as the wire can spell it."""

from __future__ import annotations


def whole(text: str) -> str:
    """The text with paired surrogates joined and unpaired ones replaced by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
