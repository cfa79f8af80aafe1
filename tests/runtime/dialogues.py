"""Dialogues that a test writes out itself, played on the host."""

from __future__ import annotations

from support.expectations import check_expectations
from support.host_runner import play_on_host
from support.script_parser import parse_script

SLACK_S = 0.15
"""A microphone chunk, a detector frame, and an energy gate that reacts within one."""


def holds(dialogue: str) -> None:
    """Play a dialogue on the host, with engines that obey and with engines that do not."""
    script = parse_script(dialogue)
    for stubborn in (False, True):
        check_expectations(script.expectations, play_on_host(script, stubborn), SLACK_S)
