"""`vivavoce bench`: speak to a Live server as users do, and measure how it answers."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console

from vivavoce.bench.fit import LatencyLimit
from vivavoce.bench.load import LoadPlan
from vivavoce.bench.page import render_page
from vivavoce.bench.report import BenchReport, RunDescription, summarize_level
from vivavoce.bench.report_lines import describe_level
from vivavoce.bench.runs import BenchRun, MeasuredServer
from vivavoce.bench.scenario import (
    DEFAULT,
    Scenario,
    builtin_scenarios,
    load_scenario,
    record_scenario,
)
from vivavoce.bench.server_process import (
    check_process,
    find_listener,
    run_server,
)
from vivavoce.cli import session as options
from vivavoce.cli.errors import open_console
from vivavoce.client.messages import DEFAULT_MODEL, SessionOptions
from vivavoce.client.session import ServerEndpoint
from vivavoce.config.loading import load_config
from vivavoce.config.settings import SCRIPTED, is_loopback
from vivavoce.errors import ConfigError

FIT_SECONDS = 40.0
"""Each step of a search takes so long unless --seconds says otherwise."""


ScenarioName = Annotated[
    str,
    typer.Option("--scenario", help=f"TOML file, or one of: {', '.join(builtin_scenarios())}."),
]
Tones = Annotated[
    bool, typer.Option("--tones", help="Words as tones, for the scripted profile; needs no voice.")
]
Sessions = Annotated[int, typer.Option("--sessions", min=1, help="Users at once.")]
Duration = Annotated[
    float | None,
    typer.Option("--seconds", min=1, help="How long; default: each conversation once."),
]
Fit = Annotated[
    str,
    typer.Option(
        metavar="P=S", help="Search how many sessions fit, as p95=1.0: a percentile and seconds."
    ),
]
Most = Annotated[int, typer.Option("--most", min=1, help="Most sessions of --fit.")]
SilenceMs = Annotated[
    int | None, typer.Option("--silence-ms", min=0, help="Silence that ends a turn.")
]
Serve = Annotated[bool, typer.Option("--serve", help="Start a server here, and measure that one.")]
Profile = Annotated[str, typer.Option("--profile", help="Its profile, with --serve.")]
ProcessId = Annotated[
    int | None, typer.Option("--pid", help="The server's process; default: found by its port.")
]
ServerLog = Annotated[
    Path | None, typer.Option("--server-log", help="Its log (JSON lines), for exact parts.")
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write all figures as JSON.")
]
HtmlFile = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write one page with plots.")
]


def bench(
    url: options.Url = "",
    key: options.Key = "",
    ca: options.Ca = None,
    model: options.Model = "",
    scenario: ScenarioName = DEFAULT,
    tones: Tones = False,
    sessions: Sessions = 1,
    seconds: Duration = None,
    fit: Fit = "",
    most: Most = 256,
    silence_ms: SilenceMs = None,
    serve: Serve = False,
    profile: Profile = "",
    pid: ProcessId = None,
    server_log: ServerLog = None,
    json_file: JsonFile = None,
    html_file: HtmlFile = None,
    wait: options.Timeout = 30.0,
) -> None:
    """Speak to a Live server as users do, and measure how it answers.

    Conversations of a scenario are spoken at real-time pace, with pauses, interruptions,
    back-channels and functions, in one session or many. Measured are: the time from the last word
    to the first sample of the reply and its parts, from an interrupting word to `interrupted`, gaps
    in replies, and, for a server on this machine, CPU and memory a session.

    Any server of the Live API will do: the configured one of this machine, one of --serve, or
    another by --url, --key and --model. Ctrl-C ends the run and prints what was measured until
    then.

    Exit codes: 1 a problem on this machine, 3 no server, 4 no session was granted, 5 no turn was
    answered.
    """
    limit = LatencyLimit.parse(fit) if fit else None
    chosen = ServerChoice(url, key, ca, model, serve, profile, pid, server_log)
    chosen.check()
    options.check_output_file(json_file, "--json")
    options.check_output_file(html_file, "--html")
    console = open_console(to_stderr=True)
    script, folder = load_scenario(scenario)
    tones = tones or profile == SCRIPTED
    recorded = asyncio.run(record_scenario(script, folder, tones))
    setup = _session_options(script, model, silence_ms)
    with chosen.open_server(console) as server:
        plan = LoadPlan(
            server.endpoint, setup, recorded, script.functions, script.settle_s, timeout_s=wait
        )
        speech = "tones" if tones else f"voice {script.voice}"
        about = RunDescription(server.endpoint.url, setup.model, scenario, speech, limit)
        report = BenchReport(about)
        run = BenchRun(plan, server, report, console.print)
        try:
            if limit:
                asyncio.run(run.search_limit(limit, seconds or FIT_SECONDS, most))
            else:
                asyncio.run(run.run_level(sessions, seconds))
        except KeyboardInterrupt:
            report.stopped = True
    _finish(console, report, json_file, html_file)


def _session_options(script: Scenario, model: str, silence_ms: int | None) -> SessionOptions:
    return SessionOptions(
        model=model or DEFAULT_MODEL,
        instruction=script.instruction,
        functions=tuple(function.declaration for function in script.functions),
        silence_ms=silence_ms,
    )


@dataclass(frozen=True, slots=True)
class ServerChoice:
    """The options that say which server is measured."""

    url: str
    key: str
    ca: Path | None
    model: str
    serve: bool
    profile: str
    process_id: int | None
    log: Path | None

    def check(self) -> None:
        """Raise `ConfigError` for options that do not go together, and for what is not there."""
        if self.serve and (self.url or self.process_id or self.log):
            fix = "Leave out --url, --pid and --server-log, or --serve."
            raise ConfigError("--serve starts a server of its own.", fix)
        if self.profile and not self.serve:
            raise ConfigError("--profile is of the server that --serve starts.", "Add --serve.")
        if self.process_id is not None:
            check_process(self.process_id)
        if self.log is not None and not self.log.is_file():
            raise ConfigError(f"There is no log {self.log}.", "Give the server's --server-log.")

    @contextmanager
    def open_server(self, console: Console) -> Iterator[MeasuredServer]:
        """Start the server, or find the one that runs. Raises `ServerUnreachable`."""
        if self.serve:
            with self._start_server(console) as server:
                yield server
            return
        endpoint = options.server_endpoint(self.url, self.key, self.ca)
        options.wait_until_ready(endpoint, console.print)
        parts = urlsplit(endpoint.web_url)
        process_id = self.process_id
        if process_id is None and is_loopback(parts.hostname or ""):
            process_id = find_listener(parts.port or (443 if parts.scheme == "https" else 80))
        yield MeasuredServer(endpoint, process_id, self.log)

    @contextmanager
    def _start_server(self, console: Console) -> Iterator[MeasuredServer]:
        console.print("Starting a server and its engines …")
        settings = {"STORE__USE": "memory"}
        if self.profile:
            settings["PROFILE"] = self.profile
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "server.log"
            with run_server(log, model=self.model, settings=settings) as own:
                key = self.key or next(iter(load_config().server.keys), "")
                yield MeasuredServer(ServerEndpoint(own.url, key), own.process_id, own.log)


def _finish(
    console: Console, report: BenchReport, json_file: Path | None, html_file: Path | None
) -> None:
    """Print the headline level, and write the files."""
    document = report.as_json()
    if report.stopped:
        console.print("Stopped; this is what was measured until then.")
    output = open_console()
    level = report.main_level
    if level is not None:
        for line in describe_level(summarize_level(level), level.load.users):
            output.print(line)
    if report.description.limit is not None and not report.stopped:
        fitting = level.load.users if level is not None and level.fits else 0
        output.print(f"{fitting} sessions fit {report.description.limit}")
    if json_file is not None:
        json_file.write_text(json.dumps(document, ensure_ascii=False, indent=1), "utf-8")
    if html_file is not None:
        html_file.write_text(render_page(document), "utf-8")
    asked = level is not None and bool(level.load.turns)
    answered = level is not None and level.answered_share > 0
    options.check_answered(answered or not asked or report.stopped, failed=False)
