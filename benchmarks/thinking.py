"""How quickly the embedded language model loads, begins, speaks and chooses functions.

    python benchmarks/thinking.py [--threads N] [--json]

Wall-clock figures of one machine, medians of a few runs; needs the fetched weights.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import psutil

from vivavoce.domain.content import (
    Content,
    Role,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId, GenerationId, SessionId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import Modality, Sampling
from vivavoce.engines.function_calling.router import Router
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.llamacpp import create
from vivavoce.engines.ports import LanguageModel, TextDelta, UsageReported
from vivavoce.engines.registry import locate_weights

ROUNDS = 5
TEXT = {"type": "string"}
TOOLS = (
    ToolDeclaration("turn_on_the_lights"),
    ToolDeclaration("turn_off_the_lights"),
    ToolDeclaration(
        "send_message",
        "Send a text message to a person.",
        {
            "type": "object",
            "properties": {"recipient": TEXT, "text": TEXT},
            "required": ["recipient", "text"],
        },
    ),
)
QUESTIONS = (
    "What is the capital of Italy?",
    "How many legs does a spider have?",
    "What is a black hole?",
    "What do bees make?",
    "Who are you?",
)
INSTRUCTION = "You help people in a small shop that sells lamps, cables and tools. " * 6


class Host:
    """Finds weights, and builds nothing else."""

    def say(self, line: str) -> None:
        pass

    def weights(self, name: str) -> Path:
        return locate_weights(name)

    async def build(self, port: str, choice: Any) -> Any:
        raise NotImplementedError


def asked(
    *history: Content | str, session: str = "bench", tools: tuple[ToolDeclaration, ...] = ()
) -> GenerationRequest:
    contents = tuple(
        Content(Role.USER, (Text(one),)) if isinstance(one, str) else one for one in history
    )
    return GenerationRequest(
        SessionId(session), GenerationId(1), INSTRUCTION, contents, Tools(tools),
        Modality.AUDIO, "Kore", "en-US", Sampling(),
    )  # fmt: skip


async def answered(model: LanguageModel, request: GenerationRequest) -> dict[str, float]:
    """Milliseconds to the first word and to the end, and words' tokens a second between."""
    began = time.perf_counter()
    first = 0.0
    tokens = 0
    parts: Any = model.generate(request)
    async with aclosing(parts):
        async for part in parts:
            first = first or time.perf_counter() - began
            if isinstance(part, UsageReported):
                tokens = part.usage.response_tokens
    whole = time.perf_counter() - began
    rate = (tokens - 1) / (whole - first) if tokens > 1 and whole > first else 0.0
    return {"first_ms": first * 1000, "whole_ms": whole * 1000, "tokens_s": rate}


async def left(model: LanguageModel) -> float:
    """Milliseconds until the model rests after a listener went away in mid-answer."""
    parts: Any = model.generate(asked("Tell me a very long story about the sea."))
    async with aclosing(parts):
        async for part in parts:
            if isinstance(part, TextDelta):
                break
    began = time.perf_counter()
    async with aclosing(model.generate(asked("Hello."))) as following:  # type: ignore[type-var]
        await anext(following)
    return (time.perf_counter() - began) * 1000


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


async def together(model: LanguageModel, sessions: int) -> float:
    """Tokens a second of several conversations in all."""
    counts: list[int] = []

    async def one(number: int) -> None:
        request = asked("Why is the sky blue?", session=f"s{number}")
        parts: Any = model.generate(request)
        async with aclosing(parts):
            async for part in parts:
                if isinstance(part, UsageReported):
                    counts.append(part.usage.response_tokens)

    for number in range(sessions):
        await model.prepare(asked(session=f"s{number}"))
    spent = await timed(lambda: asyncio.gather(*(one(number) for number in range(sessions))))
    for number in range(sessions):
        await model.release(f"s{number}")
    return sum(counts) / spent * 1000


async def measure(threads: int) -> dict[str, float]:
    process = psutil.Process()
    before = process.memory_info().rss
    began = time.perf_counter()
    model: LanguageModel = await create({"threads": threads}, Host())
    figures = {"load and self-check, s": time.perf_counter() - began}
    cold = await answered(model, asked(QUESTIONS[0], session="cold"))
    figures["first word, nothing read before, ms"] = cold["first_ms"]
    figures["read ahead: instruction and examples, ms"] = await timed(
        lambda: model.prepare(asked())
    )
    warm = [await answered(model, asked(question)) for question in QUESTIONS]
    figures["first word, all but the question read, ms"] = median(warm, "first_ms")
    figures["whole answer, ms"] = median(warm, "whole_ms")
    figures["one conversation, tokens/s"] = median(warm, "tokens_s")
    for sessions in (2, 4):
        figures[f"{sessions} conversations at once, tokens/s in all"] = await together(
            model, sessions
        )
    figures["next first word after leaving in mid-answer, ms"] = await left(model)
    await model.prepare(asked(tools=TOOLS))
    lights = [await answered(model, asked("lights on", tools=TOOLS)) for _ in range(ROUNDS)]
    figures["call without arguments, words heard before, ms"] = median(lights, "whole_ms")
    said = [f"send a message to {name} that i am late" for name in ("anna", "bob", "eve")]
    sent = [await answered(model, asked(words, tools=TOOLS)) for words in said]
    figures["call with two texts as arguments, ms"] = median(sent, "whole_ms")
    call = ToolCall(CallId("c"), "turn_on_the_lights", {})
    done = ToolResult(CallId("c"), "turn_on_the_lights", {"result": "ok"})
    history = ("lights on", Content(Role.MODEL, (call,)), Content(Role.USER, (done,)))
    told = [await answered(model, asked(*history, tools=TOOLS)) for _ in range(ROUNDS)]
    figures["sentence about what was done, ms"] = median(told, "whole_ms")
    figures["memory, MiB"] = (process.memory_info().rss - before) / 2**20
    await model.aclose()
    return figures | routing()


def routing() -> dict[str, float]:
    router = Router(MiniLM(locate_weights("minilm")))
    router.learn(TOOLS)
    spent = []
    for number in range(20):
        began = time.perf_counter()
        router.choose(f"please turn on the lights in room {number}", TOOLS)
        spent.append((time.perf_counter() - began) * 1000)
    return {"choosing a function, new words, ms": statistics.median(spent)}


def median(runs: list[dict[str, float]], name: str) -> float:
    return statistics.median(run[name] for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=0, help="0: all cores but one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.threads))
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"| {name} | {value:.2f} |" if value < 10 else f"| {name} | {value:.0f} |")


if __name__ == "__main__":
    main()
