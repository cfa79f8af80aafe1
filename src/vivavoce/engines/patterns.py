"""Regular expressions that strangers wrote: what they cost to compile, and texts that match them.

Both are read from the syntax tree that Python's own parser makes.
"""

from __future__ import annotations

import math
import re
import warnings
from importlib import import_module
from typing import Any

_MAX_PATTERN = 1000
_MAX_TEXT = 1000
_UNBOUNDED = 2**32 - 1
_COUNT = re.compile(r"\d{1,9}")
_CATEGORIES = {
    "CATEGORY_DIGIT": "0",
    "CATEGORY_NOT_DIGIT": "a",
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_SPACE": "a",
    "CATEGORY_WORD": "a",
    "CATEGORY_NOT_WORD": "-",
}
_OTHERS = "a0A -_.x1"
"""Characters of which one is mostly outside of a class."""


class _TooLong(Exception):
    """The text would be longer than a value is made up."""


def matching_text(pattern: str) -> str | None:
    """Return a text that the pattern describes; `None` if it can't be read, or is too long.

    The shortest choice is taken everywhere: the first branch, the fewest repetitions, the first
    character of a class. Assertions are not looked at, so the text has to be held to the pattern.
    """
    try:
        tree = _parsed(pattern)
        return None if tree is None else _Sampler().text(tree)
    except Exception:
        return None  # what the parser makes is not documented


def compiled_size(pattern: str) -> int:
    """Return about how many nodes the pattern has once its counted repetitions are written out.

    Compiling takes time in proportion, and is not stopped by the time limit of a search: `(){9999}`
    takes 3 s. A pattern that can't be parsed is as large as the product of the numbers in it.
    """
    try:
        if (tree := _parsed(pattern)) is not None:
            return _size(tree)
    except Exception:
        pass
    return math.prod(max(1, int(one)) for one in _COUNT.findall(pattern)) + len(pattern)


def _parsed(pattern: str) -> Any:
    if len(pattern) > _MAX_PATTERN:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("re._parser").parse(pattern)


def _size(tree: Any) -> int:
    total = 0
    for operation, about in tree:
        match str(operation):
            case "BRANCH":
                total += sum(map(_size, about[1]))
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most = about[0], about[1]
                times = most if isinstance(most, int) and most < _UNBOUNDED else max(least, 1)
                total += int(times) * (1 + _size(about[2]))
            case "SUBPATTERN":
                total += _size(about[3])
            case "ATOMIC_GROUP":
                total += _size(about)
            case "ASSERT" | "ASSERT_NOT":
                total += _size(about[1])
        total += 1
    return total


class _Sampler:
    def __init__(self) -> None:
        self._groups: dict[int, str] = {}
        self._length = 0

    def text(self, tree: Any) -> str:
        """Return the text of a sequence of nodes, each an operation and what it is about."""
        return "".join(self._node(str(operation), about) for operation, about in tree)

    def _node(self, operation: str, about: Any) -> str:
        match operation:
            case "LITERAL":
                return self._counted(chr(about))
            case "NOT_LITERAL":
                return self._counted(next(one for one in _OTHERS if ord(one) != about))
            case "ANY":
                return self._counted("a")
            case "IN":
                return self._counted(_member(about))
            case "BRANCH":
                return self.text(about[1][0])
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                times = range(min(about[0], _MAX_TEXT))
                return "".join(self._counted("") + self.text(about[2]) for _ in times)
            case "SUBPATTERN":
                text = self.text(about[3])
                self._groups[about[0]] = text
                return text
            case "ATOMIC_GROUP":
                return self.text(about)
            case "GROUPREF":
                return self._counted(self._groups.get(about, ""))
        return ""

    def _counted(self, text: str) -> str:
        self._length += max(1, len(text))
        if self._length > _MAX_TEXT:
            raise _TooLong
        return text


def _member(items: Any) -> str:
    """Return a character of a class; of a negated one the first that it does not name."""
    excluded = [(str(kind), about) for kind, about in items[1:]]
    if str(items[0][0]) != "NEGATE":
        kind, about = str(items[0][0]), items[0][1]
        if kind == "RANGE":
            return chr(about[0])
        return _CATEGORIES[str(about)] if kind == "CATEGORY" else chr(about)
    return next(one for one in _OTHERS if not any(_holds(one, *item) for item in excluded))


def _holds(char: str, kind: str, about: Any) -> bool:
    if kind == "RANGE":
        return bool(about[0] <= ord(char) <= about[1])
    if kind == "LITERAL":
        return bool(ord(char) == about)
    inside = {"CATEGORY_DIGIT": char.isdigit(), "CATEGORY_SPACE": char.isspace(),
              "CATEGORY_WORD": char.isalnum() or char == "_"}  # fmt: skip
    positive = str(about).replace("_NOT_", "_")
    return bool(inside[positive]) is not ("_NOT_" in str(about))
