"""`model.echo`: says back what the user said, and calls the function that was named.

A declared function is called when every word of its name occurs in what the user said
("turn on the lights please" calls `turn_on_the_lights`). Arguments come from the words:
quoted text for strings, numbers for numbers, a listed value for an enumeration, and no
"not" or "off" for a boolean.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from vivavoce.domain.content import Blob, Json, Role, Text, ToolCall, ToolDeclaration, ToolResult
from vivavoce.domain.content import Usage as TokenUsage
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.ports import (
    CallsRequested,
    EngineHost,
    LanguageModelCapabilities,
    ModelPart,
    Settings,
    TextDelta,
    UsageReported,
)
from vivavoce.errors import ConfigError

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_QUOTED = re.compile(r"[\"“']([^\"”']+)[\"”']")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NO = {"not", "no", "off", "false", "don", "never"}


class EchoModel:
    """See the module. Every token is a word."""

    capabilities = LanguageModelCapabilities(
        tools=True, images=True, thinking=True, context_tokens=1_000_000, slots=1_000
    )

    async def prepare(self, request: GenerationRequest) -> None:
        return None

    async def generate(self, request: GenerationRequest) -> AsyncIterator[ModelPart]:
        said = _last_words(request)
        results = _last_results(request)
        if request.thinking is not None and request.thinking.include_thoughts:
            yield TextDelta(f"The user said: {said}", thought=True)
        if not results and (function := _named(said, request.tools.functions)) is not None:
            call = ToolCall(CallId(""), function.name, _arguments(function, said))
            yield CallsRequested((call,))
            answer = ""
        else:
            answer = _report(results) if results else _echo(said, request)
        for word in re.findall(r"\s*\S+", answer):
            yield TextDelta(word)
            await asyncio.sleep(0)
        prompt = sum(len(content.text.split()) for content in request.history)
        used = TokenUsage(prompt_tokens=prompt, response_tokens=len(answer.split()))
        yield UsageReported(used)

    async def release(self, session: str) -> None:
        return None

    async def aclose(self) -> None:
        return None


def _last_words(request: GenerationRequest) -> str:
    """Everything the user said since the model last spoke."""
    said: list[str] = []
    for content in reversed(request.history):
        if content.role is Role.MODEL:
            break
        said.insert(0, content.text)
    return " ".join(" ".join(said).split())


def _last_results(request: GenerationRequest) -> tuple[ToolResult, ...]:
    """Results with which the history ends."""
    last = request.history[-1].parts if request.history else ()
    return tuple(part for part in last if isinstance(part, ToolResult))


def _echo(said: str, request: GenerationRequest) -> str:
    last = request.history[-1].parts if request.history else ()
    images = sum(isinstance(part, Blob) for part in last)
    seen = f"{images} picture{'s' if images != 1 else ''} arrived. " if images else ""
    spoken = any(isinstance(part, Text) for part in last)
    return f"{seen}{said}".strip() if spoken or seen else "I am listening."


def _report(results: tuple[ToolResult, ...]) -> str:
    sentences = []
    for result in results:
        name = " ".join(_words_of(result.name))
        sentences.append(f"{name} {'failed' if 'error' in result.response else 'is done'}.")
    return " ".join(sentences)


def _words_of(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(_CAMEL.sub(" ", name))]


def _named(said: str, functions: tuple[ToolDeclaration, ...]) -> ToolDeclaration | None:
    """The function whose name's words were all said; of several the one with the most words."""
    words = {word.lower() for word in _WORD.findall(said)}
    named = [function for function in functions if words.issuperset(_words_of(function.name))]
    return max(named, key=lambda function: len(_words_of(function.name)), default=None)


@dataclass(frozen=True, slots=True)
class _Material:
    """What of the user's words can become arguments; each piece is used once."""

    quotes: Iterator[str]
    numbers: Iterator[str]
    words: tuple[str, ...]
    rest: str


def _arguments(function: ToolDeclaration, said: str) -> Json:
    schema = function.parameters or {}
    name = set(_words_of(function.name))
    words = tuple(_WORD.findall(said))
    rest = " ".join(word for word in words if word.lower() not in name)
    material = _Material(iter(_QUOTED.findall(said)), iter(_NUMBER.findall(said)), words, rest)
    required = set(schema.get("required", ()))
    arguments = {}
    for key, wanted in schema.get("properties", {}).items():
        value = _argument(wanted, material, key in required)
        if value is not None:
            arguments[key] = value
    return arguments


def _argument(wanted: Json, material: _Material, required: bool) -> str | int | float | bool | None:
    """A value for one property; `None` leaves it out."""
    if choices := wanted.get("enum"):
        said = {word.lower() for word in material.words}
        named = next((str(choice) for choice in choices if str(choice).lower() in said), None)
        return named or (str(choices[0]) if required else None)
    match str(wanted.get("type", "string")).lower():
        case "integer":
            number = next(material.numbers, None)
            return int(float(number)) if number is not None else (0 if required else None)
        case "number":
            number = next(material.numbers, None)
            return float(number) if number is not None else (0.0 if required else None)
        case "boolean":
            return not _NO.intersection(word.lower() for word in material.words)
        case "string":
            return next(material.quotes, material.rest if required else None)
        case _:
            return None


async def create(settings: Settings, host: EngineHost) -> EchoModel:
    """Factory of `model.echo`; takes no settings."""
    if settings:
        raise ConfigError(f"model.echo does not know {sorted(settings)}.", "It takes no settings.")
    return EchoModel()
