"""Names of tools as the Live API takes them, each only once.

A tool keeps its own name wherever it can, for a model calls `read_shopping_list` better than
anything with more in it. Where two servers offer the same name, or where the name is taken by
something else, the server's name goes before it: `kitchen__read_shopping_list`.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Sequence

MAX_LENGTH = 128
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.:-]")


def fit_name(name: str) -> str:
    """The name with everything replaced that a function's name may not hold."""
    plain = _FORBIDDEN.sub("_", name)
    if not re.match("[A-Za-z_]", plain):
        plain = f"_{plain}"
    return plain[:MAX_LENGTH]


def distinct_names(tools: Sequence[tuple[str, str]], taken: Collection[str] = ()) -> list[str]:
    """A name for each pair of a server's name and a tool's name, none of them among `taken`."""
    fitted = [(server, fit_name(name)) for server, name in tools]
    offered = Counter(name for _, name in set(fitted))
    given = set(taken)
    names = []
    for server, plain in fitted:
        clash = offered[plain] > 1 or plain in given
        name = fit_name(f"{server}__{plain}") if clash else plain
        names.append(name if name not in given else _numbered(name, given))
        given.add(names[-1])
    return names


def _numbered(name: str, given: Collection[str]) -> str:
    for number in itertools.count(2):
        tail = f"_{number}"
        if (candidate := name[: MAX_LENGTH - len(tail)] + tail) not in given:
            return candidate
    raise AssertionError("unreachable")
