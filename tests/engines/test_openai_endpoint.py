"""What the operator is told when the chat endpoint is not there."""

from __future__ import annotations

from engines.fake_chat import fake_chat
from vivavoce.engines.openai import create
from vivavoce.engines.registry import House


async def said(base_url: str) -> list[str]:
    lines: list[str] = []
    engine = await create({"base_url": base_url, "model": "any"}, House(tell=lines.append))
    await engine.aclose()
    return lines


async def test_an_endpoint_that_answers_is_not_worth_a_word() -> None:
    async with fake_chat() as chat:
        assert await said(chat.url) == []
        assert chat.looked == 1


async def test_an_endpoint_that_is_not_there_is_named_at_the_start() -> None:
    async with fake_chat() as chat:
        gone = chat.url
    (line,) = await said(gone)
    assert gone in line
    assert "can't be reached" in line
