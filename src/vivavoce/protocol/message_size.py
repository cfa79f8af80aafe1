"""How much a message holds, found out before it is parsed.

What a message costs depends on the values in it and not on its bytes: 30 MB of base64 are one
string, 30 MB of empty lists ten million objects. Every value stands behind an opening bracket or a
comma, so these are counted. Only base64 may be large: what of a message is anything else is
bounded in bytes as well.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vivavoce.domain.json_size import exceeds_values
from vivavoce.errors import ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.base64_data import LongBase64, unfinished_escape, without_escapes

LIGHT_BYTES = 256 * 1024
LIGHT_VALUES = 32
"""A message of so much at most is read within a few milliseconds, whatever it says."""

_BLOCK = 4096
_MARKS = "{[,"
_ANSWERS = frozenset(
    f"{stem}{end}"
    for stem in ("toolResponse", "tool_response", "functionResponse", "function_response")
    for end in ("", "s")
)
_OWN = frozenset({"args", "arguments", "input", "response", "output", "result", "error", "tools"})
"""What holds a client's own JSON, in which a field called `data` is no medium."""

_NAME_TEXT = secrets.token_hex(16)
_NAME = _NAME_TEXT.encode()
"""What no client can know."""

_BASE64 = (string.ascii_letters + string.digits + "+/-_= ").encode()


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """What one message may hold: `values`, and `text_bytes` of all but base64."""

    values: int = 50_000
    text_bytes: int = 1024 * 1024


def is_light(frame: bytes | str) -> bool:
    """Whether reading a message takes so little that an event loop can be without it.

    Takes a few microseconds itself, for the sound of a microphone one.
    """
    if len(frame) > LIGHT_BYTES:
        return False
    left = LIGHT_VALUES
    for mark in _MARKS:
        at = _find(frame, mark)
        while at >= 0 and left:
            left -= 1
            at = _find(frame, mark, at + 1)
        if not left:
            return False
    # An escape may be half of a character, for which all of them are looked at one by one.
    return len(frame) < _BLOCK or _find(frame, "\\") < 0


def check_size(frame: bytes, limits: MessageLimits) -> None:
    """Refuse a message of too many values or too much text. Raises `ClientFault`."""
    lift_base64(frame, limits)


def lift_base64(frame: bytes, limits: MessageLimits) -> tuple[bytes, list[LongBase64]]:
    """The message with a name for each long string of base64, and these strings, in order.

    So nothing that holds Python's lock has to read them. Raises `ClientFault` for a message of too
    many values or too much text.
    """
    lifted: list[LongBase64] = []
    kept, taken = bytearray(), 0
    for start, end in _base64_runs(frame, limits):
        begin = frame.rfind(b'"', max(taken, start - _BLOCK), start) + 1
        close_at = frame.find(b'"', end, end + _BLOCK)
        whole = begin and close_at > 0 and frame[begin - 2 : begin - 1] != b"\\"
        if whole and _is_base64(frame[begin:start]) and _is_base64(frame[end:close_at]):
            kept += frame[taken:begin] + b"%b%d" % (_NAME, len(lifted))
            lifted.append(LongBase64(memoryview(frame)[begin:close_at]))
            taken = close_at
    if len(kept) + len(frame) - taken > limits.text_bytes:
        raise _too_much_text(limits)
    kept += frame[taken:]
    if exceeds_values(bytes(kept), limits.values):
        raise close.too_big(f"more than {limits.values:,} values; send less at once.")
    return bytes(kept), lifted


def restore_base64(
    payload: dict[str, Any], lifted: Sequence[LongBase64], limits: MessageLimits, size: int
) -> None:
    """Put the strings in the place of their names, in a message of `size` bytes without them.

    Media stays as it is written; anything else becomes text, and counts as that. Raises
    `ClientFault` for too much of it.
    """

    def text(name: str) -> str:
        nonlocal size
        if not name.startswith(_NAME_TEXT):
            return name
        long = lifted[int(name.removeprefix(_NAME_TEXT))]
        size += len(long)
        if size > limits.text_bytes:
            raise _too_much_text(limits)
        return str(long)

    pending: list[tuple[Any, bool, bool]] = [(payload, False, False)]
    while pending:
        holder, answers, own = pending.pop()
        places = list(holder.items()) if isinstance(holder, dict) else list(enumerate(holder))
        for key, value in places:
            if isinstance(key, str) and (name := text(key)) != key:
                holder[name] = holder.pop(key)
                key = name
            if isinstance(value, dict | list):
                inner = answers or key in _ANSWERS
                pending.append((value, inner, own or key in _OWN or (inner and key == "content")))
            elif not isinstance(value, str) or not value.startswith(_NAME_TEXT):
                continue
            elif key == "data" and not own:
                holder[key] = lifted[int(value.removeprefix(_NAME_TEXT))]
            else:
                holder[key] = text(value)


def _base64_runs(frame: bytes, limits: MessageLimits) -> Iterator[tuple[int, int]]:
    """Where blocks of nothing but base64 stand, those that follow each other as one.

    Raises `ClientFault` for too much else.
    """
    start, run, size = 0, 0, 0
    while start < len(frame):
        end = min(start + _BLOCK, len(frame))
        if end < len(frame):
            end -= unfinished_escape(frame[start:end])
        if not _is_base64(frame[start:end]):
            if run < start:
                yield run, start
            size += end - start
            if size > limits.text_bytes:
                raise _too_much_text(limits)
            run = end
        start = end
    if run < start:
        yield run, min(start, len(frame))


def _too_much_text(limits: MessageLimits) -> ClientFault:
    return close.too_big(f"more than {limits.text_bytes:,} bytes of anything but base64 data.")


def _find(frame: bytes | str, mark: str, start: int = 0) -> int:
    return frame.find(mark, start) if isinstance(frame, str) else frame.find(mark.encode(), start)


def _is_base64(block: bytes) -> bool:
    if b'"' in block:
        return False
    return not without_escapes(block).translate(None, _BASE64)
