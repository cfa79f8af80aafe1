"""The samples of the document that the project implements, as printed in it.

They are not copied into this tree: they are cut out of the document at run time, which lies
beside the checkout or where VIVAVOCE_SHARED says.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

MARKS = {
    "microphone.py": ("import pyaudio", "asyncio.run(run())"),
    "function.py": ('turn_on_the_lights = {"name"', "asyncio.run(main())"),
    "search.py": ("'google_search'", "asyncio.run(main())"),
    "microphone.mjs": ("import mic from 'mic'", "live().catch"),
    "function.mjs": ("const turn_on_the_lights", "main();"),
    "search.mjs": ("googleSearch", "main();"),
}
"""What a sample contains that no other block of the document does, all together."""


def shared() -> Path:
    """The folder of shared material. Skips the test where it is absent."""
    folder = Path(os.environ.get("VIVAVOCE_SHARED") or ROOT.parent / "shared")
    if not (folder / "seed.txt").is_file():
        pytest.skip(f"the document with the samples is not at {folder / 'seed.txt'}")
    return folder


def sample(name: str) -> str:
    """The source of one sample, exactly as printed."""
    document = (shared() / "seed.txt").read_text(encoding="utf-8")
    fitting = [block for block in blocks(document) if all(mark in block for mark in MARKS[name])]
    assert len(fitting) == 1, f"{len(fitting)} blocks fit {name}"
    return fitting[0]


def blocks(document: str) -> Iterator[str]:
    """The indented blocks of a document, without their indentation."""
    block: list[str] = []
    for line in [*document.splitlines(), "end"]:
        if line.startswith("    ") or (block and not line.strip()):
            block.append(line)
        elif block:
            yield textwrap.dedent("\n".join(block)).strip("\n") + "\n"
            block = []
