"""Trying each engine for a moment: does it start, and is it faster than speech?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from time import perf_counter
from typing import Any

import soxr

from vivavoce.cli.engines import parts
from vivavoce.cli.faults import Code, Fault, fault_of
from vivavoce.cli.findings import Finding, Severity, Trial, ok, wrong
from vivavoce.config import Config
from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, OUTPUT_RATE, pcm_seconds
from vivavoce.domain.content import Content, Role, Text, Tools
from vivavoce.domain.ids import GenerationId, SessionId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import Modality, Sampling
from vivavoce.domain.voices import DEFAULT_VOICE
from vivavoce.engines.ports import RecognitionOptions, TextDelta
from vivavoce.engines.registry import EngineBuilder, parse
from vivavoce.errors import EngineError, VivavoceError

SENTENCE = "The lights in the kitchen are on."
PATIENCE_S = 60.0


async def engines(config: Config) -> AsyncGenerator[Finding | Trial, None]:
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
            yield Trial(next(iter(parts(port, choice))))
            finding, heard = await _try(profile, builder, port, choice, speech)
            speech = heard or speech
            yield finding
        for fallback in builder.fallbacks:
            fault = Fault(Code.ENGINE_MISSING, f"{profile}: {fallback}", "Install what is missing.")
            yield wrong("engines", fault, Severity.WARNING)


async def _try(
    profile: str, builder: EngineBuilder, port: str, choice: Any, speech: bytes
) -> tuple[Finding, bytes]:
    """The finding, and for a synthesizer what it said, as the recognizer hears it."""
    name = next(iter(parts(port, choice)))
    try:
        async with asyncio.timeout(PATIENCE_S):
            engine = await builder.build(port, choice)
    except (VivavoceError, TimeoutError) as error:
        return wrong("engines", _fault(name, error)), b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            what, heard = await _TESTS[port](engine, speech)
    except (VivavoceError, TimeoutError) as error:
        return wrong("engines", _fault(name, error)), b""
    finally:
        await engine.aclose()
    return ok("engines", f"{profile}: {name} {what}"), heard


async def _detector(engine: Any, speech: bytes) -> tuple[str, bytes]:
    size = engine.frame_samples * BYTES_PER_SAMPLE
    frames = [speech[at : at + size] for at in range(0, len(speech) - size + 1, size)]

    def score() -> None:
        state = engine.fresh()
        for frame in frames:
            ((_, state),) = engine.score([frame], [state])

    took = await _timed(asyncio.to_thread(score))
    return f"scores at {_factor(took, len(frames) * engine.frame_samples / INPUT_RATE)}", b""


async def _recognizer(engine: Any, speech: bytes) -> tuple[str, bytes]:
    recognition = engine.open(RecognitionOptions())
    text = ""

    async def recognize() -> None:
        nonlocal text
        async with recognition.utterance() as utterance:
            await utterance.feed(speech)
            text = (await utterance.finish()).text

    took = await _timed(recognize())
    await recognition.aclose()
    return f"hears at {_factor(took, pcm_seconds(speech, INPUT_RATE))}: {text!r}", b""


async def _synthesizer(engine: Any, _: bytes) -> tuple[str, bytes]:
    pieces = []

    async def speak() -> None:
        async with aclosing(engine.speak(SENTENCE, DEFAULT_VOICE)) as speech:
            async for piece in speech:
                pieces.append(piece.pcm)

    took = await _timed(speak())
    pcm = b"".join(pieces)
    return f"speaks at {_factor(took, pcm_seconds(pcm))}", _for_ears(pcm)


async def _model(engine: Any, _: bytes) -> tuple[str, bytes]:
    began = perf_counter()
    async with aclosing(engine.generate(_request())) as answer:
        async for part in answer:
            if isinstance(part, TextDelta) and part.text.strip():
                return f"answers after {(perf_counter() - began) * 1000:.0f} ms", b""
    return "answers with nothing", b""


async def _responder(engine: Any, _: bytes) -> tuple[str, bytes]:
    async def emit(_: object) -> None:
        pass

    took = await _timed(engine.respond(_request(), emit))
    return f"answers within {took * 1000:.0f} ms", b""


_TESTS = {
    "detector": _detector,
    "recognizer": _recognizer,
    "synthesizer": _synthesizer,
    "model": _model,
    "responder": _responder,
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


def _for_ears(pcm: bytes) -> bytes:
    """Our output as it would come back through a microphone, with a moment of quiet around."""
    import numpy as np

    resampled = soxr.resample(np.frombuffer(pcm, np.int16), OUTPUT_RATE, INPUT_RATE)
    quiet = bytes(INPUT_RATE // 2 * BYTES_PER_SAMPLE)
    return quiet + bytes(resampled.astype(np.int16)) + quiet


async def _timed(work: Awaitable[object]) -> float:
    began = perf_counter()
    await work
    return perf_counter() - began


def _factor(took_s: float, lasts_s: float) -> str:
    """How long it takes for a second of sound."""
    return f"{took_s / lasts_s:.3f} of real time" if lasts_s else "no sound at all"


def _fault(name: str, error: BaseException) -> Fault:
    if isinstance(error, TimeoutError):
        cause = EngineError(name, f"no answer within {PATIENCE_S:.0f} s")
        return Fault(Code.ENGINE_FAILED, str(cause), "Is the machine busy?")
    return fault_of(error)
