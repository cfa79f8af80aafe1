"""Numbers that can be scraped are numbers that can be read about."""

from __future__ import annotations

from pathlib import Path

from vivavoce.metrics import PREFIX, Metrics

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


def test_every_number_is_documented() -> None:
    text = Metrics().exposition().decode()
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# HELP")]
    told = PAGE.read_text()

    assert len(names) > 10
    assert [
        name
        for name in names
        if not name.endswith("_created") and f"`{name.removeprefix(PREFIX)}`" not in told
    ] == []
