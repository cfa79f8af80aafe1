"""`vivavoce env`: the variables for a shell, so that Google's SDKs find and trust this server."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from vivavoce.cli.faults import fault_of, leave
from vivavoce.cli.surroundings import Key, Port, Url, place_of, variables
from vivavoce.config import load
from vivavoce.errors import VivavoceError


def env(
    fish: Annotated[bool, typer.Option("--fish", help="For the fish shell.")] = False,
    powershell: Annotated[bool, typer.Option("--powershell", help="For PowerShell.")] = False,
    dotenv: Annotated[bool, typer.Option("--dotenv", help="As a .env file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    url: Url = "",
    port: Port = None,
    key: Key = "",
    config: Annotated[Path | None, typer.Option(help="Configuration file.")] = None,
) -> None:
    """Print the variables for your shell: eval "$(vivavoce env)"."""
    try:
        settings = load(config, {"server.port": port})
        found = variables(settings, place=place_of(settings, url), key=key)
    except VivavoceError as error:
        raise leave(fault_of(error)) from None
    spell = posix_lines
    if fish:
        spell = fish_lines
    elif powershell:
        spell = powershell_lines
    elif dotenv:
        spell = dotenv_lines
    elif as_json:
        spell = json_text
    typer.echo(spell(found))


def posix_lines(found: Mapping[str, str]) -> str:
    """`export` lines, which `eval` takes."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in found.items())


def fish_lines(found: Mapping[str, str]) -> str:
    """In fish, a backslash and a quote are escaped inside single quotes, and nothing else."""
    quoted = {
        name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in found.items()
    }
    return "\n".join(f"set -gx {name} '{value}';" for name, value in quoted.items())


def powershell_lines(found: Mapping[str, str]) -> str:
    """In PowerShell, a quote is doubled inside single quotes."""
    quoted = {name: value.replace("'", "''") for name, value in found.items()}
    return "\n".join(f"$env:{name} = '{value}'" for name, value in quoted.items())


def dotenv_lines(found: Mapping[str, str]) -> str:
    """Lines that dotenv readers and `docker --env-file` take alike: no quotes."""
    return "\n".join(f"{name}={value}" for name, value in found.items())


def json_text(found: Mapping[str, str]) -> str:
    """One JSON object."""
    return json.dumps(dict(found), indent=2)
