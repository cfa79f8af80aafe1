from __future__ import annotations

from xml.etree import ElementTree

import pytest

from vivavoce.bench.plots import Plot, Scale, Series, SeriesKind, StackedBar, cumulative_steps

SVG = "{http://www.w3.org/2000/svg}"


def read(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(
        drawing.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ')
    )


@pytest.mark.parametrize("most", [0.0003, 0.07, 0.8, 1, 3.2, 9.99, 10, 256, 123_456])
def test_a_scale_holds_its_values_with_few_round_ticks(most: float) -> None:
    scale = Scale.fit([most / 3, most])
    assert scale.top >= most
    assert scale.top - most < scale.step
    assert 3 <= len(scale.ticks) <= 11
    assert scale.ticks[-1] == pytest.approx(scale.top)
    assert float(f"{scale.step:.2g}") == pytest.approx(scale.step)


def test_a_scale_of_nothing_can_be_drawn() -> None:
    assert Scale.fit([]).top == Scale.fit([0.0]).top == 1.0


def test_shares_grow_with_each_value() -> None:
    steps = cumulative_steps([0.4, 0.1, 0.2, 0.2])
    assert steps == [(0, 0), (0.1, 25), (0.2, 50), (0.2, 75), (0.4, 100)]


def test_points_lie_where_their_values_are() -> None:
    points = [(0.0, 0.0), (5.0, 2.0), (10.0, 4.0)]
    plot = Plot("A plot", "Two & more.", "x", "y", [Series("dots", points, SeriesKind.DOTS)])
    svg = read(plot.draw())
    found = [(float(c.get("cx", "")), float(c.get("cy", ""))) for c in svg.iter(f"{SVG}circle")]
    (x0, y0), (x1, y1), (x2, y2) = found
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert x0 < x2
    assert y2 < y0, "up is more"


def test_a_drawing_is_named_and_described() -> None:
    plot = Plot("A <plot>", "Two & more.", "x", "y", [Series("a", [(0, 0), (1, 1)])], [("p50", 1)])
    svg = read(plot.draw())
    assert svg.get("role") == "img"
    by_id = {each.get("id"): each.text for each in svg if each.get("id")}
    named = [by_id[name] for name in (svg.get("aria-labelledby") or "").split()]
    assert named == ["A <plot>", "Two & more."]
    assert "p50" in [text.text for text in svg.iter(f"{SVG}text")]


def test_parts_of_a_bar_lie_side_by_side_in_proportion() -> None:
    bar = StackedBar("Parts", "", [("a", 100.0), ("none", 0.0), ("below", -3.0), ("b", 300.0)])
    first, second = [
        (float(r.get("x", "")), float(r.get("width", "")))
        for r in read(bar.draw()).iter(f"{SVG}rect")
    ]
    assert second[1] == pytest.approx(3 * first[1], abs=0.3)
    assert second[0] == pytest.approx(first[0] + first[1], abs=0.2)
