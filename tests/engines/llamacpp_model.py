"""The embedded language model on its real weights, and what is asked of it and found in answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vivavoce.domain.content import Content, ToolDeclaration
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.function_calling.model import FunctionCallingModel
from vivavoce.engines.llamacpp import create
from vivavoce.engines.llamacpp.model import LlamaCppModel
from vivavoce.engines.ports import CallsRequested, LanguageModel, ModelPart, TextDelta
from vivavoce.engines.registry import locate_weights
from vivavoce.errors import EngineMissing
from vivavoce.testing.engine_contracts import request


class Host:
    """What a factory asks of its host; `absent` weights were never fetched."""

    def __init__(self, absent: str = "") -> None:
        self._absent = absent

    def say(self, line: str) -> None:
        pass

    def weights(self, name: str) -> Path:
        if name == self._absent:
            raise EngineMissing(name, "It is not on this machine.", "Fetch it.")
        try:
            return locate_weights(name)
        except EngineMissing as missing:
            pytest.skip(str(missing))

    async def build(self, port: str, choice: Any) -> Any:
        raise NotImplementedError


async def load(**settings: Any) -> LanguageModel:
    """The smaller model with two slots of 2,048 tokens, unless `settings` say otherwise."""
    small = {"model": "qwen-0.5b", "slots": 2, "context": 2048}
    return await create(small | settings, Host())


def text_model(model: LanguageModel) -> LlamaCppModel:
    """The model itself, without what calls functions for it."""
    inner = model.text_model if isinstance(model, FunctionCallingModel) else model
    assert isinstance(inner, LlamaCppModel)
    return inner


def conversation(
    *history: Content, tools: tuple[ToolDeclaration, ...] = (), session: str = "one", **changes: Any
) -> GenerationRequest:
    asked = request(functions=tools, session=session)
    return replace(asked, history=history, **changes)


def text_of(parts: list[ModelPart]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


def calls_of(parts: list[ModelPart]) -> list[tuple[str, Any]]:
    return [(c.name, dict(c.args)) for p in parts if isinstance(p, CallsRequested) for c in p.calls]


async def until(there: Callable[[], bool]) -> None:
    """Wait for a worker thread, which has no event to wait for."""
    async with asyncio.timeout(30):
        while not there():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
