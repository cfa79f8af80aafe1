"""Put labelled cases to a language model through its port, as the server would."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from vivavoce.config.loading import load_config
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
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.domain.setup import Modality, Sampling
from vivavoce.engines.ports import CallsRequested, Ended, LanguageModel, TextDelta, UsageReported
from vivavoce.engines.registry import EngineBuilder
from vivavoce.tools.ports import Toolset

from .case import Persona, Question, ToolReport

LANGUAGE = "en-US"
VOICE = "Kore"
MAX_CALLS = 3
"""Rounds of calls after which a question counts as not answered."""


@dataclass(slots=True)
class Answer:
    """What the model said. Times in seconds; `complete` is false if it was cut at the limit."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    complete: bool = True
    tokens: int = 0
    first_s: float | None = None
    whole_s: float = 0.0


@dataclass(slots=True)
class Timings:
    """Times of every answer of one set."""

    first_s: list[float] = field(default_factory=list)
    tokens_per_s: list[float] = field(default_factory=list)

    def add(self, answer: Answer) -> None:
        """Count one answer. Rates are over the whole of it: it may come in one piece."""
        if answer.first_s is None:
            return
        self.first_s.append(answer.first_s)
        if answer.tokens:
            self.tokens_per_s.append(answer.tokens / answer.whole_s)


def model_table(model: str) -> dict[str, Any]:
    """The engine's table for `--model`: a line of the configuration, or the path of a GGUF file."""
    responder = load_config(None, {"model": model or None}).profiles["embedded"].responder
    assert isinstance(responder, dict)
    choice = responder["model"]
    return {"use": choice} if isinstance(choice, str) else dict(choice)


async def build_model(model: str) -> LanguageModel:
    """The language model that `--model` names. Raises `ConfigError`, `EngineMissing`."""
    built: LanguageModel = await EngineBuilder({}).build("model", model_table(model))
    return built


class ModelRunner:
    """Asks one language model; every question is a conversation of its own."""

    def __init__(self, model: LanguageModel) -> None:
        self.timings = Timings()
        self._model = model
        self._numbers = itertools.count(1)

    async def ask(self, question: Question) -> Answer:
        """The answer to a question after its given history."""
        roles = itertools.cycle((Role.USER, Role.MODEL))
        turns = (*question.history, question.said)
        history = [Content(role, (Text(text),)) for text, role in zip(turns, roles, strict=False)]
        return await self._converse(question.instruction, history, Tools())

    async def ask_prepared(self, question: Question) -> tuple[float, Answer]:
        """The seconds to read all but the question ahead, and the answer after that."""
        session = SessionId(f"prepared-{next(self._numbers)}")
        history = [Content(Role.USER, (Text(question.said),))]
        began = time.perf_counter()
        try:
            await self._model.prepare(self._request(session, question.instruction, [], Tools()))
            prepared_s = time.perf_counter() - began
            request = self._request(session, question.instruction, history, Tools())
            return prepared_s, await self._generate(request)
        finally:
            await self._model.release(session)

    async def report(self, case: ToolReport) -> Answer:
        """What is said about the result of a function."""
        schema = {"type": "object", "properties": {key: {} for key in case.args}}
        function = ToolDeclaration(case.name, case.description, schema if case.args else None)
        call = ToolCall(CallId("call-1"), case.name, case.args)
        history = [
            Content(Role.USER, (Text(case.said),)),
            Content(Role.MODEL, (call,)),
            Content(Role.USER, (ToolResult(call.id, case.name, case.response),)),
        ]
        instruction = "You are a friendly voice assistant. Answer in one short sentence."
        return await self._converse(instruction, history, Tools((function,)))

    async def look_up(self, said: str, toolset: Toolset, tools: Tools) -> Answer:
        """The answer to a question for which the model may search."""
        history = [Content(Role.USER, (Text(said),))]
        instruction = "You answer questions about our documents."
        session = SessionId(f"look-up-{next(self._numbers)}")
        try:
            for _ in range(MAX_CALLS):
                request = self._request(session, instruction, history, tools)
                answer = await self._generate(request)
                if not answer.calls:
                    return answer
                results = [
                    ToolResult(call.id, call.name, (await toolset.run(call, request)).response)
                    for call in answer.calls
                ]
                history.append(Content(Role.MODEL, answer.calls))
                history.append(Content(Role.USER, tuple(results)))
            return Answer(complete=False)
        finally:
            await self._model.release(session)

    async def converse(self, persona: Persona, turns: int) -> list[str]:
        """The answers to the first `turns` lines of a persona, in one conversation."""
        session = SessionId(f"persona-{next(self._numbers)}")
        history: list[Content] = []
        answers = []
        try:
            for line in persona.lines[:turns]:
                history.append(Content(Role.USER, (Text(line),)))
                request = self._request(session, persona.instruction, history, Tools())
                answer = await self._generate(request)
                history.append(Content(Role.MODEL, (Text(answer.text),)))
                answers.append(answer.text)
        finally:
            await self._model.release(session)
        return answers

    async def _converse(self, instruction: str, history: list[Content], tools: Tools) -> Answer:
        session = SessionId(f"case-{next(self._numbers)}")
        try:
            return await self._generate(self._request(session, instruction, history, tools))
        finally:
            await self._model.release(session)

    def _request(
        self, session: SessionId, instruction: str, history: Sequence[Content], tools: Tools
    ) -> GenerationRequest:
        number = GenerationId(next(self._numbers))
        return GenerationRequest(
            session, number, instruction, tuple(history), tools, Modality.AUDIO, VOICE, LANGUAGE,
            Sampling(),
        )  # fmt: skip

    async def _generate(self, request: GenerationRequest) -> Answer:
        answer = Answer()
        began = time.perf_counter()
        parts: Any = self._model.generate(request)
        async with aclosing(parts):
            async for part in parts:
                match part:
                    case TextDelta(text, thought=False):
                        if answer.first_s is None:
                            answer.first_s = time.perf_counter() - began
                        answer.text += text
                    case CallsRequested(calls):
                        answer.calls = calls
                    case UsageReported(usage):
                        answer.tokens = usage.response_tokens
                    case Ended(reason):
                        answer.complete = reason is not EndReason.MAX_TOKENS
                    case _:
                        pass
        answer.whole_s = time.perf_counter() - began
        self.timings.add(answer)
        return answer
