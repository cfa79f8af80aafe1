"""JSON as text: what a client's own objects are in a prompt, and what they weigh."""

from __future__ import annotations

import json

import orjson


def json_text(value: object) -> str:
    """Compact JSON of a value; what JSON cannot say stands in it as a string.

    Takes a few milliseconds for the largest object that a client may send, so that it can be
    asked for on an event loop.
    """
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # large integers, halves of characters, objects that are no JSON
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
