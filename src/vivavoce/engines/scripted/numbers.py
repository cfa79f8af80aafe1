"""Numbers within the bounds of a schema, for those that are made up.

Bounds and factors are taken as they are written, in decimal: 0.3 is a multiple of 0.1.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction

from vivavoce.domain.parameter_schema import Schema, common_multiple, decimal

_FEW = 20
_MOST = 1_000
"""Numbers of one kind."""


def made_up_numbers(plain: Schema, whole: bool) -> Iterator[int | float]:
    """Yield numbers that a plain schema allows, those near zero first; only integers if `whole`."""
    low, high = _bounds(plain)
    step = Fraction(1)
    if "multipleOf" in plain:
        step = decimal(plain["multipleOf"])
        step = common_multiple(step, Fraction(1)) if whole else step
    numbers = _multiples(low, high, step)
    if not whole and "multipleOf" not in plain:
        numbers = itertools.chain(itertools.islice(numbers, _FEW), _between(low, high), numbers)
    for number in numbers:
        value = int(number) if number.denominator == 1 else float(number)
        if _holds(plain, number) and math.isfinite(value):
            yield value


def _bounds(plain: Schema) -> tuple[Fraction | None, Fraction | None]:
    low = [decimal(plain[key]) for key in ("minimum", "exclusiveMinimum") if key in plain]
    high = [decimal(plain[key]) for key in ("maximum", "exclusiveMaximum") if key in plain]
    return max(low, default=None), min(high, default=None)


def _holds(plain: Schema, number: Fraction) -> bool:
    above, below = plain.get("exclusiveMinimum"), plain.get("exclusiveMaximum")
    return (above is None or number > decimal(above)) and (below is None or number < decimal(below))


def _multiples(low: Fraction | None, high: Fraction | None, step: Fraction) -> Iterator[Fraction]:
    """Yield multiples within the bounds, outward from the one nearest to zero."""
    least = None if low is None else math.ceil(low / step)
    most = None if high is None else math.floor(high / step)
    begin = max(0, least or 0) if most is None else min(max(0, least or 0), most)
    for away in range(_MOST):
        for factor in (begin + away, begin - away) if away else (begin,):
            if (least is None or factor >= least) and (most is None or factor <= most):
                yield factor * step


def _between(low: Fraction | None, high: Fraction | None) -> Iterator[Fraction]:
    """Yield the middle of the bounds, the bounds, and what halves the spaces between."""
    if low is None:
        low = Fraction(0) if high is None else high - 1
    if high is None:
        high = low + 1
    yield from ((low + high) / 2, low, high)
    parts = 4
    while parts <= _MOST:
        yield from (low + (high - low) * n / parts for n in range(1, parts, 2))
        parts *= 2
