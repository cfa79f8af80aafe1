"""A chat endpoint without tools, whose functions are chosen by the router."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from engines.fake_chat import Exchange, FakeChat, end, words
from engines.llamacpp_model import Host
from engines.openai_build import calls_of, settings_of, text_of, told
from engines.talk import answer, user
from vivavoce.domain.content import ServerTool, ToolDeclaration, ToolKind, Tools
from vivavoce.engines.openai import create, required_weights
from vivavoce.errors import ConfigError

LIGHTS = ToolDeclaration("turn_on_the_lights", "Turns on the lights.")
CODE = ServerTool(ToolDeclaration("code_execution", "Runs Python."), ToolKind.CODE)
TOOLS = Tools((LIGHTS,), server=(CODE,))


@pytest.mark.embedded
async def test_functions_are_routed_and_programs_written_by_the_endpoint(chat: FakeChat) -> None:
    settings = {"base_url": chat.url, "model": "m", "tools": "router"}
    model = await create(settings, Host())
    assert model.capabilities.tools
    chat.asked.clear()
    parts = await answer(model, told(user("Turn on the lights."), tools=TOOLS))
    assert calls_of(parts) == [("turn_on_the_lights", {})]
    assert not chat.asked
    chat.replies([*words("```python\nprint(17 * 23)\n```"), end("stop")])
    parts = await answer(model, told(user("What is 17 times 23?"), tools=TOOLS))
    assert calls_of(parts) == [("code_execution", {"code": "print(17 * 23)"})]
    body = chat.asked[-1].body
    assert body["messages"][-1]["content"] == "What is 17 times 23?"
    assert body["temperature"] == 0
    chat.replies([*words("Good morning."), end("stop")])
    parts = await answer(model, told(user("Good morning!"), tools=TOOLS))
    assert text_of(parts) == "Good morning."
    assert "tools" not in chat.asked[-1].body
    await model.aclose()


@pytest.mark.embedded
async def test_a_program_that_is_cancelled_closes_the_connection(chat: FakeChat) -> None:
    asked = asyncio.Event()

    async def hang(exchange: Exchange) -> None:
        asked.set()
        await exchange.gone.wait()

    chat.answer = hang
    model = await create({"base_url": chat.url, "model": "m", "tools": "router"}, Host())
    request = replace(told(user("What is 17 times 23?")), tools=TOOLS)
    task = asyncio.ensure_future(answer(model, request))
    await asyncio.wait_for(asked.wait(), 10)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert task.cancelled()
    await asyncio.wait_for(chat.asked[-1].gone.wait(), 5)
    await model.aclose()


def test_the_router_needs_minilm_and_no_other_word_is_known() -> None:
    assert required_weights({"tools": "router"}) == ("minilm",)
    assert required_weights({"tools": True}) == ()
    with pytest.raises(ConfigError, match="`tools`"):
        settings_of({"base_url": "http://127.0.0.1:1/v1", "tools": "magic"})
