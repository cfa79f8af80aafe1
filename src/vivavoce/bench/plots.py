"""Plots as inline SVG, with a title and a description that screen readers read.

Colors are variables of the page's style (`--series-0` …), so that one drawing serves a light and a
dark page. Series differ by their dashes too, and marks have their value as a tooltip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from html import escape

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 44
DASHES = ("", "7 4", "2 3", "10 3 2 3")


class SeriesKind(StrEnum):
    """Drawing style of the points of a series."""

    LINE = "line"
    STEPS = "steps"
    DOTS = "dots"


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one name; those of lines and steps ascend by their first coordinate."""

    name: str
    points: Sequence[tuple[float, float]]
    kind: SeriesKind = SeriesKind.LINE


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of series over one axis; `marks` are labelled positions on x, `limits` on y."""

    title: str
    description: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    marks: Sequence[tuple[str, float]] = ()
    limits: Sequence[tuple[str, float]] = ()

    def draw(self) -> str:
        """Return the SVG element."""
        x = Scale.fit([p[0] for s in self.series for p in s.points] + [at for _, at in self.marks])
        y = Scale.fit([p[1] for s in self.series for p in s.points] + [at for _, at in self.limits])
        body = [*_draw_axes(x, y, self.x_label, self.y_label)]
        for number, series in enumerate(self.series):
            body.append(_draw_series(series, number, x, y))
        body += [_draw_mark(label, x.x(at), row) for row, (label, at) in enumerate(self.marks)]
        body += [_draw_limit(label, y.y(at)) for label, at in self.limits]
        return _svg(self.title, self.description, body, HEIGHT)


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear scale from 0 to `top`, with a tick each `step`."""

    top: float
    step: float

    @classmethod
    def fit(cls, values: Sequence[float]) -> Scale:
        """Return the scale that holds the values, with four to ten round ticks."""
        most = max([0.0, *values]) or 1.0
        power = 10.0 ** math.floor(math.log10(most / 4))
        step = next(power * each for each in (1, 2, 2.5, 5, 10) if most / (power * each) <= 5.0001)
        return cls(step * math.ceil(most / step - 1e-9), step)

    @property
    def ticks(self) -> list[float]:
        return [self.step * n for n in range(round(self.top / self.step) + 1)]

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / self.top

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top


def cumulative_steps(values: Sequence[float]) -> list[tuple[float, float]]:
    """Return the share of values, in percent, that are at most as large as each of them."""
    ordered = sorted(values)
    shares = [(value, 100 * (n + 1) / len(ordered)) for n, value in enumerate(ordered)]
    return [(0.0, 0.0), *shares]


def _draw_axes(x: Scale, y: Scale, x_label: str, y_label: str) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>']
    for tick in y.ticks:
        at = y.y(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{right}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in x.ticks:
        at = x.x(tick)
        parts.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    middle = (LEFT + right) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>'
    )
    parts.append(
        f'<text transform="translate(13 {(TOP + bottom) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_label)}</text>'
    )
    return parts


def _draw_series(series: Series, number: int, x: Scale, y: Scale) -> str:
    color = f"var(--series-{number % 8})"
    if series.kind is SeriesKind.DOTS:
        return "".join(
            f'<circle cx="{x.x(a):.1f}" cy="{y.y(b):.1f}" r="4" fill="{color}">'
            f"<title>{escape(series.name)}: {a:.3g}, {b:.3g}</title></circle>"
            for a, b in series.points
        )
    drawn = ""
    for n, (a, b) in enumerate(series.points):
        if n and series.kind is SeriesKind.STEPS:
            drawn += f"H{x.x(a):.1f}V{y.y(b):.1f}"
        else:
            drawn += f"{'L' if n else 'M'}{x.x(a):.1f} {y.y(b):.1f}"
    dash = DASHES[number % len(DASHES)]
    return f'<path class="series" d="{drawn}" stroke="{color}" stroke-dasharray="{dash}"/>'


def _draw_mark(label: str, at: float, row: int) -> str:
    """Draw a mark; its label stands in a row of its own, since marks may lie close together."""
    side = "end" if at > WIDTH * 0.75 else "start"
    shift = -4 if side == "end" else 4
    return (
        f'<path class="mark" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
        f'<text x="{at + shift:.1f}" y="{HEIGHT - BOTTOM - 8 - 16 * row}" text-anchor="{side}">'
        f"{escape(label)}</text>"
    )


def _draw_limit(label: str, at: float) -> str:
    return (
        f'<path class="mark" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{WIDTH - RIGHT}" y="{at - 5:.1f}" text-anchor="end">{escape(label)}</text>'
    )


@dataclass(frozen=True, slots=True)
class StackedBar:
    """One bar of parts that add up, with the parts of the legend in the same order."""

    title: str
    description: str
    parts: Sequence[tuple[str, float]]
    unit: str = "ms"
    height: int = field(default=84)

    def draw(self) -> str:
        """Return the SVG element. Parts below zero, as of clocks that differ, are left out."""
        shown = [(n, name, value) for n, (name, value) in enumerate(self.parts) if value > 0]
        scale = Scale.fit([sum(value for _, _, value in shown)])
        body, left = [], 0.0
        for number, name, value in shown:
            width = scale.x(left + value) - scale.x(left)
            body.append(
                f'<rect class="part" x="{scale.x(left):.1f}" y="12" width="{width:.1f}" '
                f'height="36" fill="var(--series-{number % 8})">'
                f"<title>{escape(name)}: {value:.0f} {self.unit}</title></rect>"
            )
            left += value
        body.append(f'<path class="axis" d="M{LEFT} 52H{WIDTH - RIGHT}"/>')
        body += [
            f'<text x="{scale.x(tick):.1f}" y="68" text-anchor="middle">{tick:g}</text>'
            for tick in scale.ticks
        ]
        body.append(f'<text x="{LEFT - 8}" y="68" text-anchor="end">{self.unit}</text>')
        return _svg(self.title, self.description, body, self.height)


def _svg(title: str, description: str, body: Sequence[str], height: int) -> str:
    name = "".join(each if each.isalnum() else "-" for each in title.lower())
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{escape(title)}</title>'
        f'<desc id="{name}-d">{escape(description)}</desc>{"".join(body)}</svg>'
    )
