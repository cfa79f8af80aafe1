"""`vivavoce env`: the variables for a shell, so that Google's SDKs find and trust this server."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from vivavoce.cli.environment import Key, Port, Url, sdk_variables, server_address
from vivavoce.cli.errors import describe_error, print_and_exit
from vivavoce.config import load_config
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
        settings = load_config(config, {"server.port": port})
        variables = sdk_variables(settings, address=server_address(settings, url), key=key)
    except VivavoceError as error:
        raise print_and_exit(describe_error(error)) from None
    spell = posix_lines
    if fish:
        spell = fish_lines
    elif powershell:
        spell = powershell_lines
    elif dotenv:
        spell = dotenv_lines
    elif as_json:
        spell = json_text
    typer.echo(spell(variables))


def posix_lines(variables: Mapping[str, str]) -> str:
    """`export` lines, which `eval` takes."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def fish_lines(variables: Mapping[str, str]) -> str:
    """In fish, a backslash and a quote are escaped inside single quotes, and nothing else."""
    quoted = {
        name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in variables.items()
    }
    return "\n".join(f"set -gx {name} '{value}';" for name, value in quoted.items())


def powershell_lines(variables: Mapping[str, str]) -> str:
    """In PowerShell, a quote is doubled inside single quotes."""
    quoted = {name: value.replace("'", "''") for name, value in variables.items()}
    return "\n".join(f"$env:{name} = '{value}'" for name, value in quoted.items())


def dotenv_lines(variables: Mapping[str, str]) -> str:
    """Lines that dotenv readers and `docker --env-file` take alike: no quotes."""
    return "\n".join(f"{name}={value}" for name, value in variables.items())


def json_text(variables: Mapping[str, str]) -> str:
    """One JSON object."""
    return json.dumps(dict(variables), indent=2)
