"""`vivavoce voices`: the Live API's thirty voice names, and what each sounds like here."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from vivavoce.cli.console import open_console
from vivavoce.cli.environment import as_typed
from vivavoce.domain.voices import DEFAULT_VOICE, VOICES
from vivavoce.engines.synthesis import voice_parameters

EVEN = (0.97, 1.03)
"""Between these a pace is neither quick nor slow."""


def voices(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the voice names that clients may ask for, and how the embedded voice speaks them."""
    if as_json:
        listed = {"voices": list(VOICES), "default": DEFAULT_VOICE}
        typer.echo(
            json.dumps({**listed, "sounds": {v: describe_voice(v) for v in VOICES}}, indent=2)
        )
        return
    console = open_console(soft_wrap=False)
    if not console.is_terminal:
        typer.echo("voice\tsound")
        for voice in VOICES:
            typer.echo(f"{voice}\t{describe_voice(voice)}")
        return
    table = Table("voice", "sound")
    for voice in VOICES:
        table.add_row(voice, describe_voice(voice))
    console.print(table)
    example = as_typed("`vivavoce say --voice Kore 'Good morning.' --out kore.wav`")
    console.print(f"Default: {DEFAULT_VOICE}. Try one: {example}")


def describe_voice(voice: str) -> str:
    """In a few words, what the synthesizer that comes with the project makes of a voice."""
    made = voice_parameters(voice)
    gender = "woman" if made.feminine else "man"
    pace = "quick" if made.pace > EVEN[1] else "slow" if made.pace < EVEN[0] else "even"
    return f"{gender}, {made.pitch_hz:.0f} Hz, {pace} pace"
