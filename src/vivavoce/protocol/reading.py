"""Frames as JSON objects: one parse, and what text may not be.

orjson reads everything that is JSON, except escapes of unpaired surrogates, which JavaScript
produces when it cuts a string inside a character. Those frames are read a second time, slowly,
with the stray halves replaced.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from vivavoce.protocol import close

MAX_DEPTH = 64
"""How deeply objects and arrays may nest; deeper ones serve only to exhaust a reader."""

_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(frame: bytes | str) -> dict[str, Any]:
    """The JSON object that a text or binary frame holds. Raises `ClientFault`."""
    raw = _utf8(frame)
    try:
        payload = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        payload = _parse_with_stray_surrogates(raw, str(error))
    if not isinstance(payload, dict):
        raise close.malformed("A message must be a JSON object.")
    return payload


def _utf8(frame: bytes | str) -> bytes:
    raw = _whole(frame).encode("utf-8") if isinstance(frame, str) else bytes(frame)
    return raw.removeprefix(_BOM)


def _parse_with_stray_surrogates(raw: bytes, problem: str) -> object:
    if not _SURROGATE.search(raw):
        raise close.malformed(f"Expected JSON: {problem}.")
    try:
        return _mended(json.loads(raw, parse_constant=_refuse_constant))
    except (ValueError, RecursionError):
        raise close.malformed(f"Expected JSON: {problem}.") from None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_whole(key): _mended(item) for key, item in value.items()}
    return value


def _whole(text: str) -> str:
    """The text with paired surrogates joined and unpaired ones replaced by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


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
