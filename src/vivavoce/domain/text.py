"""Text as the wire can spell it."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9_.:/;=+-]{1,40}")


def replace_surrogates(text: str) -> str:
    """The text with paired surrogates joined and unpaired ones replaced by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def utf8(text: str | bytes) -> bytes:
    """The text in UTF-8, made whole if need be; bytes as they are."""
    if not isinstance(text, str):
        return text
    try:
        return text.encode()
    except UnicodeEncodeError:
        return replace_surrogates(text).encode()


def loggable_name(text: str) -> str:
    """Return `text` if it is a name without spaces; dots for what may be words."""
    return text if _NAME.fullmatch(text) else "…"
