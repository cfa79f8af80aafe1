"""Frames as JSON objects: one parse, and what text may not be.

orjson reads everything that is JSON, except unpaired surrogates, which JavaScript produces when
it cuts a string inside a character. Such frames are read a second time, slowly, with the stray
halves replaced.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

from vivavoce.domain.text import whole
from vivavoce.protocol import close

MAX_DEPTH = 64
"""How deeply objects and arrays may nest; deeper ones serve only to exhaust a reader."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse(frame: bytes | str) -> dict[str, Any]:
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
        text = whole(text)
        if not _SURROGATE.search(text):
            return orjson.loads(_without_bom(text))
        return _mended(
            json.loads(
                text.removeprefix("\ufeff"),
                parse_constant=_refused,
                parse_float=_finite,
                parse_int=_integer,
            )
        )
    except (ValueError, RecursionError):
        raise close.malformed(f"Expected JSON: {error}.") from None


def _refused(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _integer(digits: str) -> int | float:
    """As orjson reads it: beyond 64 bits, a float."""
    number = _finite(digits)
    return int(digits) if abs(number) < 1 << 63 else number


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {whole(key): _mended(item) for key, item in value.items()}
    return value


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
