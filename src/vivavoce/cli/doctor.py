"""`vivavoce doctor`: check the installation, each engine and each tool, and print fixes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, TypeVar

import soxr
import typer
from rich.console import Console
from rich.text import Text as StyledText

from vivavoce import logs
from vivavoce.cli import examination
from vivavoce.cli.engines import engine_names
from vivavoce.cli.errors import ErrorCode, as_typed, open_console
from vivavoce.cli.examination import Finding, Severity, fault, fault_of, ok, worst_severity
from vivavoce.cli.options import AsJson, ConfigFile, server_address
from vivavoce.config.loading import load_config
from vivavoce.config.settings import Config, EngineChoice
from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, OUTPUT_RATE, pcm_seconds
from vivavoce.domain.content import Content, Role, Text, Tools
from vivavoce.domain.ids import GenerationId, SessionId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import DEFAULT_VOICE, Modality, Sampling
from vivavoce.engines.ports import (
    MAX_TURN_S,
    RecognitionOptions,
    Sandbox,
    SearchEngine,
    SearchQuery,
    TextDelta,
    TurnPause,
)
from vivavoce.engines.registry import EngineBuilder, parse_choice
from vivavoce.engines.workers import WorkerPool
from vivavoce.errors import ConfigError, EngineError, ToolError, VivavoceError
from vivavoce.tools.mcp.settings import McpServerSpec, read_settings
from vivavoce.tools.url_context import create_tool as create_web

T = TypeVar("T")

ENGINE_TIMEOUT_S = 60.0
TOOL_TIMEOUT_S = 30.0

SENTENCE = "The lights in the kitchen are on."
QUERY = "vivavoce"
SUM, TOTAL = "print(6 * 7)", "42"

MARKS = {
    Severity.NOTE: ("note", "dim"),
    Severity.OK: ("ok", "green"),
    Severity.WARNING: ("warning", "yellow"),
    Severity.ERROR: ("error", "red"),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """The name of what is tried next, which may take seconds."""

    text: str


def doctor(
    as_json: AsJson = False,
    quick: Annotated[bool, typer.Option("--quick", help="Do not start the engines.")] = False,
    profile: Annotated[str | None, typer.Option(help="Profile to try.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Language model to try, as `serve` takes it.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Examine this machine: what is wrong, why, and what to do about it.

    Exit codes: 0 nothing is wrong, 1 warnings, 2 errors.
    """
    steps = examine_all(config, {"profile": profile, "model": model}, quick)
    if as_json:
        findings = [step for step in steps if isinstance(step, Finding)]
        severity = worst_severity(findings).name.lower()
        report = {"severity": severity, "findings": [each.as_json() for each in findings]}
        typer.echo(json.dumps(report, indent=2))
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
        yield fault_of("config", error)
        return
    logs.configure("error", config.log.format)
    address = server_address(config)
    yield from examination.examine_port(address)
    yield from examination.examine_tls(config, address)
    yield from _iterate(examination.examine_store(config))
    yield from examination.examine_weights(config)
    if not quick:
        yield from _iterate(try_engines(config))
        yield from _iterate(try_tools(config))
    yield from examination.examine_devices()


def _iterate(steps: AsyncGenerator[T, None]) -> Iterator[T]:
    """Yield the items of an asynchronous generator, each as soon as it is there."""

    async def following() -> T | None:
        return await anext(steps, None)

    async def close() -> None:
        await steps.aclose()

    with asyncio.Runner() as runner:
        try:
            while (step := runner.run(following())) is not None:
                yield step
        finally:
            runner.run(close())


def _print_findings(steps: Iterator[Finding | Trial]) -> list[Finding]:
    """Print the findings; trials go to the last line of a terminal, or else to standard error."""
    console, progress = open_console(), open_console(to_stderr=True)
    findings = []
    status = console.status(StyledText("")) if console.is_terminal else None
    with status or nullcontext():
        for step in steps:
            if isinstance(step, Finding):
                findings.append(step)
                _print_finding(console, step)
            elif status is not None:
                status.update(StyledText(f"Trying {step.text} …"))
            else:
                progress.print(f"Trying {step.text} …")
    return findings


def _print_finding(console: Console, finding: Finding) -> None:
    word, color = MARKS[finding.severity]
    code = f" {finding.code.value}" if finding.code else ""
    console.print(StyledText(f"{word:8}", color), end="")
    console.print(f"{finding.group}:{code} {as_typed(finding.text)}")
    if finding.fix:
        console.print(f"{'':8}{as_typed(finding.fix)}")


async def try_engines(config: Config) -> AsyncGenerator[Finding | Trial, None]:
    """Try each engine of each profile in use: does it start, and is it faster than speech?"""
    for profile in dict.fromkeys(config.models.values()):
        table = config.profiles[profile]
        builder = EngineBuilder(config.weights)
        choices: list[tuple[str, Any]] = [("detector", table.detector)]
        _, settings, _ = parse_choice(table.responder)
        if {"model", "voice"} <= settings.keys():
            choices += [("synthesizer", settings["voice"]), ("recognizer", table.recognizer)]
            choices += [("model", settings["model"])]
        else:
            choices += [("recognizer", table.recognizer), ("responder", table.responder)]
        if table.turn_model:
            choices.append(("turn_model", table.turn_model))
        speech = bytes(INPUT_RATE * BYTES_PER_SAMPLE)
        for port, choice in choices:
            name = next(iter(engine_names(port, choice)))
            yield Trial(name)
            try:
                async with asyncio.timeout(ENGINE_TIMEOUT_S):
                    engine = await builder.build(port, choice)
                try:
                    async with asyncio.timeout(ENGINE_TIMEOUT_S):
                        result, heard = await _TRIALS[port](engine, speech)
                finally:
                    await engine.aclose()
            except TimeoutError:
                cause = str(EngineError(name, f"no answer within {ENGINE_TIMEOUT_S:.0f} s"))
                yield fault("engines", ErrorCode.ENGINE_FAILED, cause, "Is the machine busy?")
            except VivavoceError as error:
                yield fault_of("engines", error)
            else:
                speech = heard or speech
                yield ok("engines", f"{profile}: {name} {result}")
        for fallback in builder.fallbacks:
            text = f"{profile}: {fallback}"
            fix = "Install what is missing."
            yield fault("engines", ErrorCode.ENGINE_MISSING, text, fix, Severity.WARNING)


async def _try_detector(engine: Any, speech: bytes) -> tuple[str, bytes]:
    size = engine.frame_samples * BYTES_PER_SAMPLE
    frames = [speech[at : at + size] for at in range(0, len(speech) - size + 1, size)]

    def score() -> None:
        state = engine.fresh()
        for frame in frames:
            ((_, state),) = engine.score([frame], [state])

    took_s = await _measure_time(asyncio.to_thread(score))
    lasts_s = len(frames) * engine.frame_samples / INPUT_RATE
    return f"scores at {_real_time_factor(took_s, lasts_s)}", b""


async def _try_recognizer(engine: Any, speech: bytes) -> tuple[str, bytes]:
    recognition = engine.open(RecognitionOptions())
    text = ""

    async def recognize() -> None:
        nonlocal text
        async with recognition.utterance() as utterance:
            await utterance.feed(speech)
            text = (await utterance.finish()).text

    took_s = await _measure_time(recognize())
    await recognition.aclose()
    return f"hears at {_real_time_factor(took_s, pcm_seconds(speech, INPUT_RATE))}: {text!r}", b""


async def _try_turn_model(engine: Any, speech: bytes) -> tuple[str, bytes]:
    pause = TurnPause(speech[-int(MAX_TURN_S * INPUT_RATE) * BYTES_PER_SAMPLE :])
    took_s = await _measure_time(asyncio.to_thread(engine.score, [pause]))
    return f"scores a pause within {took_s * 1000:.0f} ms", b""


async def _try_synthesizer(engine: Any, _: bytes) -> tuple[str, bytes]:
    pieces = []

    async def speak() -> None:
        async with aclosing(engine.speak(SENTENCE, DEFAULT_VOICE)) as speech:
            async for piece in speech:
                pieces.append(piece.pcm)

    took_s = await _measure_time(speak())
    pcm = b"".join(pieces)
    return f"speaks at {_real_time_factor(took_s, pcm_seconds(pcm))}", _as_microphone_audio(pcm)


async def _try_model(engine: Any, _: bytes) -> tuple[str, bytes]:
    began = perf_counter()
    async with aclosing(engine.generate(_request())) as answer:
        async for part in answer:
            if isinstance(part, TextDelta) and part.text.strip():
                return f"answers after {(perf_counter() - began) * 1000:.0f} ms", b""
    return "answers with nothing", b""


async def _try_responder(engine: Any, _: bytes) -> tuple[str, bytes]:
    async def emit(_: object) -> None:
        pass

    took_s = await _measure_time(engine.respond(_request(), emit))
    return f"answers within {took_s * 1000:.0f} ms", b""


_TRIALS = {
    "detector": _try_detector,
    "recognizer": _try_recognizer,
    "turn_model": _try_turn_model,
    "synthesizer": _try_synthesizer,
    "model": _try_model,
    "responder": _try_responder,
}


def _request() -> GenerationRequest:
    return GenerationRequest(
        session=SessionId("doctor"),
        generation=GenerationId(1),
        instruction="",
        history=(Content(Role.USER, (Text("Hello."),)),),
        tools=Tools(),
        modality=Modality.AUDIO,
        voice=DEFAULT_VOICE,
        language="",
        sampling=Sampling(max_output_tokens=16),
    )


def _as_microphone_audio(pcm: bytes) -> bytes:
    """Resample synthesized speech as a microphone would hear it, with silence around it."""
    import numpy as np

    resampled = soxr.resample(np.frombuffer(pcm, np.int16), OUTPUT_RATE, INPUT_RATE)
    quiet = bytes(INPUT_RATE // 2 * BYTES_PER_SAMPLE)
    return quiet + bytes(resampled.astype(np.int16)) + quiet


async def _measure_time(work: Awaitable[object]) -> float:
    began = perf_counter()
    await work
    return perf_counter() - began


def _real_time_factor(took_s: float, lasts_s: float) -> str:
    """Say how long a second of audio takes."""
    return f"{took_s / lasts_s:.3f} of real time" if lasts_s else "no sound at all"


async def try_tools(config: Config) -> AsyncGenerator[Finding | Trial, None]:
    """Try each tool of `[tools]` that is turned on."""
    table, builder = config.tools, EngineBuilder(config.weights)
    if table.search:
        yield Trial("search")
        found = await _try_tool("search", lambda: _try_search(builder, table.search))
        implicit = "search" not in table.model_fields_set
        if implicit and found.code is ErrorCode.ENGINE_MISSING:  # it is on by default
            text = "Searching has nothing to search: no documents are indexed."
            fix = "Run `vivavoce index DIR` if it is to."
            found = fault("tools", ErrorCode.ENGINE_MISSING, text, fix, Severity.NOTE)
        yield found
    if table.code:
        yield Trial("code execution")
        yield await _try_tool("code", lambda: _try_code(builder, table.code))
    if table.url is not False:
        options = table.url if isinstance(table.url, dict) else {}
        yield await _try_tool("url", lambda: _try_url_context(options))
    try:
        servers = read_settings(table.mcp, table.mcp_clients).servers
    except ConfigError as error:
        yield fault("tools", ErrorCode.CONFIG, f"tools.mcp: {error.problem}", error.fix)
        return
    for spec in servers:
        name = f"MCP server {spec.name}"
        yield Trial(name)
        yield await _try_tool(name, partial(_try_mcp_server, spec))


async def _try_tool(name: str, work: Callable[[], Awaitable[str]]) -> Finding:
    code, fix = ErrorCode.TOOL_FAILED, "Check its table in [tools]."
    began = perf_counter()
    try:
        async with asyncio.timeout(TOOL_TIMEOUT_S):
            result = await work()
    except ToolError as error:
        return fault("tools", code, f"{name}: {error.problem}", fix, Severity.WARNING)
    except TimeoutError:
        text = f"{name}: nothing came within {TOOL_TIMEOUT_S:.0f} s."
        return fault("tools", code, text, fix, Severity.WARNING)
    except ConfigError as error:
        return fault("tools", ErrorCode.CONFIG, f"tools.{name}: {error.problem}", error.fix)
    except VivavoceError as error:
        return fault_of("tools", error)
    return ok("tools", f"{name}: {result} within {(perf_counter() - began) * 1000:.0f} ms")


async def _try_search(builder: EngineBuilder, choice: EngineChoice) -> str:
    engine: SearchEngine = await builder.build("search", choice)
    try:
        await engine.search(SearchQuery(QUERY))
    finally:
        await engine.aclose()
    return f"{engine.name} answers a query"


async def _try_code(builder: EngineBuilder, choice: EngineChoice) -> str:
    sandbox: Sandbox = await builder.build("sandbox", choice)
    try:
        result = await sandbox.run(SUM)
    finally:
        await sandbox.aclose()
    if result.output.strip() != TOTAL:
        raise ToolError("sandbox", f"{SUM} gave {result.outcome}: {result.output[:200]!r}.")
    return f"{sandbox.name} starts and runs a line"


async def _try_url_context(table: dict[str, Any]) -> str:
    await create_web(table).aclose()
    return "addresses are read"


async def _try_mcp_server(spec: McpServerSpec) -> str:
    from vivavoce.tools.mcp.connection import McpConnection

    workers = WorkerPool("mcp")
    connection = McpConnection(spec, workers)
    try:
        await connection.open()
        return f"{len(connection.tools)} tools"
    finally:
        await connection.aclose()
        workers.close()
