"""A chat model over the endpoint of a test, and what is looked for in its answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engines.fake_chat import FakeChat
from engines.talk import answer
from vivavoce.domain.content import Content, ToolDeclaration
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.openai import OpenAIModel, OpenAISettings
from vivavoce.engines.ports import CallsRequested, ModelPart, TextDelta
from vivavoce.engines.settings import read_settings
from vivavoce.testing.engine_contracts import request

WEATHER = ToolDeclaration(
    "get_weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}}
)


def settings_of(table: dict[str, Any]) -> OpenAISettings:
    return read_settings("model.openai", table, OpenAISettings)


class Build:
    def __init__(self, chat: FakeChat, models: list[OpenAIModel]) -> None:
        self._chat, self._models = chat, models

    def __call__(self, **settings: Any) -> OpenAIModel:
        table = {"base_url": self._chat.url, "model": "m", **settings}
        self._models.append(OpenAIModel(settings_of(table)))
        return self._models[-1]


def text_of(parts: list[ModelPart]) -> str:
    return "".join(p.text for p in parts if isinstance(p, TextDelta) and not p.thought).strip()


def calls_of(parts: list[ModelPart]) -> list[tuple[str, Any]]:
    return [(c.name, c.args) for p in parts if isinstance(p, CallsRequested) for c in p.calls]


def told(*history: Content, **changes: Any) -> GenerationRequest:
    return replace(request(), history=history, **changes)


async def sent(build: Build, chat: FakeChat, asked: GenerationRequest, **settings: Any) -> Any:
    """The body that the endpoint got."""
    await answer(build(**settings), asked)
    return chat.asked[-1].body
