"""`vivavoce doctor`: what is wrong here, why, and what to do about it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vivavoce import logs
from vivavoce.cli import examine, selftest, storetest, tooltest
from vivavoce.cli.faults import fault_of
from vivavoce.cli.findings import Finding, Severity, worst, wrong
from vivavoce.cli.surroundings import place_of, typed
from vivavoce.config import load
from vivavoce.errors import VivavoceError

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
    """Examine this machine. The exit status is 0 for well, 1 for warnings, 2 for errors."""
    findings = []
    console = Console(highlight=False, soft_wrap=True)
    for finding in examination(config, {"profile": profile, "model": model}, quick):
        findings.append(finding)
        if not as_json:
            _say(console, finding)
    verdict = worst(findings)
    if as_json:
        report = {
            "severity": verdict.name.lower(),
            "findings": [each.as_json() for each in findings],
        }
        typer.echo(json.dumps(report, indent=2))
    raise typer.Exit(int(verdict))


def examination(
    path: Path | None, flags: Mapping[str, str | None], quick: bool
) -> Iterator[Finding]:
    """Everything that is looked at, in order."""
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
    yield from _collected(storetest.store(config))
    yield from examine.weights(config)
    if not quick:
        yield from _collected(selftest.engines(config))
        yield from _collected(tooltest.tools(config))
    yield from examine.devices()


def _collected(findings: AsyncIterator[Finding]) -> list[Finding]:
    async def collect() -> list[Finding]:
        return [finding async for finding in findings]

    return asyncio.run(collect())


def _say(console: Console, finding: Finding) -> None:
    word, colour = MARKS[finding.severity]
    code = f" {finding.code.value}" if finding.code else ""
    console.print(f"{word:8}", style=colour, end="")
    console.print(f"{finding.group}:{code} {typed(finding.what)}", markup=False)
    if finding.fix:
        console.print(f"{'':8}{typed(finding.fix)}", markup=False)
