"""`vivavoce eval`: measure turn taking on the labelled set, beside published figures."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import platformdirs
import typer
from rich.console import Console
from rich.table import Table

from vivavoce import __version__, logs
from vivavoce.cli import session as options
from vivavoce.cli.errors import as_typed, open_console
from vivavoce.cli.options import ConfigFile
from vivavoce.cli.pull import fetch_weights
from vivavoce.client.messages import DEFAULT_MODEL
from vivavoce.client.session import ServerEndpoint
from vivavoce.config.loading import load_config
from vivavoce.config.settings import Config, ProfileTable, split_words
from vivavoce.engines.ports import Recognizer, Synthesizer, TurnModel, VoiceDetector
from vivavoce.engines.registry import EngineBuilder, parse_choice
from vivavoce.errors import ConfigError
from vivavoce.evaluation.labelled_speech import versions
from vivavoce.evaluation.pause_scoring import PauseScorer
from vivavoce.evaluation.results import EvaluationReport, ReportRow
from vivavoce.evaluation.tiers import DETECTION_TIERS, LIVE_TIERS, TIERS, Evaluation
from vivavoce.server import Server, weights_in_use

USERS_VOICE = {"use": "hibari", "other_languages": False}
REPEATING_PROFILE = "evaluation"
"""The profile and the model name under which answers repeat what was said."""

INSTRUCTION = "You are a helpful and friendly assistant. Answer in one short sentence."


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """Options of the evaluation: tiers, server, model and recordings."""

    tiers: tuple[str, ...]
    endpoint: ServerEndpoint | None
    model: str
    recordings: tuple[Path, ...]
    clip_count: int
    together: int
    offline: bool = False

    def check(self) -> None:
        """Raise `ConfigError` for options that leave nothing to do."""
        if self.offline and self.endpoint is not None:
            raise ConfigError("--offline speaks to no server.", "Leave out --url, or --offline.")
        if self.offline and not set(self.tiers) & set(DETECTION_TIERS):
            fix = f"Choose one of {', '.join(DETECTION_TIERS)}, or leave out --offline."
            raise ConfigError("The chosen tiers speak to a server.", fix)


def evaluate(
    only: Annotated[
        str, typer.Option("--only", help=f"Tiers to run, of {', '.join(TIERS)}; default: all.")
    ] = "",
    url: Annotated[
        str,
        typer.Option(
            "--url",
            help="Base URL of a Live server to speak to; default: one started in this process.",
        ),
    ] = "",
    key: options.Key = "",
    ca: options.Ca = None,
    model: options.Model = "",
    profile: Annotated[str | None, typer.Option(help="Profile of engines to use.")] = None,
    recordings: Annotated[
        list[Path] | None,
        typer.Option("--recordings", help="Folder with labelled human recordings; repeatable."),
    ] = None,
    clips: Annotated[
        int, typer.Option("--clips", min=1, help="Turns that a server is spoken in each tier.")
    ] = 16,
    together: Annotated[
        int, typer.Option("--together", min=1, help="Sessions with the server at a time.")
    ] = 2,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Only turn detection; nothing is spoken in real time."),
    ] = False,
    report_file: Annotated[
        Path | None, typer.Option("--json", help="File for everything that was found, as JSON.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Measure turn taking: turn ends, pauses, back-channels, interruptions, and the curve of false
    cut-offs against delay.

    The labelled set is spoken to the detector and the turn detection of this process, and, where an
    answer counts, in real time to a Live server. Published figures stand beside ours, with what may
    be compared.
    """
    chosen = EvaluationOptions(
        _tiers(only),
        options.server_endpoint(url, key, ca) if url else None,
        model or DEFAULT_MODEL,
        tuple(recordings) if recordings else default_recordings(),
        clips,
        together,
        offline,
    )
    chosen.check()
    options.check_output_file(report_file, "--json")
    console = open_console(to_stderr=True)
    settings = load_config(config, {"profile": profile})
    logs.configure("warning", settings.log.format, settings.log.personal)
    fetch_weights(console, weights_in_use(settings), settings.weights)
    report = asyncio.run(run_evaluation(chosen, settings, console))
    print_report(report, open_console(soft_wrap=False))
    if report_file is not None:
        _write_report(report_file, report, chosen.tiers, console)


def _write_report(
    path: Path, report: EvaluationReport, tiers: Sequence[str], console: Console
) -> None:
    about = {"vivavoce": __version__, "set": versions(), "tiers": tiers}
    path.write_text(json.dumps(about | report.as_json(), indent=1) + "\n", "utf-8")
    console.print(f"Everything that was found is in {as_typed(str(path))}.")


def _tiers(only: str) -> tuple[str, ...]:
    words = split_words(only)
    assert isinstance(words, list)
    if unknown := [word for word in words if word not in TIERS]:
        raise ConfigError(f"There is no tier {unknown[0]!r}.", f"Tiers: {', '.join(TIERS)}.")
    return tuple(tier for tier in TIERS if tier in words or not words)


def default_recordings() -> tuple[Path, ...]:
    """Return the folders in which labelled recordings of human speech may lie."""
    cache = Path(platformdirs.user_cache_dir("vivavoce", appauthor=False)) / "test-recordings"
    shared = os.environ.get("VIVAVOCE_SHARED")
    return (Path(shared) / "speech", cache) if shared else (cache,)


async def run_evaluation(
    chosen: EvaluationOptions, settings: Config, console: Console
) -> EvaluationReport:
    """Run the chosen tiers. Raises what building engines and connecting raise."""
    profile = settings.profiles[settings.profile_of(chosen.model) or settings.profile]
    builder = EngineBuilder(dict(settings.weights))
    synthesizer: Synthesizer = await builder.build("synthesizer", _users_voice(profile))
    try:
        console.print("Speaking the labelled set …")
        evaluation = Evaluation(chosen.clip_count, chosen.together, console.print)
        await evaluation.make_clips(synthesizer, chosen.recordings)
        if any(tier in DETECTION_TIERS for tier in chosen.tiers) and chosen.endpoint is None:
            await _detect_turns(evaluation, chosen.tiers, settings, profile, builder)
        if any(tier in LIVE_TIERS for tier in chosen.tiers) and not chosen.offline:
            await _speak_to_server(evaluation, chosen, settings, profile)
        if chosen.endpoint is not None and "curve" in chosen.tiers:
            evaluation.report.skipped.append(
                "curve: it needs the engines in this process; leave out --url"
            )
        return evaluation.report
    finally:
        await synthesizer.aclose()


async def _detect_turns(
    evaluation: Evaluation,
    tiers: Sequence[str],
    settings: Config,
    profile: ProfileTable,
    builder: EngineBuilder,
) -> None:
    """Run the tiers of turn detection with a profile's detector and, if it has one, turn model."""
    async with AsyncExitStack() as exits:
        detector: VoiceDetector = await builder.build("detector", profile.detector)
        exits.push_async_callback(detector.aclose)
        scorer = None
        if profile.turn_model and settings.session.turn_model:
            turn_model: TurnModel = await builder.build("turn_model", profile.turn_model)
            exits.push_async_callback(turn_model.aclose)
            recognizer: Recognizer = await builder.build("recognizer", profile.recognizer)
            exits.push_async_callback(recognizer.aclose)
            scorer = PauseScorer(
                turn_model, recognizer, settings.session.settings(early_turn_complete=False)
            )
        await evaluation.detect_turns(tiers, detector, scorer)


async def _speak_to_server(
    evaluation: Evaluation, chosen: EvaluationOptions, settings: Config, profile: ProfileTable
) -> None:
    if chosen.endpoint is not None:
        await _run_live_tiers(evaluation, chosen, chosen.endpoint, chosen.model)
        return
    needs_answers = any(tier in chosen.tiers for tier in ("turn-end", "pauses", "dialogues"))
    async with _own_server(settings, profile, needs_answers) as endpoint:
        await _run_live_tiers(evaluation, chosen, endpoint, REPEATING_PROFILE)


async def _run_live_tiers(
    evaluation: Evaluation, chosen: EvaluationOptions, endpoint: ServerEndpoint, repeating: str
) -> None:
    """Run the tiers that need a server; `repeating` is the model for sounds over its speech."""
    await evaluation.speak_turns(chosen.tiers, endpoint, chosen.model, INSTRUCTION)
    await evaluation.overlap_answers(chosen.tiers, endpoint, repeating)
    if "dialogues" in chosen.tiers:
        await evaluation.hold_dialogues(endpoint, chosen.model, INSTRUCTION)


@asynccontextmanager
async def _own_server(
    settings: Config, profile: ProfileTable, needs_answers: bool
) -> AsyncIterator[ServerEndpoint]:
    """Serve on a free port: the profile in force, and one that repeats the user's words."""
    responder = {"use": "cascade", "model": {"use": "echo"}, "voice": _own_voice(profile)}
    repeating = profile.model_copy(update={"responder": responder})
    models = {**(settings.models if needs_answers else {}), REPEATING_PROFILE: REPEATING_PROFILE}
    tls = settings.server.tls.model_copy(update={"enabled": False})
    listening = settings.server.model_copy(update={"host": "127.0.0.1", "port": 0, "tls": tls})
    server = Server(
        settings.model_copy(
            update={
                "server": listening,
                "profiles": {**settings.profiles, REPEATING_PROFILE: repeating},
                "models": models,
            }
        )
    )
    await server.start()
    try:
        yield ServerEndpoint(server.url(), next(iter(settings.server.keys), ""))
    finally:
        await server.stop(drain_s=0)


def _own_voice(profile: ProfileTable) -> Any:
    """Return the voice of a profile's answers; the embedded one where it names none."""
    responder = profile.responder
    return responder.get("voice", "hibari") if isinstance(responder, dict) else "hibari"


def _users_voice(profile: ProfileTable) -> Any:
    """Return the voice that speaks the set: the one that the profile's recognizer understands."""
    return "tones" if parse_choice(profile.recognizer)[0] == "tones" else USERS_VOICE


# --- the table ---------------------------------------------------------------------------

COLUMNS = ("tier", "measure", "ours", "of", "published", "comparable", "note")


def print_report(report: EvaluationReport, console: Console) -> None:
    """Print the rows as a table; in a pipe tab-separated, with a heading line."""
    if not console.is_terminal:
        typer.echo("\t".join(COLUMNS))
        for row in report.rows:
            typer.echo("\t".join(_cells(row, "; ")))
    else:
        console.print(_table(report))
    for line in report.skipped:
        typer.echo(f"Left out: {line}.")


def _table(report: EvaluationReport) -> Table:
    """Return the rows as a table that has the published figures of each measure once."""
    table = Table(*COLUMNS, show_lines=True)
    above: set[str] = set()
    for row in report.rows:
        cells = _cells(row, "\n")
        if row.measure in above:
            cells[COLUMNS.index("published")] = "as above"
        above |= {row.measure} - {""}
        table.add_row(*map(as_typed, cells))
    return table


def _cells(row: ReportRow, between: str) -> list[str]:
    published = row.as_json().get("published", {})
    beside = between.join(f"{system} {value}" for system, value in published.items())
    return [row.tier, row.name, row.shown, str(row.count), beside, row.comparable.value, row.note]
