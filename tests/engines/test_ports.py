"""The example of the engines' reference as an engine, and addresses that may be cited."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from vivavoce.engines.ports import MAX_URI_CHARS, Synthesizer, citable_host
from vivavoce.engines.registry import EngineBuilder
from vivavoce.testing.engine_contracts import SynthesizerContract

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "engines.md"


def example() -> dict[str, Any]:
    """What the one Python example of the page defines."""
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    defined: dict[str, Any] = {}
    exec(compile(source, str(PAGE), "exec"), defined)
    return defined


class TestTheExampleOfTheReference(SynthesizerContract):
    text = "  Hello there,  how are you\ntoday? "

    def engine(self) -> Synthesizer:
        made: Synthesizer = example()["Beep"]()
        return made


async def test_the_examples_factory_makes_it() -> None:
    defined = example()
    assert isinstance(await defined["create"]({}, EngineBuilder()), defined["Beep"])


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://Tower.Example/a?b=c#d", "tower.example"),
        ("http://[::1]:80/", "::1"),
        ("https://größe.example/ä", "größe.example"),
        ("https://x.example/" + "y" * (MAX_URI_CHARS - 18), "x.example"),
        ("https://x.example/" + "y" * (MAX_URI_CHARS - 17), ""),
        ("ftp://x.example/", ""),
        ("https://me:secret@x.example/", ""),
        ("https://x.example/a b", ""),
        ("https://x.example/\u2028", ""),
        ("https://x.example/<b>", ""),
        ('https://x.example/"', ""),
        ("https://x.example/\ud83d", ""),
        ("https://[x/", ""),
        ("https:///", ""),
        ("x.example/a", ""),
    ],
)
def test_only_whole_addresses_have_a_host(address: str, host: str) -> None:
    assert citable_host(address) == host
