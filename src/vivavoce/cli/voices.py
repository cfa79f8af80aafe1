"""`vivavoce voices`: the Live API's thirty voice names, and what each sounds like here."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.columns import Columns
from rich.console import Console

from vivavoce.domain.voices import DEFAULT_VOICE, VOICES


def voices(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the voice names that clients may ask for. Engines map each to a voice of theirs."""
    if as_json:
        typer.echo(json.dumps({"voices": list(VOICES), "default": DEFAULT_VOICE}, indent=2))
        return
    console = Console()
    if not console.is_terminal:
        typer.echo("\n".join(VOICES))
        return
    console.print(Columns(VOICES, equal=True))
    console.print(f"Default: {DEFAULT_VOICE}. Try one: vivavoce say --voice Kore 'Good morning.'")
