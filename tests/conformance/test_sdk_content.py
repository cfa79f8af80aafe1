"""Content of Google's Python SDK while a function runs, and speech that was recorded before."""

from __future__ import annotations

import asyncio
import io
import wave
from typing import Any

import pytest

from conformance.sdk import live, said, turn
from conformance.servers import Running
from vivavoce.engines.scripted import say

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.e2e,
    pytest.mark.usefixtures("trusted"),
    # The SDK and what it stands on warn of matters of their own.
    pytest.mark.filterwarnings("default"),
]

LIGHTS = [{"function_declarations": [{"name": "turn_on_the_lights"}]}]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": text}]}


async def called(session: Any) -> Any:
    """Ask for the lights; the call that comes of it."""
    await session.send_client_content(turns=user("turn on the lights"))
    async with asyncio.timeout(10):
        async for message in session.receive():
            if message.tool_call:
                (call,) = message.tool_call.function_calls
                return call
    raise AssertionError("no function was called")


async def answer(genai: Any, session: Any, call: Any) -> None:
    result = genai.types.FunctionResponse(id=call.id, name=call.name, response={"result": "ok"})
    await session.send_tool_response(function_responses=result)


async def test_context_while_a_function_runs(genai: Any, scripted: Running) -> None:
    async with live(genai, scripted, tools=LIGHTS) as session:
        call = await called(session)
        await session.send_client_content(turns=user("the cart is shown"), turn_complete=False)
        await answer(genai, session, call)
        messages = await turn(session)
    assert said(messages) == "turn on the lights is done."
    assert not any(message.tool_call_cancellation for message in messages)
    assert not any(m.server_content and m.server_content.interrupted for m in messages)


async def test_a_question_while_a_function_runs(genai: Any, scripted: Running) -> None:
    async with live(genai, scripted, tools=LIGHTS) as session:
        call = await called(session)
        await session.send_client_content(turns=user("good evening"))
        assert said(await turn(session)) == "good evening"
        await answer(genai, session, call)
        assert said(await turn(session)) == "turn on the lights is done."


async def test_a_stop_while_a_function_runs(genai: Any, scripted: Running) -> None:
    async with live(genai, scripted, tools=LIGHTS) as session:
        call = await called(session)
        await session.send_client_content(turn_complete=False)
        messages = await turn(session)
    assert [
        id for m in messages if m.tool_call_cancellation for id in m.tool_call_cancellation.ids
    ] == [call.id]


def wav(pcm: bytes, rate: int, channels: int = 1) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return out.getvalue()


WORDS = "good evening everybody"
SPEECH = {
    "PCM": ("audio/pcm;rate=16000", say(WORDS, 16_000)),
    "PCM of 24 kHz": ("audio/pcm;rate=24000", say(WORDS, 24_000)),
    "WAV": ("audio/wav", wav(say(WORDS, 16_000), 16_000)),
    "WAV of 48 kHz": ("audio/x-wav", wav(say(WORDS, 48_000), 48_000)),
}


@pytest.mark.parametrize("kind", SPEECH)
async def test_recorded_speech_in_content(genai: Any, scripted: Running, kind: str) -> None:
    mime_type, data = SPEECH[kind]
    part = genai.types.Part.from_bytes(data=data, mime_type=mime_type)
    async with live(genai, scripted) as session:
        await session.send_client_content(turns=genai.types.Content(role="user", parts=[part]))
        messages = await turn(session)
    assert said(messages) == WORDS
    told = [m.server_content.input_transcription for m in messages if m.server_content]
    assert [each.text for each in told if each] == [WORDS]


async def test_recorded_speech_is_context_like_words(genai: Any, scripted: Running) -> None:
    part = genai.types.Part.from_bytes(data=SPEECH["WAV"][1], mime_type="audio/wav")
    async with live(genai, scripted) as session:
        content = genai.types.Content(role="user", parts=[part])
        await session.send_client_content(turns=content, turn_complete=False)
        await session.send_client_content(turns=user("What did I tell you before?"))
        assert said(await turn(session)) == WORDS


async def test_a_dot_after_context_asks_for_an_answer(genai: Any, scripted: Running) -> None:
    """As LiveKit sends every request for a reply."""
    async with live(genai, scripted, tools=LIGHTS) as session:
        await session.send_client_content(turns=user("turn on the lights"), turn_complete=False)
        await session.send_client_content(turns=user("."))
        async with asyncio.timeout(10):
            async for message in session.receive():
                if message.tool_call:
                    break
    assert message.tool_call.function_calls[0].name == "turn_on_the_lights"
