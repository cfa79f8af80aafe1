"""Complaints that only a real client can make, with Google's Python SDK against a real server.

The others, and what they are about, stand in tests/runtime/test_complaints.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conformance.sdk import QUIET, heard, live, said, sound, speak, turn
from conformance.servers import Running
from vivavoce.engines.scripted import hear, say

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.e2e,
    pytest.mark.usefixtures("trusted"),
    # The SDK and what it stands on warn of matters of their own.
    pytest.mark.filterwarnings("default"),
]

LIGHTS = [{"function_declarations": [{"name": "turn_on_the_lights", "behavior": "BLOCKING"}]}]
ASK = say("turn on the lights please", 16_000) + QUIET


async def called(session: Any, within_s: float = 15.0) -> Any:
    """The call that a turn comes to."""
    async with asyncio.timeout(within_s):
        async for message in session.receive():
            if message.tool_call:
                return message.tool_call.function_calls[0]
    raise AssertionError("the turn ended without a call")


async def test_1008_while_audio_streams_during_a_pending_tool_call(
    genai: Any, scripted: Running
) -> None:
    """https://github.com/autonomous-ai/autonomous-os/issues/231"""
    async with live(genai, scripted, tools=LIGHTS) as session:
        await speak(session, ASK, real_time=False)
        call = await called(session)
        await speak(session, QUIET * 2)
        await session.send_tool_response(
            function_responses=[
                genai.types.FunctionResponse(id=call.id, name=call.name, response={"result": "ok"})
            ]
        )
        assert hear(sound(await turn(session)), 24_000) == "turn on the lights is done."
        await speak(session, say("good night", 16_000) + QUIET, real_time=False)
        assert heard(await turn(session)) == "good night"


async def test_an_unanswered_call_makes_the_model_deaf(genai: Any, scripted: Running) -> None:
    """https://github.com/livekit/livekit/issues/4296 and https://github.com/PatterAI/Patter/issues/210"""
    async with live(genai, scripted, tools=LIGHTS) as session:
        await speak(session, ASK, real_time=False)
        call = await called(session)
        await speak(session, say("are you there", 16_000) + QUIET, real_time=False)
        cut = await turn(session)
        withdrawn = [m.tool_call_cancellation.ids for m in cut if m.tool_call_cancellation]
        assert withdrawn == [[call.id]]
        answered = await turn(session)
        assert heard(answered) == " are you there", "the user goes on"
        assert said(answered) == "are you there"


async def test_a_session_with_an_instruction_of_5000_words(genai: Any, scripted: Running) -> None:
    """https://github.com/google-gemini/cookbook/issues/1197, as far as it is not about resuming"""
    instruction = "Answer in short and friendly words. " * 834
    async with live(genai, scripted, system_instruction=instruction) as session:
        await speak(session, say("good day", 16_000) + QUIET, real_time=False)
        assert heard(await turn(session)) == "good day"
