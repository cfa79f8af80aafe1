"""Frames as JSON objects: one parse, and what text may not be.

orjson reads everything that is JSON, except unpaired surrogates, which JavaScript produces when
it cuts a string inside a character. In such frames the stray halves are replaced first.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from vivavoce.domain.text import replace_surrogates
from vivavoce.protocol import close

MAX_DEPTH = 64
"""How deeply objects and arrays may nest; deeper ones serve only to exhaust a reader."""

_HEX = "[0-9a-fA-F]{2}"
_HALVES = re.compile(
    rf"\\u[dD][89abAB]{_HEX}\\u[dD][c-fC-F]{_HEX}|(?P<stray>\\u[dD][89a-fA-F]{_HEX})"
)
"""A character that is escaped as two halves, or a half alone."""


def parse_frame(frame: bytes | str) -> dict[str, Any]:
    """The JSON object that a text or binary frame holds. Raises `ClientFault`."""
    try:
        payload = orjson.loads(_without_bom(frame))
    except orjson.JSONDecodeError as error:
        payload = _parse_with_stray_surrogates(frame, error)
    if not isinstance(payload, dict):
        raise close.malformed("A message must be a JSON object.")
    return payload


def _without_bom(frame: bytes | str) -> bytes | str:
    if isinstance(frame, str):
        return frame.removeprefix("\ufeff")
    return frame.removeprefix(b"\xef\xbb\xbf")


def _parse_with_stray_surrogates(frame: bytes | str, error: Exception) -> object:
    try:
        text = frame if isinstance(frame, str) else frame.decode("utf-8")
        return orjson.loads(
            _without_stray_surrogates(replace_surrogates(text.removeprefix("\ufeff")))
        )
    except ValueError:
        raise close.malformed(f"Expected JSON: {error}.") from None


def _without_stray_surrogates(text: str) -> str:
    """The JSON with U+FFFD for every half of a character that is escaped alone."""
    pieces: list[str] = []
    taken, at = 0, text.find("\\")
    while at >= 0:
        halves = _HALVES.match(text, at)
        if halves is not None and halves["stray"]:
            pieces += text[taken:at], "\ufffd"
            taken = halves.end()
        at = text.find("\\", at + 2 if halves is None else halves.end())
    return "".join((*pieces, text[taken:]))


def check_depth(payload: dict[str, Any]) -> None:
    """Refuse nesting beyond `MAX_DEPTH`, before anything recurses over it."""
    level: list[Any] = [payload]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return
    raise close.malformed(f"It is nested more than {MAX_DEPTH} levels deep.")


def _children(value: Any) -> list[Any]:
    items = value.values() if isinstance(value, dict) else value
    return [item for item in items if isinstance(item, dict | list)]
