"""`vivavoce serve`: the server, until it is told to stop."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from vivavoce.cli import signals as stops
from vivavoce.cli.console import open_console
from vivavoce.cli.environment import as_typed, command_hint
from vivavoce.cli.errors import describe_error, print_and_exit
from vivavoce.cli.event_loop import freeze_started_objects, shorten_thread_turns
from vivavoce.config import Config, is_loopback, load_config
from vivavoce.errors import VivavoceError


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    profile: Annotated[
        str | None, typer.Option(help="Engines that answer: embedded, scripted, or your own.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Language model: qwen-0.5b, qwen-1.5b, a GGUF file, or openai:URL#NAME."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration file.")] = None,
) -> None:
    """Serve the Gemini Live API on one port, TLS and plain text."""
    flags: dict[str, Any] = {
        "server.host": host,
        "server.port": port,
        "profile": profile,
        "model": model,
    }
    settings: Config | None = None
    try:
        settings = load_config(config, flags)
        _prepare_start(settings)
        asyncio.run(_serve(settings))
    except (VivavoceError, OSError) as error:
        where = f"{settings.server.host}:{settings.server.port}" if settings else ""
        raise print_and_exit(describe_error(error, where)) from None
    except (KeyboardInterrupt, stops.Stopped):
        raise typer.Exit(stops.STOPPED_STATUS) from None


def _prepare_start(settings: Config) -> None:
    """Check the port, configure logging, fetch the weights that are missing."""
    from vivavoce import logs
    from vivavoce.cli.port_check import find_port_conflict
    from vivavoce.cli.pull import fetch_weights
    from vivavoce.wiring import weights_in_use

    logs.configure(settings.log.level, settings.log.format, settings.log.personal)
    if failure := find_port_conflict(settings):
        raise print_and_exit(failure)
    fetch_weights(open_console(to_stderr=True), weights_in_use(settings), settings.weights)


async def _serve(settings: Config) -> None:
    from vivavoce.wiring import build

    console = open_console(to_stderr=True)
    server = build(settings, say=lambda line: console.print(as_typed(line)))
    stopping = stops.watch_signals()
    shorten_thread_turns()
    console.print("Starting the server and its engines …")
    await stops.start_server(server.start(), stopping)
    try:
        freeze_started_objects()
        secure = server.url("https") if settings.server.tls.enabled else ""
        _print_addresses(console, server.url("http"), secure, server.readiness.report())
        if secure and server.bundle and not is_loopback(settings.server.host):
            base = f"https://{socket.gethostname()}:{server.port.address[1]}"
            files = f"SSL_CERT_FILE set to a copy of {server.bundle}"
            console.print(f"Other machines need a key, {base} as the base URL, and {files}.")
        await stopping.wait()
    finally:
        await stops.stop_server(server, stopping, console.print)


def _print_addresses(console: Console, plain: str, secure: str, report: Any) -> None:
    """Print the addresses, how each part does, and how clients are started."""
    console.print(f"vivavoce serves {plain}" + (f" and {secure}" if secure else ""))
    for part, state in report["parts"].items():
        note = f": {as_typed(state['note'])}" if "note" in state else ""
        console.print(f"  {part}: {state['state']}{note}")
    console.print(
        f"Clients: `{command_hint('run', plain)} -- COMMAND`, or `{command_hint('talk', plain)}`."
    )
