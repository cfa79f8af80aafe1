"""How many spoken calculations the embedded language model gets right, by programs it writes.

    python benchmarks/calculations.py [--model NAME | --path FILE] [--json]

Each request goes through the function calling of `model.llamacpp` with code execution and
functions offered; the program is run by Monty. Needs the fetched weights.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from contextlib import aclosing
from typing import Any

from vivavoce.domain.content import (
    Content,
    Part,
    Role,
    ServerTool,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolKind,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import GenerationId, SessionId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import Modality, Sampling
from vivavoce.engines.llamacpp import create
from vivavoce.engines.monty import create as create_sandbox
from vivavoce.engines.ports import CallsRequested, LanguageModel, TextDelta
from vivavoce.engines.registry import EngineBuilder

CALCULATIONS = (
    ("What do three coffees at two euros eighty and a cake at four fifty come to?", "12.9"),
    ("What is two thirds of nine hundred?", "600"),
    ("How old does somebody get in 2026 who was born in 1987?", "39"),
    ("What is six factorial?", "720"),
    ("What's the remainder when one hundred is divided by seven?", "2"),
    ("How many seconds are in an hour and a half?", "5400"),
    ("What is the greatest common divisor of eighty four and thirty six?", "12"),
    ("Is ninety one a prime number? Check it with code.", "false"),
    ("How much do I pay for forty liters at one euro seventy five?", "70"),
    ("What is the area of a circle with radius ten?", "314.16"),
    ("What is five hundred plus nineteen percent?", "595"),
    ("Convert ten miles to kilometers.", "16.09"),
    ("How many weeks are two hundred and ten days?", "30"),
    ("Use code to find the largest of 12, 99, 45 and 78.", "99"),
    ("What date is ninety days after the first of January 2026?", "2026 04 01"),
    ("How many vowels are in the word conversation? Use Python.", "5"),
    ("What is one plus two plus three plus four, all squared?", "100"),
    ("Run a program that prints the multiples of seven below thirty.", "7 14 21 28"),
    ("If I save one hundred and fifty a month, how much do I have after three years?", "5400"),
    ("What is minus twelve times minus five?", "60"),
)
"""Requests as they are spoken, and what a right output holds. Apart from the prompt's examples."""

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = Tools(
    (
        ToolDeclaration("turn_on_the_lights", "Turns on the lights."),
        ToolDeclaration("get_weather", "Gets the current weather of a city.", CITY),
    ),
    server=(ServerTool(ToolDeclaration("code_execution", "Runs Python."), ToolKind.CODE),),
)


def is_right(output: str, wanted: str) -> bool:
    """Whether a number of the output is the wanted one, or its words follow one another."""
    if not re.fullmatch(r"[\d.]+", wanted):
        return wanted in " ".join(re.findall(r"\w+", output.lower()))
    found = re.findall(r"-?\d+(?:\.\d+)?", output.replace(",", ""))
    return any(abs(float(number) - float(wanted)) < 0.005 for number in found)


def asked(*history: tuple[Role, Part]) -> GenerationRequest:
    return GenerationRequest(
        SessionId("bench"), GenerationId(1), "", tuple(Content(r, (p,)) for r, p in history), TOOLS,
        Modality.AUDIO, "Kore", "en-US", Sampling(),
    )  # fmt: skip


async def answered(model: LanguageModel, request: GenerationRequest) -> tuple[list[ToolCall], str]:
    calls: list[ToolCall] = []
    text = ""
    parts: Any = model.generate(request)
    async with aclosing(parts):
        async for part in parts:
            calls += part.calls if isinstance(part, CallsRequested) else ()
            text += part.text if isinstance(part, TextDelta) else ""
    return calls, text


async def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """Figures of one model; prints a line for each request."""
    builder = EngineBuilder(report=print)
    model, sandbox = await create(settings, builder), await create_sandbox({}, builder)
    await model.prepare(asked())
    right, took = 0, []
    for spoken, wanted in CALCULATIONS:
        said = (Role.USER, Text(spoken))
        began = time.process_time()
        calls, text = await answered(model, asked(said))
        took.append(time.process_time() - began)
        history: list[tuple[Role, Part]] = [said]
        output = ""
        while calls and calls[0].name == "code_execution":
            print(f"       {calls[0].args['code']!r}")
            result = await sandbox.run(str(calls[0].args["code"]))
            output = result.output
            response = {"outcome": result.outcome, "output": output}
            told = ToolResult(calls[0].id, calls[0].name, response)
            history += [(Role.MODEL, calls[0]), (Role.USER, told)]
            calls, text = await answered(model, asked(*history))
        fits = is_right(output, wanted)
        right += fits
        print(f"{'right' if fits else 'WRONG'}  {spoken}\n       {text}")
    await model.aclose()
    await sandbox.aclose()
    took.sort()
    return {"right": right, "of": len(CALCULATIONS), "cpu_s": round(took[len(took) // 2], 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", help="qwen-0.5b or qwen-1.5b")
    parser.add_argument("--path", help="a GGUF file")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    settings = {key: one for key in ("model", "path") if (one := getattr(options, key))}
    figures = asyncio.run(measure(settings))
    if options.json:
        print(json.dumps(figures))
    else:
        print(
            f"right {figures['right']} of {figures['of']}, median {figures['cpu_s']} s of CPU time"
        )


if __name__ == "__main__":
    main()
