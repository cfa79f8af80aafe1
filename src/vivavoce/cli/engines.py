"""`vivavoce engines`: what could listen, think and speak, and what of it is chosen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from vivavoce.cli.console import open_console
from vivavoce.cli.errors import describe_error, print_and_exit
from vivavoce.config import Config, load_config
from vivavoce.engines.ports import Settings
from vivavoce.engines.registry import listing, parse, required_parts
from vivavoce.errors import VivavoceError

COLUMNS = ("name", "description", "source", "profiles")


def engines(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    config: Annotated[Path | None, typer.Option(help="Configuration file.")] = None,
) -> None:
    """List the engines, where they come from, and the profiles that use them."""
    try:
        settings = load_config(config)
        uses = profiles_by_engine(settings)
    except VivavoceError as error:
        raise print_and_exit(describe_error(error)) from None
    rows = [
        (each.name, each.description, each.source, uses.get(each.name, [])) for each in listing()
    ]
    if as_json:
        typer.echo(json.dumps([dict(zip(COLUMNS, row, strict=True)) for row in rows], indent=2))
        return
    console = open_console(soft_wrap=False)
    if not console.is_terminal:
        typer.echo("\t".join(COLUMNS))
        for name, description, source, profiles in rows:
            typer.echo(f"{name}\t{description}\t{source}\t{','.join(profiles)}")
        return
    table = Table("engine", "what it is", "from", "used by profile")
    for name, description, source, profiles in rows:
        table.add_row(name, description, source, ", ".join(profiles))
    console.print(table)


TOOLS = "[tools]"


def profiles_by_engine(settings: Config) -> dict[str, list[str]]:
    """For each engine's full name, the profiles that name it; `[tools]` is for all of them."""
    found: dict[str, list[str]] = {}
    for profile, table in settings.profiles.items():
        for port in ("detector", "recognizer", "responder"):
            for name in dict.fromkeys(engine_names(port, getattr(table, port))):
                found.setdefault(name, []).append(profile)
    for port, choice in (("search", settings.tools.search), ("sandbox", settings.tools.code)):
        for name in engine_names(port, choice) if choice else ():
            found.setdefault(name, []).append(TOOLS)
    return found


def engine_names(port: str, choice: str | Settings) -> Iterator[str]:
    """The full names of a choice, of what it falls back on, and of what it is made of."""
    use, _, otherwise = parse(choice)
    yield f"{port}.{use}"
    if otherwise is not None:
        yield from engine_names(port, otherwise)
    for part in required_parts(port, choice):
        yield from engine_names(*part)
