"""Parse JSON frames within limits checked before the parse, and decode their base64.

What a message costs depends on the values in it and not on its bytes: 30 MB of base64 are one
string, 30 MB of empty lists ten million objects. Every value follows an opening bracket or a
comma, so these are counted first, and whatever is not base64 is bounded in bytes as well.

orjson reads everything that is JSON, except unpaired surrogates, which JavaScript produces when
it cuts a string inside a character: in such frames the stray halves are replaced.

Base64 comes in both alphabets (Python clients send the URL-safe one), even mixed, padded or not,
with line breaks, and with characters escaped in JSON: PHP escapes slashes, Gson equal signs, .NET
plus signs. What the server sends is always standard and padded, because browsers decode it with
`atob`.
"""

from __future__ import annotations

import binascii
import re
import secrets
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pybase64

from vivavoce.domain.text import exceeds_values, replace_surrogates
from vivavoce.errors import ClientFault
from vivavoce.protocol import close

MAX_DEPTH = 64
"""Depth to which objects and arrays may nest; deeper ones only serve to exhaust a parser."""

_HEX = "[0-9a-fA-F]{2}"
_HALVES = re.compile(
    rf"\\u[dD][89abAB]{_HEX}\\u[dD][c-fC-F]{_HEX}|(?P<stray>\\u[dD][89a-fA-F]{_HEX})"
)
"""An escaped surrogate pair, or a lone surrogate."""


def parse_frame(frame: bytes | str) -> dict[str, Any]:
    """Parse the JSON object in a text or binary frame. Raises `ClientFault`."""
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
    """Replace every escaped lone surrogate by U+FFFD."""
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
    """Check that nesting is within `MAX_DEPTH`, before anything recurses. Raises `ClientFault`."""
    level: list[Any] = [payload]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return
    raise close.malformed(f"It is nested more than {MAX_DEPTH} levels deep.")


def _children(value: Any) -> list[Any]:
    items = value.values() if isinstance(value, dict) else value
    return [item for item in items if isinstance(item, dict | list)]


# --- base64 --------------------------------------------------------------------------------------

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_BLANKS = b" \t\r\n"
_ESCAPE = re.compile(rb"\\(?:[nrt/]|u00(?:0[9AaDd]|20|2[BbDdFf]|3[Dd]|5[Ff]))")
"""Escaped form in JSON of a blank or a base64 character."""

_MEANT = {b"\\n": b"", b"\\r": b"", b"\\t": b"", b"\\/": b"/"} | {
    digits: b"" if char in _BLANKS else bytes((char,))
    for char in b"+/-_=" + _BLANKS
    for digits in (b"%02x" % char, b"%02X" % char)
}
"""By the last two characters of an escape."""

_MAX_ESCAPE_CHARS = 6

PIECE_BYTES = 64 * 1024
"""Bytes decoded at a time; the interpreter holds its lock within a piece only."""


class LongBase64:
    """Long base64 string within the JSON of a message, neither copied nor decoded yet."""

    def __init__(self, written: memoryview) -> None:
        self._written = written

    def __len__(self) -> int:
        return len(self._written)

    def __str__(self) -> str:
        text: str = orjson.loads(b'"%b"' % bytes(self._written))
        return text

    def decode(self) -> bytes:
        """Decode the string piece by piece. Raises `ValueError` if it is not base64."""
        decoded, rest, size = [], b"", len(self._written)
        ends = [*range(PIECE_BYTES, size - PIECE_BYTES, PIECE_BYTES), size]
        for start, end in zip([0, *ends], ends, strict=False):
            text = rest + bytes(self._written[start:end])
            cut = len(text) - unfinished_escape(text)
            text, escape = text[:cut], text[cut:]
            text = unescaped(text).translate(_TO_STANDARD, _BLANKS)
            whole = len(text) if end == size else len(text) - len(text) % 4
            decoded.append(_decode(text[:whole]))
            rest = text[whole:] + escape
        return b"".join(decoded)  # without the interpreter's lock


def unfinished_escape(text: bytes) -> int:
    """Return the number of bytes at the end of a piece that begin an unfinished escape."""
    at = text.rfind(b"\\", max(0, len(text) + 1 - _MAX_ESCAPE_CHARS))
    begun = text[at:] if at >= 0 else b""
    return len(begun) if begun == b"\\" or begun.startswith(rb"\u") else 0


def unescaped(text: bytes) -> bytes:
    """Return base64 with its JSON escapes resolved."""
    return _ESCAPE.sub(_meant, text) if b"\\" in text else text


def without_escapes(text: bytes) -> bytes:
    """Return base64 without its JSON escapes: quicker, where only the rest matters."""
    return _ESCAPE.sub(b"", text) if b"\\" in text else text


def _meant(escape: re.Match[bytes]) -> bytes:
    return _MEANT[escape[0][-2:]]


def decode_base64(text: str | LongBase64) -> bytes:
    """Decode `text`. Raises `ValueError` when it is not base64."""
    if isinstance(text, LongBase64):
        return text.decode()
    try:
        raw = text.encode("ascii")
    except UnicodeEncodeError:
        raise ValueError("not base64: a character outside of ASCII") from None
    if b"-" in raw or b"_" in raw:
        raw = raw.translate(_TO_STANDARD)
    return _decode(raw)


def _decode(raw: bytes) -> bytes:
    try:
        return pybase64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError):
        return _decode_untidy(raw)


def _decode_untidy(raw: bytes) -> bytes:
    raw = raw.translate(None, _BLANKS).rstrip(b"=")
    try:
        return pybase64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64: {error}") from None


# --- size ----------------------------------------------------------------------------------------

LIGHT_BYTES = 256 * 1024
LIGHT_VALUES = 32
"""Size up to which any message is parsed within a few milliseconds."""

_BLOCK = 4096
_TEXT_MARKS = ("{", "[", ",", "\\")
_BYTE_MARKS = (b"{", b"[", b",", b"\\")
"""Before a value, and of an escape."""

_ANSWERS = frozenset(
    f"{stem}{end}"
    for stem in ("toolResponse", "tool_response", "functionResponse", "function_response")
    for end in ("", "s")
)
_OWN = frozenset({"args", "arguments", "input", "response", "output", "result", "error", "tools"})
"""Fields of a client's own JSON, in which `data` is not media."""

_NAME_TEXT = secrets.token_hex(16)
_NAME = _NAME_TEXT.encode()
"""Name in place of lifted base64; random, so that no client can send it."""

_BASE64 = (string.ascii_letters + string.digits + "+/-_= ").encode()


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """Limits of one message: `values`, and `text_bytes` of everything but base64."""

    values: int = 50_000
    text_bytes: int = 1024 * 1024


def is_light(frame: bytes | str) -> bool:
    """Return whether a message is parsed within a few milliseconds, so on the event loop.

    That itself takes a few microseconds, for the audio of a microphone one.
    """
    if len(frame) > LIGHT_BYTES:
        return False
    find: Callable[..., int] = frame.find
    *marks, escape = _TEXT_MARKS if isinstance(frame, str) else _BYTE_MARKS
    left = LIGHT_VALUES
    for mark in marks:
        at = find(mark)
        while at >= 0:
            left -= 1
            if not left:
                return False
            at = find(mark, at + 1)
    # An escape may be half of a character, for which all of them are looked at one by one.
    return len(frame) < _BLOCK or find(escape) < 0


def lift_base64(frame: bytes, limits: MessageLimits) -> tuple[bytes, list[LongBase64]]:
    """Replace each long string of base64 by a name; return the message and these strings.

    So nothing that holds the interpreter's lock has to read them. Raises `ClientFault` for a
    message of too many values or too much text.
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
    """Replace names by the lifted base64 strings, in a message of `size` bytes without them.

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
    """Yield the spans of blocks of base64 only, adjacent ones joined.

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


def _is_base64(block: bytes) -> bool:
    if b'"' in block:
        return False
    return not without_escapes(block).translate(None, _BASE64)
