"""The synthesizer's port as its reference shows it: the example is an engine like any other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from vivavoce.engines.ports import Synthesizer
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
