"""`vivavoce pull`: fetch the weights of the embedded engines, or list them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from vivavoce.cli.errors import (
    CliError,
    ErrorCode,
    as_typed,
    open_console,
)
from vivavoce.cli.options import ConfigFile
from vivavoce.config.loading import load_config
from vivavoce.config.settings import Config
from vivavoce.engines import registry, weights_download
from vivavoce.engines.weights import (
    Weights,
    format_megabytes,
    locate,
)
from vivavoce.errors import ConfigError, EngineMissing

COLUMNS = ("name", "content", "version", "source", "sha256", "license", "bytes", "folder")


def pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names of weights; default: those that the configuration uses."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Describe the weights and exit.")] = False,
    config: ConfigFile = None,
) -> None:
    """Fetch weights of the embedded engines into your cache; continues an interrupted download."""
    from vivavoce.server import weights_in_use

    console = open_console()
    settings = load_config(config)
    if list_:
        _list_weights(console, settings, [registry.find_weights(name) for name in names or ()])
        return
    try:
        wanted = [registry.find_weights(name) for name in names or weights_in_use(settings)]
        in_use = [weights.name for weights in wanted]
        absent = _find_missing(in_use, settings.weights)
        fetch_weights(console, in_use, settings.weights)
    except EngineMissing as error:
        problem = f"{error.engine}: {error.problem}"
        raise CliError(ErrorCode.WEIGHTS_MISSING, problem, error.fix) from None
    for weights in wanted:
        state = "fetched" if weights in absent else "already here"
        console.print(f"{weights.name}: {state}, {locate(weights, settings.weights)}")


def fetch_weights(
    console: Console, names: list[str], overrides: Mapping[str, str | Path] | None = None
) -> None:
    """Fetch what is missing, after a line about it, with one progress bar on a terminal.

    `overrides` names folders of the user's own. Raises `EngineMissing`, and `ConfigError` for a
    folder of weights that can't be read.
    """

    def say(line: str) -> None:
        console.print(as_typed(line))

    absent = _find_missing(names, overrides)
    if not absent:
        return
    try:
        if not console.is_terminal:
            weights_download.fetch_weights(absent, say)
            return
        with _progress_bar(console) as bar:
            task = bar.add_task("", total=sum(each.size_bytes for each in absent))

            def report(activity: str, arrived: int, total: int) -> None:
                bar.update(task, description=activity, completed=arrived, total=total)

            weights_download.fetch_weights(absent, say, report)
    except KeyboardInterrupt:
        say("Interrupted. What has arrived is kept: the same command continues from there.")
        raise


def _find_missing(names: list[str], overrides: Mapping[str, str | Path] | None) -> list[Weights]:
    """List the weights that are not here. Raises `ConfigError` for a folder that can't be read."""
    try:
        return registry.missing_weights(names, overrides)
    except OSError as error:
        raise ConfigError(
            f"The folder of weights can't be read: {error.strerror}.",
            "Check XDG_CACHE_HOME and its permissions.",
        ) from None


def _progress_bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def _list_weights(console: Console, settings: Config, named: list[Weights]) -> None:
    """Describe weights: lines on a terminal, tab-separated values with a heading elsewhere."""
    if not console.is_terminal:
        typer.echo("\t".join(COLUMNS))
    for each in named or registry.all_weights():
        where = _weights_location(each, settings)
        if console.is_terminal:
            # Lines and no table, which would cut the paths on a narrow terminal.
            fetched, stored = map(format_megabytes, (each.size_bytes, each.disk_bytes))
            size = f"{fetched} to fetch, {stored} on disk"
            typer.echo(
                f"{each.name}: {each.description}\n"
                f"    {size}, {each.license}\n"
                f"    published at {each.origin}\n"
                f"    fetched from {each.source}\n"
                f"    SHA-256 {each.sha256}\n"
                f"    {where}"
            )
        else:
            row = (each.name, each.description, each.version, each.source, each.sha256)
            typer.echo("\t".join(map(str, (*row, each.license, each.size_bytes, where))))


def _weights_location(weights: Weights, settings: Config) -> str:
    try:
        return str(locate(weights, settings.weights))
    except EngineMissing:
        return "not here"
