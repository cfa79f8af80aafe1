"""Settings of the interpreter of a process that serves: short thread turns, few collections."""

from __future__ import annotations

import gc
import sys

SWITCH_S = 0.0005
"""How long a thread may keep the interpreter while the event loop waits for it. Python's own 5 ms
would be added to each step of each conversation while a large message is read."""


def shorten_thread_turns() -> None:
    """Let the event loop have the interpreter soon while other threads compute."""
    sys.setswitchinterval(SWITCH_S)


def freeze_started_objects() -> None:
    """Leave what start-up has made out of all collections of garbage.

    A full collection looks at every object at once: 0.1 s of the event loop for the modules alone.
    """
    gc.collect()
    gc.freeze()
