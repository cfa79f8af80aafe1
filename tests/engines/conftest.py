"""The engines that the tests of several files share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from engines.fake_chat import FakeChat, fake_chat
from engines.llamacpp_model import load
from engines.openai_build import Build
from vivavoce.engines.openai import OpenAIModel
from vivavoce.engines.ports import LanguageModel


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


@pytest.fixture(scope="package")
def model() -> Iterator[LanguageModel]:
    """Loaded once for all tests of this folder."""
    loaded = asyncio.run(load())
    yield loaded
    asyncio.run(loaded.aclose())


@pytest.fixture
async def own() -> AsyncIterator[list[LanguageModel]]:
    """Models that a test loads for itself."""
    loaded: list[LanguageModel] = []
    yield loaded
    for one in loaded:
        await one.aclose()
