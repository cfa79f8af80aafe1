"""The language model port over a chat endpoint."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from math import ceil
from typing import Any

from vivavoce.domain.content import Content, ToolResult
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import Modality
from vivavoce.engines.chat import messages as chat
from vivavoce.engines.chat.deltas import Deltas
from vivavoce.engines.chat.names import Names
from vivavoce.engines.chat.trim import first_kept
from vivavoce.engines.openai.settings import ENGINE, OpenAISettings
from vivavoce.engines.openai.stream import ChatStream
from vivavoce.engines.ports import (
    LanguageModelCapabilities,
    ModelPart,
    TextDelta,
    UsageReported,
)
from vivavoce.engines.workers import WorkerPool
from vivavoce.errors import EngineError

_CHARS_PER_TOKEN = 3
_USUAL_CHARS = 4
_ENOUGH = 50
_TOKENS_PER_IMAGE = 500
_ANSWER_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A request in JSON, and the characters of what its tokens are counted of; 0 with images."""

    body: bytes
    characters: int


class OpenAIModel:
    """Asks an OpenAI-compatible server, streaming, tools included."""

    def __init__(self, settings: OpenAISettings) -> None:
        self.capabilities = LanguageModelCapabilities(
            tools=settings.tools is True,
            images=settings.images,
            thinking=settings.thinking,
            context_tokens=settings.context_tokens,
            slots=settings.slots,
            repairs=True,
            count_tokens=self.count_tokens,
            count_revision=lambda: self._calibrations,
        )
        self._settings = settings
        self._stream = ChatStream(settings)
        self._workers = WorkerPool(ENGINE, queue=1024)
        self._kept: dict[str, int] = {}
        self._chars_per_token = float(_USUAL_CHARS)
        self._calibrations = 0
        self._longest_result = min(
            chat.LONGEST_RESULT, settings.context_tokens * _CHARS_PER_TOKEN // 4
        )

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, by what the endpoint counted in the last prompt of known length."""
        return ceil(len(text) / self._chars_per_token)

    async def prepare(self, request: GenerationRequest) -> None:
        """Nothing: a server that caches prefixes does it by itself, and asking costs money."""

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[ModelPart, None]:
        """The answer. Closing the iterator closes the connection."""
        names = Names(tool.name for tool in request.tools.offered)
        deltas = Deltas(names)
        # A long conversation, or hundreds of functions, take long to be written down.
        prompt = await self._workers.run(lambda _: self._prompt(request, names))
        async with aclosing(self._parts(prompt.body, deltas)) as parts:
            async for part in parts:
                if isinstance(part, UsageReported):
                    self._calibrate(prompt, part.usage.prompt_tokens)
                if not isinstance(part, TextDelta) or self._wanted(part, request):
                    yield part
        for part in deltas.ending():
            yield part

    async def release(self, session: str) -> None:
        self._kept.pop(session, None)

    async def aclose(self) -> None:
        self._workers.close()
        await self._stream.aclose()

    async def _parts(self, body: bytes, deltas: Deltas) -> AsyncGenerator[ModelPart, None]:
        async with aclosing(self._stream.chunks(body)) as chunks:
            async for chunk in chunks:
                for part in deltas.feed(chunk):
                    yield part
        for rest in deltas.rest():
            yield rest
        if not deltas.finish_reason:
            raise EngineError(ENGINE, "the answer broke off before its end.")

    def _calibrate(self, prompt: _Prompt, counted: int) -> None:
        """Characters in a token of this endpoint's, from a prompt that it has counted."""
        if counted >= _ENOUGH and prompt.characters:
            self._chars_per_token = min(8.0, max(1.0, prompt.characters / counted))
            self._calibrations += 1

    @staticmethod
    def _wanted(part: TextDelta, request: GenerationRequest) -> bool:
        return not part.thought or bool(request.thinking and request.thinking.include_thoughts)

    def _prompt(self, request: GenerationRequest, names: Names) -> _Prompt:
        body = self._body(request, names)
        text = json.dumps((body["messages"], body.get("tools")), ensure_ascii=False)
        written = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return _Prompt(written.encode(), 0 if '"image_url"' in text else len(text))

    def _body(self, request: GenerationRequest, names: Names) -> dict[str, Any]:
        settings = self._settings
        instruction = request.instruction
        if request.modality is Modality.AUDIO and settings.spoken:
            instruction = f"{instruction}\n\n{settings.spoken}".strip()
        limit = request.sampling.max_output_tokens
        budget = settings.context_tokens - (limit or _ANSWER_TOKENS) - _tokens(instruction)
        longest = self._longest_result
        first = first_kept(
            request.history,
            max(budget, 0),
            lambda content: _cost(content, longest),
            self._kept.get(request.session, 0),
        )
        self._kept[request.session] = first
        body: dict[str, Any] = {
            "model": settings.model,
            "messages": chat.messages(request, names, settings.images, instruction, first, longest),
            "stream": True,
            "stream_options": {"include_usage": True},
            **chat.sampling(request.sampling),
            **({"max_tokens": limit} if limit is not None else {}),
        }
        if settings.tools is True and request.tools.offered:
            body["tools"] = chat.tools(request, names)
        if settings.thinking and request.thinking and request.thinking.level:
            body["reasoning_effort"] = request.thinking.level.lower()
        return {**body, **settings.body}


def _tokens(text: str) -> int:
    """A guess on the safe side: the endpoint's tokenizer is not known."""
    return len(text) // _CHARS_PER_TOKEN + 4


def _cost(content: Content, longest: int) -> int:
    """The same guess for a contribution, results as far as they are shown."""
    total = 0
    most = chat.share(content, longest)
    for part in content.parts:
        if isinstance(part, ToolResult):
            total += _tokens(chat.shown(part, most)) + _TOKENS_PER_IMAGE * len(part.parts)
        elif isinstance(getattr(part, "data", None), bytes):
            total += _TOKENS_PER_IMAGE
        else:
            total += _tokens(repr(part))
    return total
