"""Ctrl-C and signals of the system that stop a server, while it serves and while it starts."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from vivavoce.wiring import Server

T = TypeVar("T")

STOPPED_STATUS = 130
"""The exit status of a command that was stopped before it had done its work."""

CANCEL_TIMEOUT_S = 2.0
"""How long what was cancelled may take to end."""

UNNOTICED_S = 0.3
"""An end that takes no longer needs no explanation."""


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


async def run_until_stopped(stopping: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives. Cancels it and raises `Stopped` when a signal comes first."""
    going = asyncio.ensure_future(work)
    asked = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((going, asked), return_when=asyncio.FIRST_COMPLETED)
        if going.done():
            return going.result()
        raise Stopped
    finally:
        asked.cancel()
        going.cancel()
        await asyncio.wait((going, asked), timeout=CANCEL_TIMEOUT_S)


async def start_server(starting: Coroutine[Any, Any, None], stopping: asyncio.Event) -> None:
    """Start a server. Raises what it raises, and `Stopped` when a signal comes first.

    Some engines load in threads, which nothing can cancel. No conversation has begun that
    could be lost, so the process leaves such a thread behind, after `CANCEL_TIMEOUT_S` at the
    latest.
    """
    try:
        await run_until_stopped(stopping, starting)
    except Stopped:
        atexit.register(_exit_process)
        leaving = threading.Timer(CANCEL_TIMEOUT_S, _exit_process)
        leaving.daemon = True
        leaving.start()
        raise


def _exit_process() -> None:
    """End the process without finalizing the interpreter.

    That ends threads wherever they are, and within a C++ library aborts the process.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(STOPPED_STATUS)


async def stop_server(
    server: Server, stopping: asyncio.Event, report: Callable[[str], None]
) -> None:
    """Stop a server, at leisure until the next signal: `report` is told what is waited for."""
    finished = asyncio.ensure_future(server.stop())
    hurry = asyncio.ensure_future(_wait_for_next_signal(stopping))
    ends = {finished, hurry}
    await asyncio.wait(ends, timeout=UNNOTICED_S, return_when=asyncio.FIRST_COMPLETED)
    if not (finished.done() or hurry.done()) and (count := len(server.sessions)):
        noun = "conversation" if count == 1 else "conversations"
        timeout = f"up to {server.config.server.drain_s:g} s"
        report(f"Waiting {timeout} for {count} {noun} to end; Ctrl-C again stops now.")
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if finished.done():
        finished.result()
        return
    finished.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await finished
    await server.stop(drain_s=0)


async def _wait_for_next_signal(stopping: asyncio.Event) -> None:
    stopping.clear()
    await stopping.wait()
