"""The ordering rules of the specification, section 3.11, seen by a raw client.

A conversation of every kind is held once against the scripted profile; each rule has a test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from conformance.servers import Running
from conformance.socket_runner import on_a_socket
from conformance.wire import (
    BOTH_TRANSCRIPTS,
    LIGHTS,
    SPOKEN,
    WRITTEN,
    Json,
    RawClient,
    complete,
    content,
    kind,
    kinds,
    parts,
    setup,
    sound,
    talking,
    text,
    transcript,
)
from support.host_rig import Step
from vivavoce.domain.content import ToolCall
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.ports import CallsRequested, Speech
from vivavoce.engines.scripted import hear

pytestmark = pytest.mark.e2e

STORY = "once upon a time there was a queen who had three daughters"
"""Some two seconds and a half when it is said in tones."""


async def interrupt(client: RawClient) -> list[list[Json]]:
    """A long answer cut by speech: the messages of the cut turn, and of the next."""
    await client.type(STORY)
    before = await client.until(lambda m: "generationComplete" in content(m))
    await asyncio.sleep(0.3)
    await client.speak("stop now", fast=False)
    cut = await client.turn()
    return [before + cut, await client.turn()]


async def test_the_skeleton_of_a_spoken_turn(scripted: Running) -> None:
    async with talking(scripted.socket_url, setup(SPOKEN, **BOTH_TRANSCRIPTS)) as client:
        await client.speak("good day to you")
        turn = await client.turn()
    assert kind(turn[0]) == "inputTranscription"
    assert [kind(m) for m in turn[-2:]] == ["generationComplete", "turnComplete"]
    assert {kind(m) for m in turn[1:-2]} == {"audio", "outputTranscription"}


async def test_transcript_fragments_stand_close_to_their_audio(scripted: Running) -> None:
    async with talking(scripted.socket_url, setup(SPOKEN, **BOTH_TRANSCRIPTS)) as client:
        await client.type(STORY)
        turn = await client.turn()
    assert transcript(turn, "output") == STORY
    for at in range(len(turn)):
        written = len(transcript(turn[:at], "output").encode())
        spoken = len(sound(turn[:at])) / (2 * 24_000 * 0.04)
        assert abs(written - spoken) <= 12, "a word's length apart at most, in letters of 40 ms"


async def test_nothing_of_a_turn_comes_after_its_turn_complete(scripted: Running) -> None:
    async with talking(scripted.socket_url, setup(SPOKEN, **BOTH_TRANSCRIPTS)) as client:
        await client.speak("good day")
        await client.turn()
        await client.nothing_for(0.5)


@pytest.mark.parametrize("generation", [SPOKEN, WRITTEN])
async def test_no_content_after_generation_complete(scripted: Running, generation: Json) -> None:
    async with talking(scripted.socket_url, setup(generation, **BOTH_TRANSCRIPTS)) as client:
        await client.type(STORY)
        turn = await client.turn()
    generated = [kind(m) for m in turn].index("generationComplete")
    assert [kind(m) for m in turn[generated + 1 :]] == ["turnComplete"]


async def test_exactly_one_turn_complete_for_every_user_turn(scripted: Running) -> None:
    opening = setup(WRITTEN, tools=[LIGHTS])
    async with talking(scripted.socket_url, opening) as client:
        for words in ("one", "two"):
            await client.type(words)
            await client.turn()
        await client.type("turn on the lights")
        (call,) = (await client.receive())["toolCall"]["functionCalls"]
        result = {"id": call["id"], "name": call["name"], "response": {}}
        await client.send({"toolResponse": {"functionResponses": [result]}})
        await client.turn()
        await client.nothing_for(0.3)
    assert sum(complete(m) for m in client.frames) == 3


async def test_an_activity_without_words_hangs_no_client(scripted: Running) -> None:
    manual = {"automaticActivityDetection": {"disabled": True}}
    async with talking(scripted.socket_url, setup(WRITTEN, realtimeInputConfig=manual)) as client:
        await client.send({"realtimeInput": {"activityStart": {}}})
        await client.send({"realtimeInput": {"activityEnd": {}}})
        assert kinds(await client.turn()) == ["turnComplete"]
        await client.type("still here")
        assert text(await client.turn()) == "still here"


async def test_an_interrupted_turn(scripted: Running) -> None:
    async with talking(scripted.socket_url, setup(SPOKEN, **BOTH_TRANSCRIPTS)) as client:
        cut, following = await interrupt(client)
    names = [kind(m) for m in cut]
    assert names[-2:] == ["interrupted", "turnComplete"]
    assert names.count("turnComplete") == names.count("interrupted") == 1
    assert "usageMetadata" in cut[-1]
    assert transcript(following, "input") == "stop now"
    assert hear(sound(following), 24_000) == "stop now"


async def test_activity_during_the_withheld_interval_interrupts(scripted: Running) -> None:
    """Everything was generated and sent; it is still being played, as far as anybody knows."""
    async with talking(scripted.socket_url, setup(SPOKEN, **BOTH_TRANSCRIPTS)) as client:
        cut, _ = await interrupt(client)
    names = [kind(m) for m in cut]
    assert names.index("generationComplete") < names.index("interrupted")


async def test_an_interruption_while_generating_has_no_generation_complete(
    scripted: Running,
) -> None:
    async with talking(scripted.socket_url, setup(SPOKEN, tools=[LIGHTS])) as client:
        await client.type("turn on the lights")
        await client.until(lambda m: "toolCall" in m)
        await client.speak("never mind", fast=False)
        cut = await client.turn()
        following = await client.turn()
    assert [kind(m) for m in cut] == ["interrupted", "toolCallCancellation", "turnComplete"]
    assert hear(sound(following), 24_000) != ""


async def test_a_late_answer_to_a_cancelled_call_is_ignored(scripted: Running) -> None:
    async with talking(scripted.socket_url, setup(WRITTEN, tools=[LIGHTS])) as client:
        await client.type("turn on the lights")
        (call,) = (await client.receive())["toolCall"]["functionCalls"]
        await client.send({"clientContent": {}})
        cut = await client.turn()
        cancelled = next(m["toolCallCancellation"] for m in cut if "toolCallCancellation" in m)
        assert cancelled["ids"] == [call["id"]]
        result = {"id": call["id"], "name": call["name"], "response": {}}
        await client.send({"toolResponse": {"functionResponses": [result]}})
        await client.nothing_for(0.4)


async def test_activity_while_nothing_is_said_interrupts_nothing(scripted: Running) -> None:
    async with talking(scripted.socket_url, setup(SPOKEN)) as client:
        await client.speak("good day")
        await client.turn()
        await client.speak("good night")
        await client.turn()
    assert not [m for m in client.frames if "interrupted" in content(m)]


async def test_no_interruption_leaves_the_answer_whole(scripted: Running) -> None:
    handling = {"activityHandling": "NO_INTERRUPTION"}
    opening = setup(SPOKEN, realtimeInputConfig=handling, **BOTH_TRANSCRIPTS)
    async with talking(scripted.socket_url, opening) as client:
        whole, following = await interrupt(client)
    assert "interrupted" not in [kind(m) for m in whole]
    # The space between two clauses is nobody's to say.
    assert hear(sound(whole), 24_000).replace(" ", "") == STORY.replace(" ", "")
    assert hear(sound(following), 24_000) == "stop now"


async def test_thoughts_come_before_the_answer_and_are_marked(scripted: Running) -> None:
    thinking = {**WRITTEN, "thinkingConfig": {"includeThoughts": True}}
    async with talking(scripted.socket_url, setup(thinking)) as client:
        await client.type("hi")
        turn = await client.turn()
    thought = [bool(part.get("thought")) for m in turn for part in parts(m)]
    assert thought == sorted(thought, reverse=True)
    assert thought[0]
    assert not thought[-1]


async def test_a_tool_call_comes_after_the_speech_before_it_and_nothing_after() -> None:
    lights = ToolCall(CallId(""), "turn_on_the_lights", {})

    def speak_and_call(request: GenerationRequest) -> Sequence[Step]:
        return [Speech(bytes(48_000), "One moment."), CallsRequested((lights,))]

    opening = setup(SPOKEN, tools=[LIGHTS], **BOTH_TRANSCRIPTS)
    async with on_a_socket(speak_and_call) as url, talking(url, opening) as client:
        await client.type("turn on the lights please")
        turn = await client.until(lambda m: "toolCall" in m)
        await client.nothing_for(0.5)
    assert [kind(m) for m in turn].count("toolCall") == 1
    assert transcript(turn, "output") == "One moment."
    assert len(sound(turn)) == 48_000
