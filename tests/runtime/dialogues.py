"""Dialogues that a test writes out itself, played on the host."""

from __future__ import annotations

from vivavoce.testing.check import check
from vivavoce.testing.host_stage import play
from vivavoce.testing.script import parse

SLACK_S = 0.15
"""A microphone chunk, a detector frame, and an energy gate that reacts within one."""


def holds(dialogue: str) -> None:
    """Play a dialogue on the host, with engines that obey and with engines that do not."""
    script = parse(dialogue)
    for stubborn in (False, True):
        check(script.expectations, play(script, stubborn), SLACK_S)
