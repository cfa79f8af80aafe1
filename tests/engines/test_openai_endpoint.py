"""What the start of a server says of the language model behind a chat endpoint."""

from __future__ import annotations

import pytest

from engines.fake_chat import fake_chat
from vivavoce.engines.openai import create
from vivavoce.engines.registry import EngineBuilder


async def said(base_url: str) -> str:
    lines: list[str] = []
    engine = await create(
        {"base_url": base_url, "model": "qwen3"}, EngineBuilder(report=lines.append)
    )
    await engine.aclose()
    (line,) = lines
    return line


@pytest.mark.parametrize(
    "listed", [[], [{"id": "qwen3"}, {"id": "b"}], "nothing", [{"name": "no id"}]]
)
async def test_the_name_is_said_and_that_the_endpoint_answers(listed: object) -> None:
    async with fake_chat() as chat:
        chat.models = {"data": listed}
        assert await said(chat.url) == f"Language model: qwen3 at {chat.url}, which answers."
        assert chat.looked == 1


async def test_a_model_that_the_endpoint_does_not_list_is_reported() -> None:
    async with fake_chat() as chat:
        chat.models = {"data": [{"id": f"model-{number}"} for number in range(7)]}
        line = await said(chat.url)
    assert "qwen3" in line
    assert "does not list this model. It lists: model-0, model-1" in line
    assert line.endswith("model-4 and others.")


async def test_a_refused_key_is_reported() -> None:
    async with fake_chat() as chat:
        chat.models_status = "401 Unauthorized"
        assert "refuses the key (status 401). Set VIVAVOCE_MODEL_KEY" in await said(chat.url)


async def test_an_endpoint_without_a_list_answers_all_the_same() -> None:
    async with fake_chat() as chat:
        chat.models_status = "404 Not Found"
        assert (await said(chat.url)).endswith("which answers.")


async def test_an_endpoint_that_is_not_there_is_reported() -> None:
    async with fake_chat() as chat:
        gone = chat.url
    line = await said(gone)
    assert f"qwen3 at {gone}, which can't be reached" in line
