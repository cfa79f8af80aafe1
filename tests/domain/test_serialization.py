"""Values held against annotations, and the place of the first that does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest

from vivavoce.domain.ids import CallId
from vivavoce.domain.serialization import find_mismatch


class Color(Enum):
    RED = "red"


@dataclass(frozen=True)
class Leaf:
    name: str
    size: float = 0.0


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    pair: tuple[int, str] = (1, "a")
    more: Mapping[str, Any] | None = None
    part: Leaf | Color = Color.RED


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (1, int), (1, float), (True, bool), (None, int | None), ("c", CallId), ("anything", Any),
        (Tree(()), Tree), (Tree((Leaf("a", 1),), more={"x": [object()]}), Tree),
        (Tree((), part=Leaf("b")), Tree), ((), tuple[int, ...]),
    ],
)  # fmt: skip
def test_what_fits(value: Any, annotation: Any) -> None:
    assert find_mismatch(value, annotation) == ""


@pytest.mark.parametrize(
    ("value", "annotation", "told"),
    [
        (True, int, "value: bool"),
        (True, float, "value: bool"),
        (1, bool, "value: int"),
        (1.0, int, "value: float"),
        (float("inf"), float, "value: inf"),
        (b"c", CallId, "value: bytes"),
        (None, Tree, "value: NoneType"),
        (Tree, Tree, "value: type"),
        (Tree([]), Tree, "value.leaves: list"),  # type: ignore[arg-type]
        (Tree((Leaf("a"), "b")), Tree, "value.leaves[1]: str"),  # type: ignore[arg-type]
        (Tree((Leaf("a", None),)), Tree, "value.leaves[0].size: NoneType"),  # type: ignore[arg-type]
        (Tree((), pair=(1, "a", 2)), Tree, "value.pair: 3 items"),  # type: ignore[arg-type]
        (Tree((), pair=("a", 1)), Tree, "value.pair[0]: str"),  # type: ignore[arg-type]
        (Tree((), more={1: 2}), Tree, "key of value.more: int"),  # type: ignore[dict-item]
        (Tree((), part=Leaf(1)), Tree, "value.part.name: int"),  # type: ignore[arg-type]
        (Tree((), part="red"), Tree, "value.part: str"),  # type: ignore[arg-type]
    ],
)
def test_what_does_not_is_reported_with_its_place(value: Any, annotation: Any, told: str) -> None:
    assert find_mismatch(value, annotation) == told
