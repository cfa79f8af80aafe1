"""What is fuzzed: a layer is one reader of input that strangers write."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from fuzz.mutation import Mutator


def _one(data: bytes) -> int:
    return 1


@dataclass(frozen=True, slots=True)
class Layer:
    """A fuzz target.

    `run` reads one input and returns what kind of outcome it had; whatever it raises is a
    finding, so it catches the refusals that are documented. An input with an outcome that was not
    seen before is kept and mutated further. `seeds` are inputs to begin with. `steps` counts the
    steps of an input that is a sequence of them.
    """

    name: str
    run: Callable[[bytes], Hashable]
    seeds: Callable[[], Sequence[bytes]]
    mutator: Callable[[], Mutator]
    steps: Callable[[bytes], int] = _one
