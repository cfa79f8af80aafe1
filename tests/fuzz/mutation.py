"""Mutators: small random changes to an input, cheap enough for many thousands a second."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any, Protocol

import orjson

MAX_BYTES = 8192
"""Of one input. What large inputs cost is measured elsewhere."""

RAW = (
    b"1e999", b"-1e999", b"NaN", b"-Infinity", b"9" * 400, b"-" + b"9" * 5000, b"1e-400",
    b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"\xed\xa0\x80"', b"[" * 70 + b"]" * 70,
    b'{"a":' * 70 + b"1" + b"}" * 70, b"-0", b"18446744073709551616", b'"a":1,"a"', b"",
)  # fmt: skip
"""Text that no JSON library writes; put in the place of `MARK` strings."""

MARK = "\u00a7"
_MARK_BYTES = f'"{MARK}'.encode()

SCALARS: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 255, 2**31 - 1, 2**31, -(2**31) - 1, 2**53, 2**63 - 1, 1.5,
    -0.5, 1e300, "", " ", "0", "1", "-1", "1.5", "9" * 30, "a", "é", "\u2028", "\U0001f600",
    "x" * 200,
    [], {}, [None], [[]], [{}], {"": None},
    *(f"{MARK}{number}" for number in range(len(RAW))),
)  # fmt: skip


class Mutator(Protocol):
    """Makes an input from two others."""

    def mutate(self, data: bytes, other: bytes, chance: Random) -> bytes:
        """A changed copy of `data`, perhaps with a part of `other`; at most `MAX_BYTES`."""
        ...


class BytesMutator:
    """Changes bytes, slices and `tokens`, whatever they mean."""

    def __init__(self, tokens: Sequence[bytes] = ()) -> None:
        self._tokens = tuple(tokens) or (b"\0", b"\xff", b"\n", b"0")

    def mutate(self, data: bytes, other: bytes, chance: Random) -> bytes:
        rounds = 1 + int(chance.random() ** 3 * 5)
        for _ in range(rounds):
            data = self._change(data, other, chance)
        return data[:MAX_BYTES]

    def _change(self, data: bytes, other: bytes, chance: Random) -> bytes:
        choose = chance.random
        size = len(data)
        at = int(choose() * (size + 1))
        end = min(size, at + 1 + int(choose() ** 4 * size))
        match int(choose() * 8):
            case 0:  # flip a bit
                flipped = bytes((data[at] ^ (1 << int(choose() * 8)),)) if at < size else b"\0"
                return data[:at] + flipped + data[at + 1 :]
            case 1:  # replace a byte
                return data[:at] + bytes((int(choose() * 256),)) + data[at + 1 :]
            case 2:  # delete a slice
                return data[:at] + data[end:]
            case 3:  # repeat a slice
                return data[:end] + data[at:end] * (1 + int(choose() ** 4 * 20)) + data[end:]
            case 4:  # splice
                return data[:at] + other[int(choose() * (len(other) + 1)) :]
            case 5:  # insert a slice of the other
                begin = int(choose() * (len(other) + 1))
                return data[:at] + other[begin : begin + 1 + int(choose() * 40)] + data[at:]
            case 6:  # insert a token
                return data[:at] + self._token(chance) + data[at:]
            case _:  # replace a slice by a token
                return data[:at] + self._token(chance) + data[end:]

    def _token(self, chance: Random) -> bytes:
        return self._tokens[int(chance.random() * len(self._tokens))]


class JsonMutator:
    """Changes JSON as a tree, so that most of its outputs get past the parser.

    `names` are field names and `values` are JSON values that mean something to the reader.
    """

    def __init__(self, names: Sequence[str] = (), values: Sequence[Any] = ()) -> None:
        self._names = (*names, "", "x")
        self._values = (*values, *SCALARS)
        tokens = [orjson.dumps(name) + b":" for name in self._names]
        self._bytes = BytesMutator([*tokens, *RAW, b"{", b"}", b"[", b"]", b",", b'"', b"\\u00"])

    def mutate(self, data: bytes, other: bytes, chance: Random) -> bytes:
        if chance.random() < 0.1:
            return self._bytes.mutate(data, other, chance)
        try:
            tree = orjson.loads(data)
        except orjson.JSONDecodeError:
            return self._bytes.mutate(data, other, chance)
        for _ in range(1 + int(chance.random() ** 2 * 3)):
            tree = self._change(tree, other, chance)
        return _dumped(tree)[:MAX_BYTES]

    def _change(self, tree: Any, other: bytes, chance: Random) -> Any:
        choose = chance.random
        if not isinstance(tree, dict | list) or not tree or choose() < 0.03:
            return self._value(other, chance)
        parent, key = _place(tree, chance)
        match int(choose() * 8):
            case 0:
                del parent[key]
            case 1 if isinstance(parent, dict):
                parent[self._name(chance)] = parent.pop(key)
            case 2 if isinstance(parent, dict):
                parent[self._name(chance)] = self._value(other, chance)
            case 1 | 2:
                parent.insert(key, self._value(other, chance))
            case 3:
                parent[key] = [parent[key]] * (1 + int(choose() ** 3 * 8))
            case 4:
                parent[key] = {self._name(chance): parent[key]}
            case 5 if isinstance(parent[key], str):
                parent[key] = _spoilt(parent[key], chance)
            case _:
                parent[key] = self._value(other, chance)
        return tree

    def _name(self, chance: Random) -> str:
        return self._names[int(chance.random() * len(self._names))]

    def _value(self, other: bytes, chance: Random) -> Any:
        """A value of the pool, or a part of another input."""
        if chance.random() < 0.7:
            value = self._values[int(chance.random() * len(self._values))]
            return orjson.loads(orjson.dumps(value)) if isinstance(value, dict | list) else value
        try:
            tree = orjson.loads(other)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(tree, dict | list) or not tree:
            return tree
        parent, key = _place(tree, chance)
        return parent[key]


def _place(tree: Any, chance: Random) -> tuple[Any, Any]:
    """A container in a JSON value, and a key or an index of it."""
    choose = chance.random
    while True:
        at = int(choose() * len(tree))
        key = at if isinstance(tree, list) else list(tree)[at]
        inner = tree[key]
        if not isinstance(inner, dict | list) or not inner or choose() < 0.25:
            return tree, key
        tree = inner


def _spoilt(text: str, chance: Random) -> str:
    at = int(chance.random() * (len(text) + 1))
    sign = chr(int(chance.random() * 128)) if chance.random() < 0.8 else "é"
    match int(chance.random() * 4):
        case 0:
            return text[:at] + sign + text[at + 1 :]
        case 1:
            return text[:at] + sign + text[at:]
        case 2:
            return text[:at] + text[at + 1 :]
        case _:
            return text[:at] + text[at // 2 :]


def _dumped(tree: Any) -> bytes:
    try:
        out = orjson.dumps(tree)
    except TypeError:  # an integer beyond 64 bits, or nesting beyond the library's limit
        try:
            out = json.dumps(tree).encode()
        except RecursionError:
            return b"[]"
    while (at := out.find(_MARK_BYTES)) >= 0:
        end = out.find(b'"', at + 1)
        if end < 0:
            break
        number = out[at + len(_MARK_BYTES) : end]
        raw = RAW[int(number)] if number.isdigit() and int(number) < len(RAW) else b"0"
        out = out[:at] + raw + out[end + 1 :]
    return out
