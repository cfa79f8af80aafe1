"""`vivavoce index`: build, list, prune and query the local document index."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from vivavoce.cli.errors import CliError, ErrorCode, open_console
from vivavoce.engines.document_index import (
    FileResult,
    FileStatus,
    Index,
    IndexVersion,
    count_other_files,
    default_index_path,
    index_version,
    list_documents,
    resolve_root,
    update_index,
)
from vivavoce.engines.document_search import create
from vivavoce.engines.pages import load_libraries
from vivavoce.engines.ports import SearchQuery
from vivavoce.engines.registry import EngineBuilder
from vivavoce.errors import ConfigError, ToolError


def index(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The folder of documents.")
    ] = None,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FILE", help="Index file; default: your own.")
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="List the folders in the index and exit.")
    ] = False,
    forget: Annotated[
        Path | None, typer.Option("--forget", metavar="DIR", help="Remove a folder from the index.")
    ] = None,
    ask: Annotated[
        str | None, typer.Option("--ask", metavar="QUESTION", help="Print what a question finds.")
    ] = None,
) -> None:
    """Index a folder of text, Markdown, HTML and PDF files, so that answers can cite them.

    Run it again when the documents have changed: only what changed is read.
    """
    path = into.expanduser() if into else default_index_path()
    asked = sum((folder is not None, list_, forget is not None, ask is not None))
    if asked != 1:
        raise typer.BadParameter("Name a folder, or one of --list, --forget and --ask.")
    try:
        if folder is not None:
            _build_index(open_console(), path, resolve_root(folder))
        elif forget is not None:
            _remove_folder(path, forget)
        elif list_:
            _list_folders(path)
        else:
            asyncio.run(_print_search_results(path, ask or ""))
    except ToolError as error:
        raise CliError(ErrorCode.ENGINE_FAILED, error.problem, "See --list.") from None
    except sqlite3.Error as error:
        problem = f"The index {path} is damaged: {error}."
        raise CliError(ErrorCode.CONFIG, problem, "Delete it, and index again.") from None


def _build_index(console: Console, path: Path, root: Path) -> None:
    load_libraries()
    files = list_documents(root)
    counts: Counter[FileStatus] = Counter()
    with closing(Index(path)) as opened:
        for seen in _show_progress(console, update_index(opened, root, files), len(files)):
            counts[seen.change] += 1
            where = _printable_name(str(seen.path.relative_to(root)))
            if seen.problem:
                typer.echo(f"unreadable\t{where}\t{seen.problem}", err=True)
            elif seen.change is not FileStatus.UNCHANGED and not console.is_terminal:
                typer.echo(f"{seen.change.value}\t{where}")
    if not files:
        typer.echo(f"No documents (text, Markdown, HTML, PDF) are in {root}.", err=True)
    summary = [f"{counts[change]} {change.value}" for change in FileStatus]
    if others := count_other_files(root):
        summary.append(
            f"{others} of {'another kind' if others == 1 else 'other kinds'} passed over"
        )
    typer.echo(f"{', '.join(summary)}; the index is {path}")


def _show_progress(
    console: Console, files: Iterable[FileResult], total: int
) -> Iterator[FileResult]:
    """Yield `files`, with a progress bar on a terminal."""
    if not console.is_terminal:
        yield from files
        return
    columns = (TextColumn("Reading"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TextColumn("{task.description}", markup=False), console=console) as bar:
        task = bar.add_task("", total=total)
        for seen in files:
            if seen.change is not FileStatus.DROPPED:
                bar.update(task, advance=1, description=_printable_name(seen.path.name)[:40])
            yield seen


def _printable_name(name: str) -> str:
    """Replace the bytes of a file name that are no characters."""
    return name.encode(errors="replace").decode()


def _open_index(path: Path) -> Index:
    """Open an existing index. Raises `ConfigError` if there is none."""
    if index_version(path) is IndexVersion.ABSENT:
        raise ConfigError(f"There is no index at {path}.", "Run `vivavoce index DIR`.")
    return Index(path)


def _list_folders(path: Path) -> None:
    with closing(_open_index(path)) as opened:
        for folder, count in opened.folders():
            typer.echo(f"{folder}\t{count}")
    typer.echo(f"The index is {path}.", err=True)


def _remove_folder(path: Path, folder: Path) -> None:
    root = str(folder.expanduser().resolve())
    with closing(_open_index(path)) as opened:
        known = [each for each, _ in opened.folders()]
        if root not in known:
            there = ", ".join(known) or "none"
            raise ConfigError(f"{root} is not in the index.", f"Folders in it: {there}.")
        count = opened.remove_folder(root)
    typer.echo(f"{count} dropped; the index is {path}")


async def _print_search_results(path: Path, question: str) -> None:
    engine = await create({"path": str(path)}, EngineBuilder(report=typer.echo))
    try:
        found = await engine.search(SearchQuery(question))
    finally:
        await engine.aclose()
    if not found:
        typer.echo("Nothing was found.", err=True)
    for source in found:
        typer.echo(f"{source.title}\n{source.uri}\n    {' '.join(source.text.split())}\n")
