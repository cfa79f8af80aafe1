"""Which addresses may be cited: whole ones on the web, which stay one word wherever they stand."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

MAX_URI_CHARS = 2000
_BAD = re.compile(r"[\s<>\"\\^`{|}\x00-\x1f\x7f\ud800-\udfff]")


def host_of(uri: str) -> str:
    """The host of a whole http address, in small letters; empty if it is none.

    An address that is very long, that names a user or that holds a blank, a quotation mark or
    another character which addresses don't have is none.
    """
    if len(uri) > MAX_URI_CHARS or _BAD.search(uri):
        return ""
    try:
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https") or parts.username is not None:
            return ""
        return (parts.hostname or "").lower()
    except ValueError:
        return ""
