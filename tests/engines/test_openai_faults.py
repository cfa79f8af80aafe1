"""What goes wrong between an OpenAI-compatible endpoint and us: its answers, our settings."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from engines.fake_chat import Exchange, FakeChat, delta
from engines.openai_build import Build, settings_of
from engines.talk import answer
from vivavoce.engines.openai import OpenAIModel
from vivavoce.errors import ConfigError, EngineBusy, EngineError, EngineMissing
from vivavoce.testing.engine_contracts import request


@pytest.mark.parametrize(
    ("status", "kind", "fix"),
    [
        ("401 Unauthorized", EngineMissing, "api_key"),
        ("404 Not Found", EngineMissing, "base_url"),
        ("429 Too Many Requests", EngineBusy, ""),
        ("503 Service Unavailable", EngineBusy, ""),
        ("500 Internal Server Error", EngineError, ""),
        ("400 Bad Request", EngineError, ""),
    ],
)
async def test_refusals_are_told_apart(
    build: Build, chat: FakeChat, status: str, kind: type[EngineError], fix: str
) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.refuse(status, '{"error": {"message": "the reason"}}')

    chat.answer = reply
    with pytest.raises(EngineError, match="the reason") as caught:
        await answer(build(), request("Hi."))
    assert type(caught.value) is kind
    assert fix in str(caught.value)


async def test_a_stream_that_breaks_off_is_a_failure(build: Build, chat: FakeChat) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.event(delta(content="Half a sen"))
        exchange.writer.transport.abort()
        exchange.gone.set()

    chat.answer = reply
    with pytest.raises(EngineError, match="broke off"):
        await answer(build(), request("Hi."))


async def test_a_stream_that_ends_without_its_end_is_a_failure(
    build: Build, chat: FakeChat
) -> None:
    chat.replies([delta(content="Half a sen")])
    with pytest.raises(EngineError, match="broke off"):
        await answer(build(), request("Hi."))


@pytest.mark.parametrize(
    "data", ["data: {oops\n\n", "data: [1]\n\n", 'data: {"error": "boom"}\n\n']
)
async def test_garbage_in_the_stream_is_a_failure(build: Build, chat: FakeChat, data: str) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.raw(data)
        await exchange.finish()

    chat.answer = reply
    with pytest.raises(EngineError):
        await answer(build(), request("Hi."))


async def test_an_endpoint_that_says_nothing_is_given_up(build: Build, chat: FakeChat) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.gone.wait()

    chat.answer = reply
    with pytest.raises(EngineError, match=r"no word for 0\.1 s"):
        await answer(build(first_token_s=0.1), request("Hi."))


async def test_signs_of_life_are_no_answer(build: Build, chat: FakeChat) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.head()
        while not exchange.gone.is_set():
            await exchange.raw(": still here\n\n")

    chat.answer = reply
    with pytest.raises(EngineError, match=r"no word for 0\.1 s"):
        await answer(build(first_token_s=0.1), request("Hi."))


async def test_an_answer_that_stops_in_the_middle_is_given_up(build: Build, chat: FakeChat) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.event(delta(content="Half a "))
        await exchange.gone.wait()

    chat.answer = reply
    async with asyncio.timeout(10):
        with pytest.raises(EngineError, match=r"no word for 0\.1 s"):
            await answer(build(idle_s=0.1), request("Hi."))


async def test_an_endpoint_that_takes_the_question_and_no_more_is_given_up(
    build: Build, chat: FakeChat
) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.gone.wait()

    chat.answer = reply
    async with asyncio.timeout(10):
        with pytest.raises(EngineError, match=r"no word for 0\.1 s"):
            await answer(build(first_token_s=0.1), request("Hi."))


async def test_nobody_listening_is_said_with_the_address(models: list[OpenAIModel]) -> None:
    models.append(OpenAIModel(settings_of({"base_url": "http://127.0.0.1:9/v1", "model": "m"})))
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:9.*Is the server running"):
        await answer(models[0], request("Hi."))


async def test_leaving_early_hangs_up(build: Build, chat: FakeChat) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.event(delta(content="Once "))
        await exchange.gone.wait()

    chat.answer = reply
    parts: Any = build().generate(request("A story."))
    async with aclosing(parts):
        async for _ in parts:
            break
    async with asyncio.timeout(5):
        await chat.asked[0].gone.wait()


async def test_cancelling_hangs_up_before_the_first_word(build: Build, chat: FakeChat) -> None:
    arrived = asyncio.Event()

    async def reply(exchange: Exchange) -> None:
        arrived.set()
        await exchange.gone.wait()

    chat.answer = reply
    task = asyncio.ensure_future(answer(build(), request("A story.")))
    async with asyncio.timeout(5):
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await chat.asked[0].gone.wait()


# --- settings ------------------------------------------------------------------------------


def test_every_fault_of_the_settings_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of({"base_url": "ftp://x", "modle": "m", "slots": True, "first_token_s": 0})
    for fault in ("base_url", "modle", "slots", "first_token_s"):
        assert fault in str(caught.value)


def test_a_key_that_is_not_in_the_environment_is_said_at_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CHAT_KEY", raising=False)
    with pytest.raises(ConfigError, match="CHAT_KEY"):
        settings_of({"base_url": "http://x/v1", "api_key_env": "CHAT_KEY"})
