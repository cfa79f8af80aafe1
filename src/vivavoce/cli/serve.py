"""`vivavoce serve`: the server, until it is told to stop."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from vivavoce.cli import stopping as stops
from vivavoce.cli.faults import fault_of, leave
from vivavoce.cli.surroundings import hint
from vivavoce.config import Config, load
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
        settings = load(config, flags)
        _prepare(settings)
        asyncio.run(_serve(settings))
    except (VivavoceError, OSError) as error:
        where = f"{settings.server.host}:{settings.server.port}" if settings else ""
        raise leave(fault_of(error, where)) from None
    except (KeyboardInterrupt, stops.Stopped):
        raise typer.Exit(stops.STATUS) from None


def _prepare(settings: Config) -> None:
    """The port, logging, and the weights that the first start fetches after saying so."""
    from vivavoce import logs
    from vivavoce.cli.listening import taken
    from vivavoce.cli.pull import fetch
    from vivavoce.wiring import weights_in_use

    logs.configure(settings.log.level, settings.log.format, settings.log.personal)
    if fault := taken(settings):
        raise leave(fault)
    fetch(_console(), weights_in_use(settings), settings.weights)


async def _serve(settings: Config) -> None:
    from vivavoce.wiring import build

    server = build(settings, say=lambda line: _console().print(line, markup=False))
    stopping = stops.watch_signals()
    await stops.start(server.start(), stopping)
    try:
        _greet(server.url("http"), server.url("https"), settings, server.readiness.report())
        await stopping.wait()
    finally:
        await stops.close(server, stopping, lambda line: _console().print(line, markup=False))


def _greet(plain: str, secure: str, settings: Config, report: Any) -> None:
    console = _console()
    console.print(f"vivavoce serves {plain}", end="", markup=False)
    console.print(f" and {secure}" if settings.server.tls.enabled else "", markup=False)
    for part, state in report["parts"].items():
        note = f": {state['note']}" if "note" in state else ""
        console.print(f"  {part}: {state['state']}{note}", markup=False)
    clients = f"`{hint('run', plain)} -- COMMAND`, or `{hint('talk', plain)}`"
    console.print(f"Clients: {clients}.", markup=False)


def _console() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)
