"""Every dialogue over a real socket, in real time.

They are played side by side, since they take as long as a conversation takes, but not all at
once, since that would take a larger machine.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from conformance.seed import ROOT
from conformance.socket_runner import Observed, play
from support.expectations import check_expectations
from support.script_parser import parse_script

pytestmark = pytest.mark.e2e

DIALOGUES = sorted((ROOT / "tests" / "dialogues").glob("*.txt"))

AT_ONCE = 20
SLACK_S = 0.5
"""A real clock, and so many conversations at once on what may be a busy machine."""


@pytest.fixture(scope="module")
def played() -> dict[Path, Observed | BaseException]:
    """What each dialogue's client got."""
    scripts = {path: parse_script(path.read_text()) for path in DIALOGUES}
    # The longest first: none of them is then left over when the others are done.
    order = sorted(DIALOGUES, key=lambda path: scripts[path].until, reverse=True)
    places = asyncio.Semaphore(AT_ONCE)

    async def one(path: Path) -> Observed:
        async with places:
            return await play(scripts[path])

    async def all_of_them() -> list[Observed | BaseException]:
        return await asyncio.gather(*map(one, order), return_exceptions=True)

    return dict(zip(order, asyncio.run(all_of_them()), strict=True))


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_the_server_holds_the_dialogue(
    path: Path, played: dict[Path, Observed | BaseException]
) -> None:
    observed = played[path]
    if isinstance(observed, BaseException):
        raise observed
    check_expectations(parse_script(path.read_text()).expectations, observed, SLACK_S)
