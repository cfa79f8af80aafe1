"""What clients that were not let in can do to the server: nothing that others notice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import websockets

from serving import LIVE, MODEL, connected, live_url, serving, until
from vivavoce.server import Server

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
HEAD = (
    b"Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


async def ask(server: Server, request: bytes) -> bytes:
    """Everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection(*server.listener.address)
    writer.write(request)
    async with asyncio.timeout(8):
        answer = await reader.read()
    writer.close()
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


# --- paths, queries and heads ---------------------------------------------------------------------


@pytest.mark.parametrize("head", [b"", HEAD], ids=["HTTP", "WebSocket"])
@pytest.mark.parametrize(
    "path",
    [
        "/ws/google.ai.generativelanguage.v" + "1" * 3000 + "!",
        "/v" + "1" * 3000 + "!/models",
        "/" * 3000,
        "/ws" * 1000,
        "/v1beta/models/" + "a" * 3000,
    ],
)
async def test_a_long_path_is_refused(tmp_path: Path, path: str, head: bytes) -> None:
    async with serving(tmp_path) as server:
        head = head or b"Host: localhost\r\nConnection: close\r\n"
        answer = await ask(server, f"GET {path} HTTP/1.1\r\n".encode() + head + b"\r\n")
    assert status(answer) == 414
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == 414


async def test_a_query_of_many_fields_is_refused(tmp_path: Path) -> None:
    query = "?" + "a=1&" * 60
    async with serving(tmp_path, server__keys="k") as server:
        async with httpx2.AsyncClient(base_url=server.url(), trust_env=False) as web:
            answer = await web.get(f"/v1beta/models{query}key=k")
            assert answer.status_code == 400
            assert "more than 50 fields" in answer.json()["error"]["message"]
        async with connected(server, LIVE + query) as client:
            await client.send(setup={"model": MODEL})
            assert await client.closing() == (1007, "The query has more than 50 fields.")


async def test_a_long_query_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, server__keys="k") as server,
        httpx2.AsyncClient(base_url=server.url(), trust_env=False) as web,
    ):
        answer = await web.get(f"/v1beta/models?key=k&a={'b' * 5000}")
        assert answer.status_code == 400
        assert "longer than 4096 bytes" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (b"".join(b"a%d: b\r\n" % number for number in range(200)), 431),
        (b"A: " + b"b" * 9000 + b"\r\n", 431),
        (b"Content-Length: 5\r\n", 400),
        (b"Sec-WebSocket-Key: x\r\n", 400),
    ],
)
async def test_a_handshake_that_cannot_be_parsed_is_answered_and_closed(
    tmp_path: Path, extra: bytes, expected: int
) -> None:
    async with serving(tmp_path) as server:
        answer = await ask(
            server, b"GET " + LIVE.encode() + b" HTTP/1.1\r\n" + HEAD + extra + b"\r\n"
        )
        await until(lambda: server.listener.connections == 0)
    assert status(answer) == expected


KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"


@pytest.mark.parametrize(
    ("request_line", "lacking", "instead", "expected", "message"),
    [
        (b"GET %b HTTP/1.1\r\n", KEY, b"", 400, "missing Sec-WebSocket-Key header"),
        (b"GET %b HTTP/1.1\r\n", KEY, KEY + KEY, 400, "invalid Sec-WebSocket-Key header: multiple"),
        (
            b"GET %b HTTP/1.1\r\n",
            KEY,
            KEY[:24] + b"\r\n",
            400,
            "invalid Sec-WebSocket-Key header: ",
        ),
        (b"GET %b HTTP/1.1\r\n", VERSION, b"", 400, "missing Sec-WebSocket-Version header"),
        (b"POST %b HTTP/1.1\r\n", b"", b"", 405, "unsupported HTTP method: POST"),
    ],
)
async def test_a_handshake_that_is_none_is_answered_like_other_requests(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    request_line: bytes,
    lacking: bytes,
    instead: bytes,
    expected: int,
    message: str,
) -> None:
    caplog.set_level(logging.INFO)
    head = HEAD.replace(lacking, instead) if lacking else HEAD
    async with serving(tmp_path) as server:
        answer = await ask(server, request_line % LIVE.encode() + head + b"\r\n")
        await until(lambda: server.listener.connections == 0)
    assert status(answer) == expected
    error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert error["code"] == expected
    assert error["message"].startswith(message)
    assert [each.msg for each in caplog.records].count("upgrade refused") == 1


async def test_a_head_of_many_short_lines_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        answer = await ask(server, b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 5000)
    assert status(answer) == 431


@pytest.mark.parametrize(
    "path", ["interactions", "interactions/live", "interactions/v1/auth_tokens"]
)
async def test_live_interactions_are_answered_with_what_to_use_instead(
    tmp_path: Path, path: str
) -> None:
    async with serving(tmp_path) as server:
        async with httpx2.AsyncClient(base_url=server.url(), trust_env=False) as web:
            for method in ("GET", "POST"):
                answer = await web.request(method, f"/v1beta/{path}", json={})
                assert answer.status_code == 404
                assert "Live Interactions are not served" in answer.json()["error"]["message"]
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(live_url(server, f"/v1beta/{path}"))
        assert refused.value.response.status_code == 404
        assert b"Live Interactions are not served" in (refused.value.response.body or b"")


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/nowhere", "/v1beta/auth_tokens"])
async def test_a_body_in_tiny_chunks_ends_the_connection(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path, server__keys="k") as server:
        reader, writer = await asyncio.open_connection(*server.listener.address)
        head = (
            f"POST {path}?key=k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        writer.write(head.encode())
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(8):
                for _ in range(100):
                    writer.write(b"1\r\nx\r\n" * 10_000)
                    await writer.drain()
        answer = await reader.read()
        writer.close()
        await until(lambda: server.listener.connections == 0)
    assert status(answer) == (404 if path == "/nowhere" else 400)


async def test_a_large_body_that_is_not_wanted_closes_the_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        head = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n"
        answer = await ask(server, head + bytes(5_000_000))
    assert status(answer) == 404
    assert b"connection: close" in answer.lower()


async def test_a_small_body_that_is_not_wanted_keeps_the_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        reader, writer = await asyncio.open_connection(*server.listener.address)
        for _ in range(2):
            writer.write(
                b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n"
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert status(head) == 404
            assert b"connection: close" not in head.lower()
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            writer.write(bytes(5000))
        writer.close()


async def test_a_client_that_leaves_in_its_body_is_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as server:
        _, writer = await asyncio.open_connection(*server.listener.address)
        head = (
            b"POST /v1alpha/auth_tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n"
        )
        writer.write(head + b"half")
        await until(lambda: server.listener.tasks == 1)
        writer.close()
        await until(lambda: server.listener.tasks == 0)
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


# --- first messages -------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def upgraded(
    server: Server, extra: bytes = b"", query: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*server.listener.address)
    writer.write(b"GET " + LIVE.encode() + query + b" HTTP/1.1\r\n" + HEAD + extra + b"\r\n")
    assert status(await reader.readuntil(b"\r\n\r\n")) == 101
    yield reader, writer
    writer.close()


async def closed_after(
    server: Server, megabytes: int, extra: bytes = b"", query: bytes = b""
) -> int:
    """The code with which a first message is answered of which so much is sent, and not all."""
    async with upgraded(server, extra, query) as (reader, writer):
        writer.write(b"\x81\xff" + (31 * MIB).to_bytes(8) + bytes(4))
        async with asyncio.timeout(8):
            with contextlib.suppress(ConnectionError):
                for _ in range(megabytes):
                    writer.write(bytes(MIB))
                    await writer.drain()
            frame = await reader.read()
        return int.from_bytes(frame[2:4])


async def test_an_objection_is_sent_before_much_is_read(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        assert await closed_after(server, 3, b"Origin: https://evil.example\r\n") == 1008


async def test_without_a_credential_little_is_read(tmp_path: Path) -> None:
    async with serving(tmp_path, server__keys="k") as server:
        assert await closed_after(server, 3) == 1008
        assert await closed_after(server, 3, query=b"?key=wrong") == 1007


async def test_a_first_message_is_bounded_where_no_key_is_asked_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        assert await closed_after(server, 3) == 1009


PICTURE = {"inlineData": {"mimeType": "image/png", "data": "A" * 3_000_000}}


async def test_a_checked_key_lifts_the_bound(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, server__keys="k") as server,
        connected(server, f"{LIVE}?key=k") as client,
    ):
        assert "setupComplete" in await client.set_up(systemInstruction={"parts": [PICTURE]})


async def test_what_follows_the_first_message_may_be_large(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        await client.send(setup={"model": MODEL})
        turns = [{"role": "user", "parts": [PICTURE, {"text": "hello"}]}]
        await client.send(clientContent={"turns": turns, "turnComplete": True})
        assert "setupComplete" in await client.receive()
        assert "serverContent" in await client.receive()


@pytest.mark.parametrize(
    "frame",
    [b"\x00\x80" + bytes(4), b"\x89\x80" + bytes(4), b"\x8a\x80" + bytes(4)],
    ids=["fragments", "pings", "pongs"],
)
async def test_a_flood_of_frames_before_the_setup_is_closed(tmp_path: Path, frame: bytes) -> None:
    async with serving(tmp_path) as server, upgraded(server) as (reader, writer):
        writer.write(b"\x01\x81" + bytes(4) + b"a" + frame * 5000)
        async with asyncio.timeout(8):
            received = await reader.read()
        assert b"\x88\x11\x03\xf1message too big" in received


# --- closes and logs ------------------------------------------------------------------------------


async def test_an_empty_close_is_answered_with_1000(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        await client.set_up()
        client.socket.transport.write(b"\x88\x80" + bytes(4))
        await client.socket.wait_closed()
        received = client.socket.protocol.close_rcvd
    assert received is not None
    assert received.code == 1000


async def test_refusals_write_a_few_quiet_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(tmp_path) as server:
        for _ in range(15):
            with pytest.raises(websockets.InvalidStatus):
                await websockets.connect(live_url(server, "/ws/other"))
            async with upgraded(server) as (reader, writer):
                writer.write(b"\x81\x82" + bytes(4) + b"\xff\xfe")
                assert b"\x03\xefInvalid UTF-8" in await reader.read()
            await ask(server, b"no HTTP\r\n\r\n")
    lines = [each for each in caplog.records if each.levelno >= logging.INFO]
    assert not [each for each in lines if each.exc_info or each.levelno >= logging.ERROR]
    for sentence in (
        "upgrade refused",
        "text message is not UTF-8",
        "Invalid HTTP request received.",
    ):
        assert 1 <= sum(each.msg == sentence for each in lines) <= 10


WORDS = "my number is 555 1234"


@pytest.mark.parametrize(
    "message",
    [
        {"clientContent": WORDS},
        {"clientContent": {"turns": WORDS}},
        {"clientContent": {"turns": [{"role": "user", "parts": [{WORDS: WORDS}]}]}},
        {WORDS: {}},
        {"realtimeInput": {"audio": {"mimeType": WORDS, "data": ""}}},
        {"realtimeInput": {"text": [WORDS]}},
        {"toolResponse": {"functionResponses": WORDS}},
    ],
)
@pytest.mark.parametrize("strict", [False, True])
async def test_what_a_client_said_is_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, message: dict[str, object], strict: bool
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(tmp_path, server__strict=strict) as server, connected(server) as client:
        await client.set_up()
        await client.send(**message)
        await client.socket.close(1000, WORDS)
        await until(lambda: server.listener.tasks == 0)
    for record in caplog.records:
        fields = {name: value for name, value in vars(record).items() if name != "quoted"}
        assert WORDS not in str(fields), record.getMessage()
