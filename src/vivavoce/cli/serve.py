"""`vivavoce serve`: run the server until a signal stops it, while it serves or while it starts."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console

from vivavoce.cli.errors import as_typed, command_hint, describe_error, open_console
from vivavoce.cli.options import ConfigFile, check_port
from vivavoce.config.loading import load_config
from vivavoce.config.settings import Config, is_loopback

if TYPE_CHECKING:
    from vivavoce.server import Server

T = TypeVar("T")

STOPPED_STATUS = 130
"""The exit status of a command that was stopped before it had done its work."""

CANCEL_TIMEOUT_S = 2.0
"""Time for cancelled work to end."""

UNNOTICED_S = 0.3
"""A stop that takes no longer is not explained."""

SWITCH_S = 0.0005
"""Longest run of a thread while the event loop waits for the interpreter. Python's own 5 ms would
be added to each step of each conversation while a large message is read."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Engines to use: embedded, scripted, or a profile of your own."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Language model: qwen-0.5b, qwen-1.5b, a GGUF file, or openai:URL#NAME."),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Serve the Gemini Live API on one port, TLS and plain text."""
    flags: dict[str, Any] = {
        "server.host": host,
        "server.port": port,
        "profile": profile,
        "model": model,
    }
    settings = load_config(config, flags)
    _prepare_start(settings)
    try:
        asyncio.run(_serve(settings))
    except OSError as error:
        where = f"{settings.server.host}:{settings.server.port}"
        raise describe_error(error, where) from None
    except (KeyboardInterrupt, Stopped):
        raise typer.Exit(STOPPED_STATUS) from None


def _prepare_start(settings: Config) -> None:
    """Check the port, configure logging, fetch the weights that are missing."""
    from vivavoce import logs
    from vivavoce.cli.pull import fetch_weights
    from vivavoce.server import weights_in_use

    logs.configure(settings.log.level, settings.log.format, settings.log.personal)
    check_port(settings)
    fetch_weights(open_console(to_stderr=True), weights_in_use(settings), settings.weights)


async def _serve(settings: Config) -> None:
    from vivavoce.server import Server

    console = open_console(to_stderr=True)
    server = Server(settings, say=lambda line: console.print(as_typed(line)))
    stopping = watch_signals()
    shorten_thread_turns()
    console.print("Starting the server and its engines …")
    await start_server(server.start(), stopping)
    try:
        freeze_started_objects()
        secure = server.url("https") if settings.server.tls.enabled else ""
        _print_addresses(console, server.url("http"), secure, server.readiness.report())
        if secure and server.bundle and not is_loopback(settings.server.host):
            base = f"https://{socket.gethostname()}:{server.listener.address[1]}"
            files = f"SSL_CERT_FILE set to a copy of {server.bundle}"
            console.print(f"Other machines need a key, {base} as the base URL, and {files}.")
        await stopping.wait()
    finally:
        await stop_server(server, stopping, console.print)


def _print_addresses(console: Console, plain: str, secure: str, report: Any) -> None:
    """Print the addresses, the state of each part, and how to start clients."""
    console.print(f"vivavoce serves {plain}" + (f" and {secure}" if secure else ""))
    for part, state in report["parts"].items():
        note = f": {as_typed(state['note'])}" if "note" in state else ""
        console.print(f"  {part}: {state['state']}{note}")
    console.print(
        f"Clients: `{command_hint('run', plain)} -- COMMAND`, or `{command_hint('talk', plain)}`."
    )


class Stopped(Exception):
    """A signal came before the work was done."""


def watch_signals() -> asyncio.Event:
    """Return an event that the first signal to stop sets; cleared, the next sets it again."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows raises KeyboardInterrupt
            loop.add_signal_handler(number, stopping.set)
    return stopping


async def run_until_stopped(stopping: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`; cancel it and raise `Stopped` when a signal comes first."""
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
    """Stop a server: gracefully, after a line to `report`, until the next signal; then at once."""
    finished = asyncio.ensure_future(server.stop())
    interrupted = asyncio.ensure_future(_wait_for_next_signal(stopping))
    ends = {finished, interrupted}
    await asyncio.wait(ends, timeout=UNNOTICED_S, return_when=asyncio.FIRST_COMPLETED)
    if not (finished.done() or interrupted.done()) and (count := len(server.sessions)):
        noun = "conversation" if count == 1 else "conversations"
        timeout = f"up to {server.config.server.drain_s:g} s"
        report(f"Waiting {timeout} for {count} {noun} to end; Ctrl-C again stops now.")
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    interrupted.cancel()
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


def shorten_thread_turns() -> None:
    """Let the event loop get the interpreter back soon while other threads compute."""
    sys.setswitchinterval(SWITCH_S)


def freeze_started_objects() -> None:
    """Exclude the objects made at start-up from garbage collection.

    A full collection looks at every object at once: 0.1 s of the event loop for the modules alone.
    """
    gc.collect()
    gc.freeze()
