"""What raw clients can do to a server, each with its close code, and the server unharmed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator

import psutil
import pytest
import websockets

from e2e.bystander import MIB, TOO_BIG, unharmed
from serving import LIVE, MODEL, Client, connected, spoken, until
from vivavoce.engines.scripted import hear
from vivavoce.runtime import outbox
from vivavoce.server import Server

# --- odd frames -------------------------------------------------------------------------------


async def test_a_message_in_frames_of_one_byte_is_one_message(server: Server) -> None:
    async with unharmed(server), connected(server) as client:
        text = json.dumps({"setup": {"model": MODEL}})
        await client.socket.send(iter(text))
        assert "setupComplete" in await client.receive()


async def test_text_of_30_mb_is_too_much(server: Server) -> None:
    async with unharmed(server), connected(server) as client:
        await client.set_up()
        await client.socket.send("x" * 30_000_000)
        code, reason = await client.closing()

    assert (code, reason[:30]) == (TOO_BIG, "message too big: more than 1,0")


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


async def test_a_flood_of_tiny_fragments_is_too_big_and_delays_no_other_client(
    server: Server,
) -> None:
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
    monkeypatch.setattr(outbox, "STALL_TIMEOUT_S", 0.3)
    async with unharmed(server), connected(server, tls=tls) as client:
        await client.set_up()
        stop_reading(server, client)
        await client.say("a long answer " * 40)
        await until(lambda: len(server.sessions) == 0, 15)
        # Gone while it still reads nothing, with all that it was never going to read.
        await until(lambda: server.listener.connections == 0)
        client.socket.transport.abort()


def stop_reading(server: Server, client: Client) -> None:
    """The client reads no more, and the system's own buffers are small."""
    transport = client.socket.transport
    secured = getattr(transport, "_ssl_protocol", None)
    (secured._transport if secured else transport).pause_reading()
    for connection in server.listener._state.connections:
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


async def test_a_tls_client_that_does_not_trust_us_harms_no_other(server: Server) -> None:
    async with unharmed(server):
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                *server.listener.address, ssl=ssl.create_default_context()
            )


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
        reader, writer = await asyncio.open_connection(*server.listener.address)
        with contextlib.suppress(OSError):
            writer.write(request_)
            await writer.drain()
        got = b""
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(5):
                got = await reader.read()
        writer.close()
    assert got.startswith(answer)
