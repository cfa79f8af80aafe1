"""The samples of the document that the project implements, as printed in it.

They are not copied into this tree: they are cut out of the document at run time, which lies
beside the checkout or where VIVAVOCE_SHARED says.
"""

from __future__ import annotations

import os
import re
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
    "combination.py": ('prompt = """', "Hey, I need you to do two things"),
    "combination.mjs": ("const prompt = `", "Hey, I need you to do two things"),
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


def combined(language: str) -> str:
    """The function sample with the prompt and the tools of "Combining multiple tools" in it.

    That block of the document is printed without the model call around it, as it says itself.
    """
    source, block = sample(f"function.{language}"), sample(f"combination.{language}")
    if language == "py":
        own = re.compile(r"^tools = .*\nconfig = .*\n", re.MULTILINE)
        asked = re.compile(r'^ +prompt = "Turn on the lights please"\n', re.MULTILINE)
        lead = ""
    else:
        own = re.compile(r"^const tools = .*?^const config = .*?^}\n", re.MULTILINE | re.DOTALL)
        asked = re.compile(r"(?<=const inputTurns = )'Turn on the lights please'")
        lead = "prompt"
    source, replaced = own.subn(lambda _: block, source)
    source, asks = asked.subn(lead, source)
    assert (replaced, asks) == (1, 1), "the document's samples have changed"
    return source


def blocks(document: str) -> Iterator[str]:
    """The indented blocks of a document, without their indentation."""
    block: list[str] = []
    for line in [*document.splitlines(), "end"]:
        if line.startswith("    ") or (block and not line.strip()):
            block.append(line)
        elif block:
            yield textwrap.dedent("\n".join(block)).strip("\n") + "\n"
            block = []
