"""`vivavoce doctor`: what is wrong here, why, and what to do about it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from vivavoce import logs
from vivavoce.cli import examine, selftest, storetest, tooltest
from vivavoce.cli.console import open_console
from vivavoce.cli.faults import fault_of
from vivavoce.cli.findings import Finding, Severity, Trial, worst, wrong
from vivavoce.cli.surroundings import place_of, typed
from vivavoce.config import load
from vivavoce.errors import VivavoceError

T = TypeVar("T")

MARKS = {
    Severity.NOTE: ("note", "dim"),
    Severity.OK: ("ok", "green"),
    Severity.WARNING: ("warning", "yellow"),
    Severity.ERROR: ("error", "red"),
}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Do not start the engines.")] = False,
    profile: Annotated[str | None, typer.Option(help="Profile to try.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Language model to try, as `serve` takes it.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration file.")] = None,
) -> None:
    """Examine this machine: what is wrong, why, and what to do about it.

    Exit codes: 0 nothing is wrong, 1 warnings, 2 errors.
    """
    steps = examination(config, {"profile": profile, "model": model}, quick)
    if as_json:
        findings = [step for step in steps if isinstance(step, Finding)]
        typer.echo(json.dumps(_report(findings), indent=2))
    else:
        findings = _print_findings(steps)
    raise typer.Exit(int(worst(findings)))


def examination(
    path: Path | None, flags: Mapping[str, str | None], quick: bool
) -> Iterator[Finding | Trial]:
    """Examine everything in order; each finding comes when it is known."""
    yield from examine.host()
    try:
        config = load(path, flags)
    except VivavoceError as error:
        yield wrong("config", fault_of(error))
        return
    logs.configure("error", config.log.format)
    place = place_of(config)
    yield from examine.port(config, place)
    yield from examine.tls(config, place)
    yield from _iterated(storetest.store(config))
    yield from examine.weights(config)
    if not quick:
        yield from _iterated(selftest.engines(config))
        yield from _iterated(tooltest.tools(config))
    yield from examine.devices()


def _iterated(steps: AsyncGenerator[T, None]) -> Iterator[T]:
    """The items of an asynchronous generator, each as soon as it is there."""

    async def following() -> T | None:
        return await anext(steps, None)

    with asyncio.Runner() as runner:
        try:
            while (step := runner.run(following())) is not None:
                yield step
        finally:
            runner.run(_closed(steps))


async def _closed(steps: AsyncGenerator[T, None]) -> None:
    await steps.aclose()


def _print_findings(steps: Iterator[Finding | Trial]) -> list[Finding]:
    """Print what is found, and meanwhile what is being tried: on a terminal in its last line,
    elsewhere on standard error."""
    console, progress = open_console(), open_console(to_stderr=True)
    findings = []
    status = console.status(Text("")) if console.is_terminal else None
    with status or nullcontext():
        for step in steps:
            if isinstance(step, Finding):
                findings.append(step)
                _print_finding(console, step)
            elif status is not None:
                status.update(Text(f"Trying {step.what} …"))
            else:
                progress.print(f"Trying {step.what} …")
    return findings


def _print_finding(console: Console, finding: Finding) -> None:
    word, color = MARKS[finding.severity]
    code = f" {finding.code.value}" if finding.code else ""
    console.print(Text(f"{word:8}", color), end="")
    console.print(f"{finding.group}:{code} {typed(finding.what)}")
    if finding.fix:
        console.print(f"{'':8}{typed(finding.fix)}")


def _report(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings for `--json`."""
    return {
        "severity": worst(findings).name.lower(),
        "findings": [each.as_json() for each in findings],
    }
