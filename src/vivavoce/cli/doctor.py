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
from vivavoce.cli import doctor_engines, doctor_tools, examination
from vivavoce.cli.environment import server_address
from vivavoce.cli.errors import as_typed, describe_error, open_console
from vivavoce.cli.examination import Finding, Severity, Trial, error_finding, worst_severity
from vivavoce.config import load_config
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
    steps = examine_all(config, {"profile": profile, "model": model}, quick)
    if as_json:
        findings = [step for step in steps if isinstance(step, Finding)]
        typer.echo(json.dumps(_json_report(findings), indent=2))
    else:
        findings = _print_findings(steps)
    raise typer.Exit(int(worst_severity(findings)))


def examine_all(
    path: Path | None, flags: Mapping[str, str | None], quick: bool
) -> Iterator[Finding | Trial]:
    """Examine everything in order; each finding comes when it is known."""
    yield from examination.examine_host()
    try:
        config = load_config(path, flags)
    except VivavoceError as error:
        yield error_finding("config", describe_error(error))
        return
    logs.configure("error", config.log.format)
    address = server_address(config)
    yield from examination.examine_port(config, address)
    yield from examination.examine_tls(config, address)
    yield from _iterate(examination.examine_store(config))
    yield from examination.examine_weights(config)
    if not quick:
        yield from _iterate(doctor_engines.examine_engines(config))
        yield from _iterate(doctor_tools.examine_tools(config))
    yield from examination.examine_devices()


def _iterate(steps: AsyncGenerator[T, None]) -> Iterator[T]:
    """The items of an asynchronous generator, each as soon as it is there."""

    async def following() -> T | None:
        return await anext(steps, None)

    with asyncio.Runner() as runner:
        try:
            while (step := runner.run(following())) is not None:
                yield step
        finally:
            runner.run(_close_when_done(steps))


async def _close_when_done(steps: AsyncGenerator[T, None]) -> None:
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
                status.update(Text(f"Trying {step.text} …"))
            else:
                progress.print(f"Trying {step.text} …")
    return findings


def _print_finding(console: Console, finding: Finding) -> None:
    word, color = MARKS[finding.severity]
    code = f" {finding.code.value}" if finding.code else ""
    console.print(Text(f"{word:8}", color), end="")
    console.print(f"{finding.group}:{code} {as_typed(finding.text)}")
    if finding.fix:
        console.print(f"{'':8}{as_typed(finding.fix)}")


def _json_report(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings for `--json`."""
    return {
        "severity": worst_severity(findings).name.lower(),
        "findings": [each.as_json() for each in findings],
    }
