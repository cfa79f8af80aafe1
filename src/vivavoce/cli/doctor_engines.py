"""Trying each engine for a moment: does it start, and is it faster than speech?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from time import perf_counter
from typing import Any

import soxr

from vivavoce.cli.engines import engine_names
from vivavoce.cli.errors import CliError, ErrorCode, describe_error
from vivavoce.cli.examination import Finding, Severity, Trial, error_finding, ok_finding
from vivavoce.config import Config
from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, OUTPUT_RATE, pcm_seconds
from vivavoce.domain.content import Content, Role, Text, Tools
from vivavoce.domain.ids import GenerationId, SessionId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import DEFAULT_VOICE, Modality, Sampling
from vivavoce.engines.ports import RecognitionOptions, TextDelta
from vivavoce.engines.registry import EngineBuilder, parse
from vivavoce.errors import EngineError, VivavoceError

SENTENCE = "The lights in the kitchen are on."
TRIAL_TIMEOUT_S = 60.0


async def examine_engines(config: Config) -> AsyncGenerator[Finding | Trial, None]:
    """One finding an engine of each profile in use, each after its trial."""
    for profile in dict.fromkeys(config.models.values()):
        table = config.profiles[profile]
        builder = EngineBuilder(config.weights)
        choices: list[tuple[str, Any]] = [("detector", table.detector)]
        _, settings, _ = parse(table.responder)
        if {"model", "voice"} <= settings.keys():
            choices += [("synthesizer", settings["voice"]), ("recognizer", table.recognizer)]
            choices += [("model", settings["model"])]
        else:
            choices += [("recognizer", table.recognizer), ("responder", table.responder)]
        speech = bytes(INPUT_RATE * BYTES_PER_SAMPLE)
        for port, choice in choices:
            yield Trial(next(iter(engine_names(port, choice))))
            finding, heard = await _try_engine(profile, builder, port, choice, speech)
            speech = heard or speech
            yield finding
        for fallback in builder.fallbacks:
            failure = CliError(
                ErrorCode.ENGINE_MISSING, f"{profile}: {fallback}", "Install what is missing."
            )
            yield error_finding("engines", failure, Severity.WARNING)


async def _try_engine(
    profile: str, builder: EngineBuilder, port: str, choice: Any, speech: bytes
) -> tuple[Finding, bytes]:
    """The finding, and for a synthesizer what it said, as the recognizer hears it."""
    name = next(iter(engine_names(port, choice)))
    try:
        async with asyncio.timeout(TRIAL_TIMEOUT_S):
            engine = await builder.build(port, choice)
    except (VivavoceError, TimeoutError) as error:
        return error_finding("engines", _engine_error(name, error)), b""
    try:
        async with asyncio.timeout(TRIAL_TIMEOUT_S):
            what, heard = await _TESTS[port](engine, speech)
    except (VivavoceError, TimeoutError) as error:
        return error_finding("engines", _engine_error(name, error)), b""
    finally:
        await engine.aclose()
    return ok_finding("engines", f"{profile}: {name} {what}"), heard


async def _try_detector(engine: Any, speech: bytes) -> tuple[str, bytes]:
    size = engine.frame_samples * BYTES_PER_SAMPLE
    frames = [speech[at : at + size] for at in range(0, len(speech) - size + 1, size)]

    def score() -> None:
        state = engine.fresh()
        for frame in frames:
            ((_, state),) = engine.score([frame], [state])

    took = await _measure_time(asyncio.to_thread(score))
    return (
        f"scores at {_real_time_factor(took, len(frames) * engine.frame_samples / INPUT_RATE)}",
        b"",
    )


async def _try_recognizer(engine: Any, speech: bytes) -> tuple[str, bytes]:
    recognition = engine.open(RecognitionOptions())
    text = ""

    async def recognize() -> None:
        nonlocal text
        async with recognition.utterance() as utterance:
            await utterance.feed(speech)
            text = (await utterance.finish()).text

    took = await _measure_time(recognize())
    await recognition.aclose()
    return f"hears at {_real_time_factor(took, pcm_seconds(speech, INPUT_RATE))}: {text!r}", b""


async def _try_synthesizer(engine: Any, _: bytes) -> tuple[str, bytes]:
    pieces = []

    async def speak() -> None:
        async with aclosing(engine.speak(SENTENCE, DEFAULT_VOICE)) as speech:
            async for piece in speech:
                pieces.append(piece.pcm)

    took = await _measure_time(speak())
    pcm = b"".join(pieces)
    return f"speaks at {_real_time_factor(took, pcm_seconds(pcm))}", _as_microphone_audio(pcm)


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

    took = await _measure_time(engine.respond(_request(), emit))
    return f"answers within {took * 1000:.0f} ms", b""


_TESTS = {
    "detector": _try_detector,
    "recognizer": _try_recognizer,
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
    """Our output as it would come back through a microphone, with a moment of quiet around."""
    import numpy as np

    resampled = soxr.resample(np.frombuffer(pcm, np.int16), OUTPUT_RATE, INPUT_RATE)
    quiet = bytes(INPUT_RATE // 2 * BYTES_PER_SAMPLE)
    return quiet + bytes(resampled.astype(np.int16)) + quiet


async def _measure_time(work: Awaitable[object]) -> float:
    began = perf_counter()
    await work
    return perf_counter() - began


def _real_time_factor(took_s: float, lasts_s: float) -> str:
    """How long it takes for a second of sound."""
    return f"{took_s / lasts_s:.3f} of real time" if lasts_s else "no sound at all"


def _engine_error(name: str, error: BaseException) -> CliError:
    if isinstance(error, TimeoutError):
        cause = EngineError(name, f"no answer within {TRIAL_TIMEOUT_S:.0f} s")
        return CliError(ErrorCode.ENGINE_FAILED, str(cause), "Is the machine busy?")
    return describe_error(error)
