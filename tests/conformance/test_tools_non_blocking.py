"""A function that takes three seconds, and a conversation that does not wait for it.

Spoken, in real time, by Google's Python SDK: the user and the model go on talking while the client
works, and the result is taken up as its scheduling says, which is seen on the wire alone.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from conformance.listener import Listener, calls, flags, listening
from conformance.sdk import QUIET, live, said, sound, speak
from conformance.servers import Running
from vivavoce.domain.audio import pcm_seconds
from vivavoce.engines.scripted import hear, say

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.e2e,
    pytest.mark.usefixtures("trusted"),
    pytest.mark.filterwarnings("default"),
]

REPORT = [{"function_declarations": [{"name": "get_report", "behavior": "NON_BLOCKING"}]}]
WORK_S = 3.0
STORY = "once upon a time there was a queen who had three daughters and a dog"
REPORTED = "get report is done."
SILENCE_S = 1.5


def turns(count: int) -> Any:
    return lambda messages: flags(messages, "turn_complete") >= count


async def conversation(
    genai: Any, session: Any, listener: Listener, scheduling: str, beside: bool
) -> int:
    """Ask for the report, talk for three seconds, and have its result come into a long answer.

    Returns how much had come when the result was sent.
    """
    loop = asyncio.get_running_loop()
    await speak(session, say("get report", 16_000) + QUIET)
    seen = await listener.until(lambda m: bool(calls(m)) and turns(1)(m))
    (call,) = calls(listener.messages)
    done_at = loop.time() + WORK_S
    await speak(session, say("good day", 16_000) + QUIET)
    seen = await listener.until(turns(1), seen)
    assert said(listener.messages[:seen]).endswith("good day"), "answered while the client works"
    await asyncio.sleep(done_at - loop.time())
    await session.send_client_content(turns={"parts": [{"text": STORY}]})
    seen = await listener.until(lambda m: bool(said(m)), seen)
    types = genai.types
    response: dict[str, Any] = {"result": "ok"} | ({} if beside else {"scheduling": scheduling})
    answer = types.FunctionResponse(id=call.id, name=call.name, response=response)
    if beside:
        answer.scheduling = types.FunctionResponseScheduling(scheduling)
    await session.send_tool_response(function_responses=answer)
    return seen


@pytest.mark.parametrize("beside", [True, False], ids=["beside", "inside"])
async def test_interrupt_cuts_the_model_short_and_is_answered_at_once(
    genai: Any, scripted: Running, beside: bool
) -> None:
    async with live(genai, scripted, tools=REPORT) as session, listening(session) as listener:
        seen = await conversation(genai, session, listener, "INTERRUPT", beside)
        await listener.until(turns(2), seen)
        after = listener.messages[seen:]
    assert flags(after, "interrupted") == 1
    cut = next(n for n, m in enumerate(after) if flags([m], "interrupted"))
    waited_s = listener.heard[seen + cut][0] - listener.heard[seen - 1][0]
    assert waited_s < pcm_seconds(say(STORY, 24_000)) / 2, "nobody waits for the story's end"
    assert hear(sound(after[cut:]), 24_000) == REPORTED
    assert said(after[cut:]) == f" {REPORTED}", "clients join it to the words before"


async def test_when_idle_waits_for_the_end_of_the_answer(genai: Any, scripted: Running) -> None:
    async with live(genai, scripted, tools=REPORT) as session, listening(session) as listener:
        seen = await conversation(genai, session, listener, "WHEN_IDLE", beside=False)
        begun = said(listener.messages[:seen])
        await listener.until(turns(2), seen)
        after = listener.messages[seen:]
    assert flags(after, "interrupted") == 0
    first = next(n for n, m in enumerate(after) if flags([m], "turn_complete"))
    assert (begun + said(after[: first + 1])).endswith(STORY)
    assert said(after[first + 1 :]) == REPORTED


async def test_silent_is_remembered_and_not_spoken_of(genai: Any, scripted: Running) -> None:
    async with live(genai, scripted, tools=REPORT) as session, listening(session) as listener:
        seen = await conversation(genai, session, listener, "SILENT", beside=True)
        seen = await listener.until(turns(1), seen)
        await asyncio.sleep(SILENCE_S)
        assert len(listener.heard) == seen, "nobody speaks of it"
        await speak(session, say("good night", 16_000) + QUIET, real_time=False)
        await listener.until(turns(1), seen)
    assert said(listener.messages[seen:]) == "good night"
    assert REPORTED not in said(listener.messages)


async def test_a_barge_in_leaves_the_call_open(genai: Any, scripted: Running) -> None:
    async with live(genai, scripted, tools=REPORT) as session, listening(session) as listener:
        await speak(session, say("get report", 16_000) + QUIET, real_time=False)
        seen = await listener.until(turns(1))
        (call,) = calls(listener.messages)
        await session.send_client_content(turns={"parts": [{"text": STORY}]})
        seen = await listener.until(lambda m: bool(said(m)), seen)
        await speak(session, say("stop", 16_000) + QUIET)
        seen = await listener.until(turns(2), seen)
        assert flags(listener.messages, "interrupted") == 1
        assert not any(m.tool_call_cancellation for m in listener.messages)
        answer = genai.types.FunctionResponse(id=call.id, name=call.name, response={"a": 1})
        await session.send_tool_response(function_responses=answer)
        await listener.until(turns(1), seen)
    assert said(listener.messages[seen:]) == REPORTED
