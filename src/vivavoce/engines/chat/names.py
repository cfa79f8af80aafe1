"""Function names on both sides: chat servers allow fewer signs than the Live API does."""

from __future__ import annotations

import re
from collections.abc import Iterable

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST = 64


class Names:
    """The names of one request's functions, respelled one to one."""

    def __init__(self, names: Iterable[str]) -> None:
        self._to_chat: dict[str, str] = {}
        self._from_chat: dict[str, str] = {}
        for name in names:
            self.to_chat(name)

    def to_chat(self, name: str) -> str:
        """The name as a chat server may see it."""
        if name not in self._to_chat:
            plain = _FORBIDDEN.sub("_", name)[:_LONGEST] or "_"
            spelled, number = plain, 2
            while spelled in self._from_chat:
                ending = f"_{number}"
                spelled, number = plain[: _LONGEST - len(ending)] + ending, number + 1
            self._to_chat[name] = spelled
            self._from_chat[spelled] = name
        return self._to_chat[name]

    def from_chat(self, name: str) -> str:
        """The declared name; an unknown one stays as it is."""
        return self._from_chat.get(name, name)
