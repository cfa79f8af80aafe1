"""The engines that the tests of several files share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engines.fake_chat import FakeChat, fake_chat
from engines.openai_build import Build
from vivavoce.engines.openai.model import OpenAIModel


@pytest.fixture
async def chat() -> AsyncIterator[FakeChat]:
    async with fake_chat() as fake:
        yield fake


@pytest.fixture
async def models() -> AsyncIterator[list[OpenAIModel]]:
    """Every model built in a test; closed at its end."""
    built: list[OpenAIModel] = []
    yield built
    for model in built:
        await model.aclose()


@pytest.fixture
def build(chat: FakeChat, models: list[OpenAIModel]) -> Build:
    return Build(chat, models)
