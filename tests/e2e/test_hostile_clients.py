"""What raw clients can do to a server, each with its close code, and the server unharmed.

Every test ends with `unharmed`: another client holds an ordinary conversation, and afterwards
no session, connection or task is left over.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import websockets

from serving import LIVE, MODEL, Client, Json, connected, serving, spoken, until
from vivavoce.engines.scripted import hear
from vivavoce.runtime import outbox
from vivavoce.wiring import Server

MIB = 1024 * 1024
INVALID, POLICY, TOO_BIG, INTERNAL = 1007, 1008, 1009, 1011


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path, server__handshake_s=0.5) as running:
        yield running


@contextlib.asynccontextmanager
async def unharmed(server: Server) -> AsyncIterator[None]:
    """Whatever the block does, the server serves others during and after it, and forgets it."""
    await converse(server)
    await until(lambda: server.port.connections == 0 and len(server.sessions) == 0)
    before = len(asyncio.all_tasks())
    yield
    await converse(server)
    await until(lambda: server.port.connections == 0 and server.port.tasks == 0, 15)
    assert len(server.sessions) == 0
    await until(lambda: len(asyncio.all_tasks()) <= before)


async def converse(server: Server) -> None:
    async with connected(server) as client:
        assert "setupComplete" in await client.set_up()
        await client.say("hi")
        assert hear(spoken(await client.turn()), 24_000) == "hi"


def audio(pcm: bytes, **more: Any) -> Json:
    data = base64.b64encode(pcm).decode()
    return {"realtimeInput": {"audio": {"data": data, "mimeType": "audio/pcm;rate=16000", **more}}}


# --- the first message ------------------------------------------------------------------------

FIRST: dict[str, tuple[Any, int, str]] = {
    "not JSON": ("hello", INVALID, "Invalid JSON payload received"),
    "an array": ("[1, 2]", INVALID, "Invalid JSON payload received"),
    "an empty object": ("{}", INVALID, "Request contains an invalid argument."),
    "an empty frame": ("", INVALID, "Invalid JSON payload received"),
    "bytes that are no text": (b"\xff\xfe\x00", INVALID, "Invalid JSON payload received"),
    "content before the setup": ({"clientContent": {}}, INVALID, "Request contains an invalid"),
    "sound before the setup": (audio(bytes(64)), INVALID, "Request contains an invalid"),
    "a setup that is a number": ({"setup": 7}, INVALID, ""),
    "a setup without a model": ({"setup": {}}, INVALID, "model"),
    "a model that is a list": ({"setup": {"model": ["x"]}}, INVALID, "setup.model"),
    "tools that are a number": ({"setup": {"model": MODEL, "tools": 3}}, INVALID, "setup.tools"),
    "two modalities": (
        {"setup": {"model": MODEL, "generationConfig": {"responseModalities": ["TEXT", "AUDIO"]}}},
        INVALID,
        "The requested combination of response modalities (TEXT, AUDIO)",
    ),
    "a handle of no session": (
        {"setup": {"model": MODEL, "sessionResumption": {"handle": "h"}}},
        POLICY,
        "BidiGenerateContent session not found",
    ),
    "JSON without end": ('{"setup":' * 5000, INVALID, "Invalid JSON payload received"),
}


@pytest.mark.parametrize("name", FIRST)
async def test_a_bad_first_message_is_refused_with_its_sentence(server: Server, name: str) -> None:
    frame, code, reason = FIRST[name]
    async with unharmed(server), connected(server) as client:
        await client.socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)
        closed = await client.closing()

    assert closed[0] == code
    assert reason in closed[1]
    assert len(closed[1].encode()) <= 123


async def test_a_client_that_says_nothing_is_let_go_with_a_deadline(server: Server) -> None:
    async with unharmed(server), connected(server) as client:
        code, reason = await client.closing()

    assert (code, "DEADLINE_EXCEEDED" in reason) == (INTERNAL, True)


async def test_an_unknown_model_is_refused_by_name(tmp_path: Path) -> None:
    name = MODEL.removeprefix("models/")
    async with serving(tmp_path, f'[models]\n"{name}" = "scripted"', profile=None) as server:
        async with connected(server) as client:
            await client.send(setup={"model": "models/gemini-unknown"})
            code, reason = await client.closing()
        await converse(server)

    assert code == POLICY
    assert reason.startswith("models/gemini-unknown is not found for API version v1beta, or is not")


async def test_an_unknown_field_is_refused_when_strict(tmp_path: Path) -> None:
    async with serving(tmp_path, server__strict=True) as server:
        async with connected(server) as client:
            await client.send(setup={"model": MODEL, "generationConfig": {"colour": "red"}})
            closed = await client.closing()
        await converse(server)
    assert closed == (
        INVALID,
        'Invalid JSON payload received. Unknown name "colour" at '
        "'setup.generation_config': Cannot find field.",
    )


async def test_an_unknown_field_is_passed_over_when_lenient(server: Server) -> None:
    async with unharmed(server), connected(server) as client:
        assert "setupComplete" in await client.set_up(generationConfig={"colour": "red"}, x=1)


# --- later messages ---------------------------------------------------------------------------

LATER: dict[str, tuple[Any, int, str]] = {
    "a second setup": ({"setup": {"model": MODEL}}, INVALID, "Request contains an invalid"),
    "not JSON": ("{", INVALID, "Invalid JSON payload received"),
    "a string": ('"hello"', INVALID, "Invalid JSON payload received"),
    "turns that are a number": ({"clientContent": {"turns": 5}}, INVALID, "client_content"),
    "sound that is a number": ({"realtimeInput": {"audio": {"data": 5}}}, INVALID, ""),
    "base64 that is none": (
        {"realtimeInput": {"audio": {"data": "!!!!", "mimeType": "audio/pcm"}}},
        INVALID,
        "",
    ),
    "sound of an unknown kind": (audio(bytes(4), mimeType="audio/opus"), INVALID, "audio/opus"),
}


@pytest.mark.parametrize("name", LATER)
async def test_a_bad_later_message_is_refused_with_its_sentence(server: Server, name: str) -> None:
    frame, code, reason = LATER[name]
    async with unharmed(server), connected(server) as client:
        await client.set_up()
        await client.socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)
        closed = await client.closing()

    assert closed[0] == code
    assert reason in closed[1]


# --- odd sound --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 3, 639])
async def test_odd_and_empty_sound_is_no_fault(server: Server, size: int) -> None:
    async with unharmed(server), connected(server) as client:
        await client.set_up()
        for _ in range(50):
            await client.send(**audio(bytes(size)))
        await client.say("hi")
        assert hear(spoken(await client.turn()), 24_000) == "hi"


async def test_sound_a_byte_at_a_time_is_heard_whole(server: Server) -> None:
    from vivavoce.engines.scripted import say

    pcm = say("go", 16_000)
    async with unharmed(server), connected(server) as client:
        await client.set_up(inputAudioTranscription={})
        for at in range(len(pcm)):
            await client.send(**audio(pcm[at : at + 1]))
        await client.send(realtimeInput={"audioStreamEnd": True})
        messages = await client.turn()

    heard = [m["serverContent"].get("inputTranscription") for m in messages if "serverContent" in m]
    assert [each["text"] for each in heard if each] == ["go"]


async def test_minutes_of_silence_sent_at_once_cost_no_memory(server: Server) -> None:
    chunk = json.dumps(audio(bytes(3200)))
    async with unharmed(server), connected(server) as client:
        await client.set_up()
        before = psutil.Process().memory_info().rss
        for _ in range(1800):  # three minutes
            await client.socket.send(chunk)
        await client.say("hi")
        assert hear(spoken(await client.turn()), 24_000) == "hi"
        grown = psutil.Process().memory_info().rss - before

    assert grown < 32 * MIB


# --- odd frames -------------------------------------------------------------------------------


async def test_a_message_in_frames_of_one_byte_is_one_message(server: Server) -> None:
    async with unharmed(server), connected(server) as client:
        text = json.dumps({"setup": {"model": MODEL}})
        await client.socket.send(iter(text))
        assert "setupComplete" in await client.receive()


async def test_a_message_of_30_mb_is_read_and_judged(server: Server) -> None:
    async with unharmed(server), connected(server) as client:
        await client.set_up()
        await client.socket.send("x" * 30_000_000)
        code, reason = await client.closing()

    assert (code, reason[:30]) == (INVALID, "Invalid JSON payload received.")


@pytest.mark.parametrize("tls", [False, True])
async def test_a_message_beyond_the_limit_is_too_big(server: Server, tls: bool) -> None:
    async with unharmed(server), connected(server, tls=tls) as client:
        await client.set_up()
        with contextlib.suppress(websockets.ConnectionClosed):
            await client.socket.send("x" * 34 * MIB)
        code, _ = await client.closing()

    assert code == TOO_BIG


async def test_endless_fragments_are_too_big_and_cost_bounded_memory(server: Server) -> None:
    async def forever() -> AsyncIterator[str]:
        while True:
            yield "x" * 100_000

    async with unharmed(server), connected(server) as client:
        before = psutil.Process().memory_info().rss
        with contextlib.suppress(websockets.ConnectionClosed):
            await client.socket.send(forever())
        code, _ = await client.closing()
        grown = psutil.Process().memory_info().rss - before

    assert code == TOO_BIG
    assert grown < 80 * MIB


async def test_a_flood_of_tiny_fragments_is_too_big_and_holds_nobody_up(server: Server) -> None:
    first, more = b"\x01\x81\x00\x00\x00\x00x", b"\x00\x81\x00\x00\x00\x00x"
    async with unharmed(server), connected(server) as client, connected(server) as other:
        await client.set_up()
        await other.set_up()
        before = psutil.Process().memory_info().rss
        client.socket.transport.write(first + more * 70_000)
        await other.say("hi")
        assert hear(spoken(await other.turn()), 24_000) == "hi"
        code, _ = await client.closing()
        grown = psutil.Process().memory_info().rss - before

    assert code == TOO_BIG
    assert grown < 32 * MIB


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x05hello", 1002),
        (b"\xc1\x85\x00\x00\x00\x00hello", 1002),
        (b"\x83\x85\x00\x00\x00\x00hello", 1002),
        (b"\x80\x85\x00\x00\x00\x00hello", 1002),
        (b"\x81\x82\x00\x00\x00\x00\xff\xff", 1007),
        (b"\x82\xff\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00", TOO_BIG),
        (b"\x89\xfe\x00\x7e\x00\x00\x00\x00" + bytes(126), 1002),
    ],
    ids=["unmasked", "reserved bit", "unknown opcode", "stray continuation", "bad UTF-8",
         "announces a gigabyte", "long ping"],
)  # fmt: skip
async def test_frames_that_break_rfc_6455_are_closed_with_its_codes(
    server: Server, frame: bytes, code: int
) -> None:
    async with unharmed(server), connected(server) as client:
        await client.set_up()
        client.socket.transport.write(frame)
        assert (await client.closing())[0] == code


# --- clients that stop ------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
async def test_a_client_that_never_reads_is_given_up(
    server: Server, monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    monkeypatch.setattr(outbox, "PATIENCE_S", 0.3)
    async with unharmed(server), connected(server, tls=tls) as client:
        await client.set_up()
        stop_reading(server, client)
        await client.say("a long answer " * 40)
        await until(lambda: len(server.sessions) == 0, 15)
        # Gone while it still reads nothing, with all that it was never going to read.
        await until(lambda: server.port.connections == 0)
        client.socket.transport.abort()


def stop_reading(server: Server, client: Client) -> None:
    """The client reads no more, and the system's own buffers are small."""
    transport = client.socket.transport
    secured = getattr(transport, "_ssl_protocol", None)
    (secured._transport if secured else transport).pause_reading()
    for connection in server.port._state.connections:
        theirs = connection.transport.get_extra_info("socket")
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("how", ["abort", "close"])
async def test_a_client_that_vanishes_in_mid_turn(server: Server, how: str, tls: bool) -> None:
    async with unharmed(server), connected(server, tls=tls) as client:
        await client.set_up()
        await client.say("a long answer " * 20)
        await client.receive()
        getattr(client.socket.transport, how)()


async def test_a_tls_client_that_does_not_trust_us_harms_nobody(server: Server) -> None:
    async with unharmed(server):
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(*server.port.address, ssl=ssl.create_default_context())


async def test_a_hundred_clients_that_vanish_at_once(server: Server) -> None:
    async def come_and_go() -> None:
        async with connected(server) as client:
            await client.set_up()
            await client.say("never heard")
            client.socket.transport.abort()

    async with unharmed(server):
        await asyncio.gather(*(come_and_go() for _ in range(100)))
        # As many as are admitted: one more would be told so until the first are forgotten.
        await until(lambda: len(server.sessions) < 100)


# --- the request ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"GET /ws/goog", b""),
        (b"GET " + LIVE.encode() + b" HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, b"HTTP/1.1 431"),
        (b"GET /" + b"x" * 100_000, b"HTTP/1.1 431"),
        (b"\x00\x01\x02\r\n\r\n", b"HTTP/1.1 400"),
        (
            b"GET " + LIVE.encode() + b" HTTP/1.1\r\nHost: x\r\n"
            b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            b"HTTP/1.1 400",
        ),
    ],
    ids=["half a request line", "header flood", "endless path", "garbage", "half a handshake"],
)  # fmt: skip
async def test_requests_that_are_none(server: Server, request_: bytes, answer: bytes) -> None:
    async with unharmed(server):
        reader, writer = await asyncio.open_connection(*server.port.address)
        with contextlib.suppress(OSError):
            writer.write(request_)
            await writer.drain()
        got = b""
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(5):
                got = await reader.read()
        writer.close()
    assert got.startswith(answer)


# --- engines that misbehave -------------------------------------------------------------------


def unruly(kind: str) -> str:
    return (
        'models = { "*" = "unruly" }\n[profiles.unruly]\ndetector = "energy"\n'
        f'recognizer = "tones"\nresponder = "unruly:{kind}"\n'
    )


@pytest.mark.parametrize("kind", ["failing", "breaking", "hanging", "stubborn"])
async def test_an_engine_that_misbehaves_ends_its_turn_and_nothing_else(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    flags = {"profile": None, "session__engine_silence_s": 0.3}
    async with serving(tmp_path, unruly(kind), **flags) as server, connected(server) as client:
        await client.set_up()
        await client.say("misbehave")
        ended = await client.turn()
        await client.say("and now properly")
        assert len(spoken(await client.turn())) == 24_000
    assert not any("interrupted" in message.get("serverContent", {}) for message in ended)


@pytest.mark.parametrize("kind", ["hanging", "stubborn"])
async def test_an_engine_that_ignores_cancellation_is_not_heard_again(
    tmp_path: Path, kind: str
) -> None:
    async with serving(tmp_path, unruly(kind), profile=None) as server:
        async with connected(server) as client:
            await client.set_up()
            await client.say("misbehave")
            await asyncio.sleep(0.1)
            await client.say("and now properly")
            first, second = await client.turn(), await client.turn()
        assert any("interrupted" in message.get("serverContent", {}) for message in first)
        assert len(spoken(second)) == 24_000
        await until(lambda: len(server.sessions) == 0)
