"""Turns of a conversation and the answer to them, as a language model takes and gives them."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from vivavoce.domain.content import Content, Role, Text
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.ports import LanguageModel, ModelPart


def user(*parts: Any) -> Content:
    return Content(Role.USER, tuple(Text(p) if isinstance(p, str) else p for p in parts))


def said(*parts: Any, cut: bool = False) -> Content:
    return Content(Role.MODEL, tuple(Text(p) if isinstance(p, str) else p for p in parts), cut)


async def answer(model: LanguageModel, asked: GenerationRequest) -> list[ModelPart]:
    parts: Any = model.generate(asked)
    async with aclosing(parts):
        return [part async for part in parts]
