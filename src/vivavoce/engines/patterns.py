"""What regular expressions that strangers wrote cost to compile.

It is read from the syntax tree that Python's own parser makes.
"""

from __future__ import annotations

import math
import re
import warnings
from importlib import import_module
from typing import Any

_MAX_PATTERN = 1000
_UNBOUNDED = 2**32 - 1
_COUNT = re.compile(r"\d{1,9}")


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
