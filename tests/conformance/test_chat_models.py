"""Any OpenAI-compatible endpoint as the mind of a conversation, held through Google's Python SDK.

The endpoint is ours and scripted; what it is asked shows what the server remembers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from conformance.sdk import QUIET, heard, live, said, sound, speak, turn
from conformance.servers import Running, serving
from engines.fake_chat import Exchange, FakeChat, call, end, fake_chat, words
from vivavoce.domain.audio import OUTPUT_RATE
from vivavoce.engines.scripted import hear, say

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.e2e,
    pytest.mark.usefixtures("trusted"),
    # The SDK and what it stands on warn of matters of their own.
    pytest.mark.filterwarnings("default"),
]

STORY = "Once upon a time there was a queen who had three daughters and a very old horse."
WEATHER = {
    "name": "get_weather",
    "description": "Tells the weather of a place.",
    "parameters": {
        "type": "OBJECT",
        "properties": {"place": {"type": "STRING"}},
        "required": ["place"],
    },
}
DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


@pytest.fixture
async def chat() -> AsyncIterator[FakeChat]:
    async with fake_chat() as fake:
        yield fake


@pytest.fixture
async def server(chat: FakeChat) -> AsyncIterator[Running]:
    """Hears and speaks in tones, and asks the endpoint what to say."""
    model = {"use": "openai", "base_url": chat.url, "model": "any", "images": True}
    responder = {"use": "cascade", "model": model, "voice": "tones"}
    profile = {"detector": "energy", "recognizer": "tones", "responder": responder}
    with serving("chat", VIVAVOCE_PROFILES=json.dumps({"chat": profile})) as running:
        yield running


def roles(exchange: Exchange) -> list[str]:
    return [message["role"] for message in exchange.body["messages"]]


async def test_the_history_holds_only_what_was_heard(
    genai: Any, server: Running, chat: FakeChat
) -> None:
    chat.replies(words(STORY))
    async with live(genai, server) as session:
        await session.send_client_content(turns={"parts": [{"text": "Tell me a story."}]})
        old = asyncio.create_task(turn(session))
        await asyncio.sleep(2.0)
        began = asyncio.get_running_loop().time()
        speaking = asyncio.create_task(speak(session, say("stop now", 16_000) + QUIET))
        cut = await old
        heard_s = 2.0 + asyncio.get_running_loop().time() - began
        await turn(session)
        await speaking
    assert [m for m in cut if m.server_content and m.server_content.interrupted]
    kept = chat.asked[-1].body["messages"][-2]
    assert kept["role"] == "assistant"
    remembered = kept["content"].rstrip("\u2026. ")
    sent = len(hear(sound(cut), OUTPUT_RATE)) / len(STORY)
    played = heard_s / (len(say(STORY, OUTPUT_RATE)) / 2 / OUTPUT_RATE)
    assert STORY.startswith(remembered), "what was heard, word for word"
    assert 0 < len(remembered) < len(said(cut)), "and less than what was sent"
    assert len(remembered) / len(STORY) == pytest.approx(min(played, sent), abs=0.15)


async def test_a_function_is_called_and_its_result_spoken(
    genai: Any, server: Running, chat: FakeChat
) -> None:
    async def answer(exchange: Exchange) -> None:
        if roles(exchange)[-1] == "tool":
            result = json.loads(exchange.body["messages"][-1]["content"])
            await exchange.stream(words(f"It is {result['sky']} there."))
        else:
            await exchange.stream(
                [*call(0, "get_weather", '{"place":', ' "Oslo"}'), end("tool_calls")]
            )

    chat.answer = answer
    tools = [{"function_declarations": [WEATHER]}]
    async with live(genai, server, tools=tools) as session:
        await speak(session, say("how is the weather in oslo", 16_000) + QUIET, real_time=False)
        calls, told = [], []
        async with asyncio.timeout(15):
            async for message in session.receive():
                told.append(message)
                if message.tool_call:
                    (wanted,) = message.tool_call.function_calls
                    calls.append((wanted.name, wanted.args))
                    result = genai.types.FunctionResponse(
                        id=wanted.id, name=wanted.name, response={"sky": "grey"}
                    )
                    await session.send_tool_response(function_responses=[result])
    assert calls == [("get_weather", {"place": "Oslo"})]
    assert heard(told) == "how is the weather in oslo"
    assert hear(sound(told), OUTPUT_RATE) == "It is grey there."
    declared = chat.asked[0].body["tools"][0]["function"]
    assert declared["parameters"]["properties"] == {"place": {"type": "string"}}


async def test_a_picture_reaches_a_model_that_sees(
    genai: Any, server: Running, chat: FakeChat
) -> None:
    async with live(genai, server) as session:
        picture = genai.types.Blob(data=DOT, mime_type="image/png")
        await session.send_realtime_input(video=picture)
        await session.send_realtime_input(text="What do you see?")
        assert hear(sound(await turn(session)), OUTPUT_RATE) == "Hello there!"
    (question,) = [m for m in chat.asked[-1].body["messages"] if m["role"] == "user"]
    kinds = {part["type"] for part in question["content"]}
    assert kinds == {"image_url", "text"}


async def test_an_endpoint_that_is_down_ends_the_turn_and_not_the_session(
    genai: Any, server: Running, chat: FakeChat
) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.refuse("500 Internal Server Error", '{"error": {"message": "no"}}')

    chat.answer = refuse
    async with live(genai, server) as session:
        await session.send_realtime_input(text="hello")
        failed = await turn(session)
        assert sound(failed) == b""
        assert failed[-1].server_content.turn_complete
        chat.replies(words("Back again."))
        await session.send_realtime_input(text="hello")
        assert hear(sound(await turn(session)), OUTPUT_RATE) == "Back again."
