"""Being told to stop, by Ctrl-C or by the system: while a server serves, and while it starts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

STATUS = 130
"""The exit status of a command that was stopped before it had done its work."""

PATIENCE_S = 2.0
"""How long what was cancelled may take to end."""


class Stopped(Exception):
    """A signal came first."""


def watch_signals() -> asyncio.Event:
    """Set by the first signal to stop; cleared, it is set again by the next."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows raises KeyboardInterrupt
            loop.add_signal_handler(number, stopping.set)
    return stopping


async def unless(stopping: asyncio.Event, course: Coroutine[Any, Any, T]) -> T:
    """What `course` gives. Cancels it and raises `Stopped` when a signal comes first."""
    going = asyncio.ensure_future(course)
    asked = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((going, asked), return_when=asyncio.FIRST_COMPLETED)
        if going.done():
            return going.result()
        raise Stopped
    finally:
        asked.cancel()
        going.cancel()
        await asyncio.wait((going, asked), timeout=PATIENCE_S)


async def start(starting: Coroutine[Any, Any, None], stopping: asyncio.Event) -> None:
    """Start a server. Raises what it raises, and `Stopped` when a signal comes first.

    Some engines load in threads, which nothing can cancel. No conversation has begun that
    could be lost, so the process leaves such a thread behind after `PATIENCE_S`.
    """
    try:
        await unless(stopping, starting)
    except Stopped:
        leaving = threading.Timer(PATIENCE_S, os._exit, (STATUS,))
        leaving.daemon = True
        leaving.start()
        raise
