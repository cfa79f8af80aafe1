"""`vivavoce engines` and `vivavoce voices`: list engines with their profiles, and voices."""

from __future__ import annotations

import json
from collections.abc import Iterator

import typer
from rich.table import Table

from vivavoce.cli.errors import as_typed, open_console
from vivavoce.cli.options import AsJson, ConfigFile
from vivavoce.config.loading import load_config
from vivavoce.config.settings import Config
from vivavoce.domain.setup import DEFAULT_VOICE, VOICES
from vivavoce.engines.ports import Settings
from vivavoce.engines.registry import (
    PROFILE_PORTS,
    list_engines,
    parse_choice,
    required_parts,
)
from vivavoce.engines.synthesis import voice_parameters

COLUMNS = ("name", "description", "source", "profiles")


def engines(
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """List the engines, where they come from, and the profiles that use them."""
    uses = profiles_by_engine(load_config(config))
    rows = [
        (each.name, each.description, each.source, uses.get(each.name, []))
        for each in list_engines()
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
    """Return the profiles that use each engine; `[tools]` stands for all of them."""
    found: dict[str, list[str]] = {}
    for profile, table in settings.profiles.items():
        for port in PROFILE_PORTS:
            choice = getattr(table, port)
            for name in dict.fromkeys(engine_names(port, choice)) if choice else ():
                found.setdefault(name, []).append(profile)
    for port, choice in (("search", settings.tools.search), ("sandbox", settings.tools.code)):
        for name in engine_names(port, choice) if choice else ():
            found.setdefault(name, []).append(TOOLS)
    return found


def engine_names(port: str, choice: str | Settings) -> Iterator[str]:
    """Yield the full names of a choice, of its fallbacks and of its parts."""
    use, _, otherwise = parse_choice(choice)
    yield f"{port}.{use}"
    if otherwise is not None:
        yield from engine_names(port, otherwise)
    for part in required_parts(port, choice):
        yield from engine_names(*part)


EVEN = (0.97, 1.03)
"""Range of a pace that is neither quick nor slow."""


def voices(
    as_json: AsJson = False,
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
    """Describe in a few words how the embedded synthesizer speaks a voice."""
    made = voice_parameters(voice)
    gender = "woman" if made.feminine else "man"
    pace = "quick" if made.pace > EVEN[1] else "slow" if made.pace < EVEN[0] else "even"
    return f"{gender}, {made.pitch_hz:.0f} Hz, {pace} pace"
