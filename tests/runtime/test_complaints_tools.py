"""Tools that do not wedge the call: what is asked for again and again of voice frameworks.

Each test is named after its complaint, and its docstring says where that was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from runtime.clients import played, speech
from runtime.dialogues import holds
from support.host_rig import Client, Step, StepResponder
from vivavoce.core.events import TextReceived, ToolResponsesReceived
from vivavoce.core.messages import (
    Interrupted,
    Message,
    ToolCallRequest,
    TurnComplete,
)
from vivavoce.domain.content import ToolCall, ToolDeclaration, ToolResult, Tools
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import SessionSetup
from vivavoce.engines.ports import CallsRequested

HOUR_S = 3600.0


def count(client: Client, kind: type[Message]) -> int:
    return sum(isinstance(message, kind) for message in client.messages)


@pytest.mark.parametrize(
    ("model", "waits"),
    [
        ("models/gemini-2.5-flash", True),
        ("models/gemini-3.1-flash-live", True),
        ("models/gemini-3.8-flash-live", False),
    ],
)
def test_whether_a_call_blocks_changes_from_model_to_model(model: str, waits: bool) -> None:
    """https://github.com/livekit/agents/issues/7302 and /2367

    The declaration decides; where it leaves that open, the family that the client's model name
    stands for, and always in the same way.
    """
    setup = SessionSetup(model, tools=Tools((ToolDeclaration("lights"),)))

    def answer(request: GenerationRequest) -> Sequence[Step]:
        if request.history[-1].text == "lights":
            return [CallsRequested((ToolCall(CallId(""), "lights", {}),)), speech(0.3, "Wait.")]
        return [speech(0.3, "Done.")]

    async def ask(client: Client) -> None:
        client.say(TextReceived("lights"))
        asked = await client.until(ToolCallRequest)
        assert isinstance(asked, ToolCallRequest)
        await asyncio.sleep(3)
        assert (count(client, TurnComplete) == 0) is waits
        client.say(ToolResponsesReceived((ToolResult(asked.calls[0].id, "lights", {}),)))
        await client.until(TurnComplete, 1 if waits else 2)

    client = played(ask, StepResponder(answer), setup=setup)
    assert count(client, Interrupted) == 0


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("", ""),
        ("", " silent"),
        ("", " interrupt"),
        (" (non-blocking)", ""),
        (" (non-blocking)", " interrupt"),
        (" (non-blocking)", " when-idle"),
    ],
)
def test_silence_after_a_result(kind: str, way: str) -> None:
    """https://github.com/livekit/agents/issues/6002 and https://github.com/livekit/agents-js/issues/2249

    Every result leads to an answer, whatever it says of its scheduling. The one exception is what
    the client asks for: `non_blocking_idle_silent` among the dialogues.
    """
    holds(
        f"""
        setup  audio, transcribe, tools: report{kind}
        mic    0 off
        model  calls report
        model  given {{"done": true}} says "It is done." over 0.2
        text   0.2 "report"
        expect toolCall report
        tool   report {{"done": true}} after 1.5{way}
        expect says "It is done." within 0.5 then generationComplete then turnComplete
        until  4
        """
    )


def test_a_model_without_words_for_a_result_ends_its_turn() -> None:
    """https://github.com/livekit/agents/issues/6002"""
    holds(
        """
        setup   text, tools: report
        mic     0 off
        model   calls report
        model   is silent
        model   says "Hello." over 0.2
        text    0.2 "report"
        expect  toolCall report
        tool    report {} after 0.5
        expect  generationComplete then turnComplete within 0.5
        text    2 "hello"
        expect  says "Hello." then turnComplete
        count   turnComplete 2
        until   4
        """
    )


@pytest.mark.parametrize("kind", ["lights", "lights (non-blocking)"])
def test_an_unanswered_call_makes_the_model_deaf(kind: str) -> None:
    """https://github.com/livekit/livekit/issues/4296 and https://github.com/PatterAI/Patter/issues/210

    Whoever speaks is heard, whatever the client still owes.
    """
    holds(
        f"""
        setup   audio, transcribe, tools: {kind}
        model   calls lights
        model   given "user: are you there" says "Here I am." over 0.4
        model   given "user: and now" says "Still here." over 0.4
        user    0.5-1.2 "turn on the lights"
        expect  toolCall lights
        user    4-4.6 "are you there"
        expect  inputTranscription "are you there" then says "Here I am." then turnComplete
        user    8-8.6 "and now"
        expect  inputTranscription "and now" then says "Still here." then turnComplete
        until   12
        """
    )


def test_an_unanswered_call_makes_the_model_deaf_where_nothing_interrupts() -> None:
    """https://github.com/livekit/livekit/issues/4296 and https://github.com/PatterAI/Patter/issues/210

    There the words wait behind the call, and so the call has a deadline: a minute, unless the
    operator says otherwise.
    """
    holds(
        """
        setup   audio, transcribe, tools: lights, no-interruption
        model   calls lights
        model   given "did not answer in time" says "That did not work." over 0.4
        model   given "user: are you there" says "Here I am." over 0.4
        text    0.2 "turn on the lights"
        expect  toolCall lights
        user    4-4.6 "are you there"
        expect  says "That did not work." within 57 then turnComplete
        expect  inputTranscription "are you there" then says "Here I am." then turnComplete
        until   65
        """
    )


def test_an_unanswered_call_is_closed_where_the_operator_wants_it() -> None:
    """https://github.com/livekit/agents/issues/6002"""
    holds(
        """
        setup   text, tools: lights, report (non-blocking), deadline: 2
        mic     0 off
        model   calls lights and report
        model   given "did not answer in time" says "Neither of them answers." over 0.2
        model   given "result report" says "As I said." over 0.2
        text    0.2 "everything"
        expect  toolCall lights
        expect  says "Neither of them answers." within 2.5 then turnComplete
        until   6
        """
    )
