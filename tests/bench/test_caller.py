"""A caller against scripted peers, whose timing is known."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from client.stub import READY, Peer, serving, spoken
from vivavoce.bench.caller import Caller, ConversationRecord
from vivavoce.bench.measure import ArrivalKind, measure_turns
from vivavoce.bench.scenario import parse_scenario, record_scenario
from vivavoce.client.messages import SessionClosed, SessionOptions
from vivavoce.client.session import ServerEndpoint, connect

pytestmark = pytest.mark.integration

COMPLETE = {"serverContent": {"turnComplete": True}}
INTERRUPTED = {"serverContent": {"interrupted": True}}
CALL = {"toolCall": {"functionCalls": [{"id": "1", "name": "lights", "args": {}}]}}


def sound(seconds: float) -> dict[str, object]:
    return spoken(np.full(round(24_000 * seconds), 9_000, "<i2").tobytes())


async def hold(
    script: Callable[[Peer], Awaitable[None]], steps: str, timeout_s: float = 5.0
) -> ConversationRecord:
    text = f"[[functions]]\nname='lights'\ndelay_s=0.05\n[[conversations]]\nsteps=[{steps}]"
    scenario = parse_scenario(text, "test")
    [recorded] = await record_scenario(scenario, Path(), tones=True)
    async with serving(script) as url, connect(ServerEndpoint(url), SessionOptions()) as session:
        caller = Caller(session, scenario.functions, timeout_s)
        try:
            await caller.hold_conversation(recorded)
        except SessionClosed:
            assert caller.record.spoken, "what was measured until then is kept"
            raise
    return caller.record


def loud(message: dict[str, object]) -> bool:
    blob = message["realtimeInput"]["audio"]["data"]  # type: ignore[index]
    return bool(np.frombuffer(base64.b64decode(blob), "<i2").any())


async def take_speech(peer: Peer, quiet: int = 3) -> None:
    """Take chunks until speech was followed by `quiet` chunks of silence."""
    heard, silent = False, 0
    while not heard or silent < quiet:
        message = await peer.take()
        if "realtimeInput" in message:
            speech = loud(message)
            heard, silent = heard or speech, 0 if speech else silent + 1


async def ready(peer: Peer) -> None:
    await peer.take()
    await peer.say(READY)


async def test_a_step_waits_until_the_reply_before_has_been_played() -> None:
    async def script(peer: Peer) -> None:
        await ready(peer)
        for _ in range(2):
            await take_speech(peer)
            await peer.say(sound(0.5), COMPLETE)
        await peer.gone()

    record = await hold(script, "{say='one'}, {say='two', pause_s=0.1}")
    first, second = measure_turns(record.spoken, record.arrivals)
    assert first.answered
    assert second.answered
    assert first.latency_s is not None
    assert first.latency_s >= 0.12, "three chunks of silence were heard before the reply"
    played = next(each.at for each in record.arrivals if each.kind is ArrivalKind.AUDIO) + 0.5
    assert record.spoken[1].onset_at >= played + 0.1


async def test_an_interruption_is_spoken_over_the_reply() -> None:
    async def script(peer: Peer) -> None:
        await ready(peer)
        await take_speech(peer)
        await peer.say(sound(5))
        while not loud(await peer.take()):
            pass
        await peer.say(INTERRUPTED, COMPLETE)
        await take_speech(peer)
        await peer.say(sound(0.1), COMPLETE)
        await peer.gone()

    record = await hold(script, "{say='one'}, {say='no, stop', during_reply_s=0.2}")
    first, second = measure_turns(record.spoken, record.arrivals)
    first_audio = next(each.at for each in record.arrivals if each.kind is ArrivalKind.AUDIO)
    assert record.spoken[1].onset_at >= first_audio + 0.2
    assert second.interrupted
    assert second.barge_in_s is not None
    assert second.barge_in_s >= 0.0
    assert second.answered
    assert second.stale_audio_s == 0
    assert first.reply_audio_s == pytest.approx(5.0)


async def test_a_reply_that_is_over_cannot_be_interrupted() -> None:
    async def script(peer: Peer) -> None:
        await ready(peer)
        await take_speech(peer)
        await peer.say(sound(0.1), COMPLETE)
        await peer.gone()

    record = await hold(script, "{say='one'}, {say='stop', during_reply_s=1.0}")
    assert len(record.spoken) == 1
    assert record.skipped == ["stop"]


async def test_functions_are_answered_after_their_delay() -> None:
    async def script(peer: Peer) -> None:
        await ready(peer)
        await take_speech(peer)
        loop = asyncio.get_running_loop()
        asked = loop.time()
        await peer.say(CALL)
        answer = await peer.take_until("toolResponse")
        assert loop.time() - asked >= 0.05
        assert answer["toolResponse"]["functionResponses"][0]["response"] == {"result": "ok"}
        await peer.say(sound(0.1), COMPLETE)
        await peer.gone()

    record = await hold(script, "{say='lights', expect='call'}")
    [turn] = measure_turns(record.spoken, record.arrivals)
    assert turn.call_s is not None
    assert turn.latency_s is not None
    assert turn.latency_s - turn.call_s >= 0.05


async def test_a_silent_server_is_waited_for_no_longer_than_asked() -> None:
    async def script(peer: Peer) -> None:
        await ready(peer)
        await peer.gone()

    record = await hold(script, "{say='one'}, {say='two'}", timeout_s=0.05)
    turns = measure_turns(record.spoken, record.arrivals)
    assert [turn.answered for turn in turns] == [False, False]


async def test_a_closed_session_ends_the_conversation() -> None:
    async def script(peer: Peer) -> None:
        await ready(peer)
        await take_speech(peer)
        await peer.close(1011, "out of order")

    with pytest.raises(SessionClosed, match="out of order"):
        await hold(script, "{say='one'}, {say='two'}")
