"""One connection in virtual time, with clients of every kind."""

from __future__ import annotations

import asyncio

import pytest

from runtime.clients import HELLO, SETUP, SILENCE, echo, hold, kinds, played, speech, stream, talks
from support.host_rig import Client, Hang, open_connection
from vivavoce.core.events import ActivityEnded, AudioStreamEnded, TextReceived
from vivavoce.core.lifetime import CloseReason
from vivavoce.core.messages import (
    GoAway,
    InputTranscript,
    ModelAudio,
    OutputTranscript,
    SetupComplete,
    TurnComplete,
)
from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE, AudioChunk, VideoFrame
from vivavoce.engines.scripted import hear, say
from vivavoce.runtime.outbox import SLOW_CLIENT, STALL_TIMEOUT_S
from vivavoce.runtime.rate_limit import RateLimits
from vivavoce.testing.virtual_loop import run_virtually


def test_ten_seconds_in_one_message_are_heard_in_their_own_time() -> None:
    async def burst(client: Client) -> None:
        client.say(AudioChunk(SILENCE * 3 + HELLO + SILENCE * 3 + say("again", INPUT_RATE)))
        client.say(AudioChunk(SILENCE * 2))
        await client.until(InputTranscript, 2)

    client = played(burst, echo())
    transcripts = [m.text for m in client.messages if isinstance(m, InputTranscript)]
    assert transcripts == ["hello world", " again"], "the user goes on"


def test_a_long_message_does_not_keep_others_from_their_turn() -> None:
    async def burst() -> None:
        client = Client()
        connection = open_connection(client, echo(), SETUP)
        running = asyncio.ensure_future(connection.run())
        client.say(AudioChunk(SILENCE * 60))
        turns = 0
        while connection._input._audio.position < 60 * INPUT_RATE:
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 100
        client.leave()
        await running

    run_virtually(burst())


@pytest.mark.long
def test_one_byte_frames_are_heard() -> None:
    async def drip(client: Client) -> None:
        pcm = say("hi", INPUT_RATE) + bytes(INPUT_RATE)
        for at in range(len(pcm)):
            client.say(AudioChunk(pcm[at : at + 1]))
        client.say(AudioStreamEnded(0))
        await client.until(TurnComplete)

    client = played(drip, echo(), rates=RateLimits(messages_per_s=0))
    assert hear(client.pcm, OUTPUT_RATE) == "hi"


def test_a_flood_of_messages_does_not_keep_others_from_their_turn() -> None:
    async def flood() -> None:
        client = Client()
        connection = open_connection(
            client, talks(), SETUP, rates=RateLimits(messages_per_s=0, loop_share=0)
        )
        running = asyncio.ensure_future(connection.run())
        await client.until(SetupComplete)
        for _ in range(2_000):
            client.say(VideoFrame(b"", "image/png"), ActivityEnded(0))
        client.leave()
        turns = 0
        while not running.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 2_000

    run_virtually(flood())


def test_minutes_of_silence_mean_nothing_and_hold_nothing() -> None:
    async def be_silent() -> None:
        client = Client()
        connection = open_connection(client, echo(), SETUP)
        running = asyncio.ensure_future(connection.run())
        await stream(client, SILENCE * 180)
        held = connection._input._audio
        assert held.position - held.oldest < 3 * INPUT_RATE
        assert kinds(client) == [SetupComplete]
        client.leave()
        await running

    run_virtually(be_silent())


def test_a_client_that_never_reads_is_closed() -> None:
    async def never_read(client: Client) -> None:
        await client.until(SetupComplete)
        client.stop_reading()
        client.say(TextReceived("hello"))
        await asyncio.sleep(STALL_TIMEOUT_S + 1)

    client, ending = run_virtually(hold(never_read, talks(speech(60.0))))
    assert (ending.code, ending.reason) == (1008, SLOW_CLIENT)
    assert client.closed == (1008, SLOW_CLIENT)


def test_a_slow_client_slows_the_engine_and_loses_nothing() -> None:
    async def read_slowly(client: Client) -> None:
        client.read_s = 0.2
        client.say(TextReceived("hello"))
        await client.until(TurnComplete)

    client = played(read_slowly, talks(*[speech(1.0, f" {n}") for n in range(40)]))
    assert len(client.pcm) == 40 * OUTPUT_RATE * 2
    words = "".join(m.text for m in client.messages if isinstance(m, OutputTranscript))
    assert words.split() == [str(n) for n in range(40)]


def test_a_client_that_vanishes_in_mid_turn_leaves_nothing_behind() -> None:
    responder = talks(speech(1.0), Hang())

    async def vanish(client: Client) -> None:
        client.say(TextReceived("hello"))
        await client.until(ModelAudio)

    client, ending = run_virtually(hold(vanish, responder))
    assert ending.by_client
    assert responder.cancelled == 1
    assert responder.released == ["session-1"]
    assert client.closed is None


def test_a_client_that_breaks_the_protocol_is_closed_with_the_faults_own_words() -> None:
    responder = talks(speech(1.0), Hang())

    async def misbehave(client: Client) -> None:
        client.say(TextReceived("hello"))
        await client.until(ModelAudio)
        client.misbehave(1007, "Request contains an invalid argument.")
        await asyncio.sleep(1)

    client, ending = run_virtually(hold(misbehave, responder))
    assert client.closed == (1007, "Request contains an invalid argument.")
    assert not ending.by_client
    assert responder.released == ["session-1"]


def test_an_oversized_video_frame_is_the_clients_fault() -> None:
    async def show(client: Client) -> None:
        client.say(VideoFrame(bytes(9 * 2**20), "image/png"))
        await asyncio.sleep(1)

    client = played(show, echo())
    assert client.closed is not None
    assert client.closed[0] == 1007


def test_a_draining_server_says_so_and_closes_in_time() -> None:
    async def drained() -> Client:
        client = Client()
        connection = open_connection(client, talks(speech(60.0)), SETUP)
        running = asyncio.ensure_future(connection.run())
        client.say(TextReceived("good morning"))
        await client.until(ModelAudio)
        connection.schedule_close(CloseReason.DRAIN, 5.0)
        await running
        assert asyncio.get_running_loop().time() == pytest.approx(5.0, abs=0.1)
        return client

    client = run_virtually(drained())
    assert GoAway(5.0) in client.messages
    assert client.closed is not None
