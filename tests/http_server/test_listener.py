"""The port: TLS and plain text told apart by the first byte, and the bounds of a request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from vivavoce.http import listener as edge_port
from vivavoce.http.certificates import CertificateAuthority, prepare_authority, server_context
from vivavoce.http.limits import ConnectionLimits
from vivavoce.http.listener import Listener

pytestmark = pytest.mark.integration


async def scheme(request: Request) -> Response:
    return PlainTextResponse(request.url.scheme)


async def swallow(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


APP = Starlette(
    routes=[
        Route("/", scheme),
        Route("/swallow", swallow, methods=["POST"]),
        WebSocketRoute("/echo", echo),
    ]
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return prepare_authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trust(authority: CertificateAuthority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.bundle))


@contextlib.asynccontextmanager
async def serving(
    authority: CertificateAuthority | None, limits: ConnectionLimits
) -> AsyncIterator[Listener]:
    tls = server_context(authority.certificate, authority.key) if authority else None
    port = Listener(APP, tls=tls, limits=limits)
    await port.start()
    try:
        yield port
    finally:
        await port.stop(grace_s=1.0)


@pytest.fixture
async def port(authority: CertificateAuthority) -> AsyncIterator[Listener]:
    async with serving(
        authority, ConnectionLimits(handshake_s=0.3, max_head_bytes=4096)
    ) as running:
        yield running


async def ask(
    port: Listener, request: bytes, tls: ssl.SSLContext | None = None, wait_s: float = 5.0
) -> bytes:
    """Everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection(*port.address, ssl=tls)
    try:
        writer.write(request)
        async with asyncio.timeout(wait_s):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def test_one_port_answers_plain_text_and_tls(port: Listener, trust: ssl.SSLContext) -> None:
    plain = await ask(port, GET)
    secure = await ask(port, GET, tls=trust)

    assert plain.endswith(b"http")
    assert secure.endswith(b"https")


async def test_one_port_takes_both_kinds_of_websocket(
    port: Listener, trust: ssl.SSLContext
) -> None:
    host, number = port.address
    for url, context in (
        (f"ws://{host}:{number}/echo", None),
        (f"wss://{host}:{number}/echo", trust),
    ):
        async with websockets.connect(url, ssl=context) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
            assert client.protocol.extensions == []


async def test_the_first_byte_may_come_alone(port: Listener) -> None:
    reader, writer = await asyncio.open_connection(*port.address)
    for byte in GET:
        writer.write(bytes((byte,)))
        await writer.drain()
    answer = await reader.read()
    writer.close()

    assert answer.endswith(b"http")


async def test_frames_in_one_packet_with_the_request_are_not_lost(port: Listener) -> None:
    request = (
        b"GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    hello = b"\x81\x85\x00\x00\x00\x00hello"

    reader, writer = await asyncio.open_connection(*port.address)
    writer.write(request + hello)

    assert b"101 Switching Protocols" in await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(7) == b"\x81\x05hello"
    writer.close()


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"\x16",
        b"\x16\x03\x01\x02\x00",
        b"GET / HT",
        b"POST /swallow HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nten bytes.",
    ],
    ids=["nothing", "one TLS byte", "half a TLS record", "half a request line", "half a body"],
)
async def test_a_request_that_does_not_arrive_is_given_up(port: Listener, begun: bytes) -> None:
    await ask(port, begun, wait_s=3.0)

    await wait_until_idle(port)


async def test_a_slow_second_request_is_given_up_too(port: Listener) -> None:
    reader, writer = await asyncio.open_connection(*port.address)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"http")
    writer.write(b"GET / HT")
    async with asyncio.timeout(3.0):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()

    await wait_until_idle(port)


async def test_a_body_that_a_request_behind_another_announced_is_waited_for_as_long(
    port: Listener,
) -> None:
    answered = GET.replace(b"Connection: close\r\n", b"")
    announced = b"POST /swallow HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"

    answer = await ask(port, answered + announced)

    assert answer.count(b"HTTP/1.1 ") == 1


async def test_a_flood_of_headers_is_refused_with_431(port: Listener) -> None:
    answer = await ask(port, b"GET / HTTP/1.1\r\n" + b"X-Filler: yes\r\n" * 2000)

    assert answer.startswith(b"HTTP/1.1 431")
    assert b"application/json" in answer


async def test_a_malformed_request_is_refused_with_400(port: Listener) -> None:
    answer = await ask(port, b"this is not HTTP\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"code":400' in answer


async def test_tls_is_hung_up_on_where_it_is_off() -> None:
    async with serving(None, ConnectionLimits()) as port:
        assert await ask(port, b"\x16\x03\x01") == b""
        assert (await ask(port, GET)).endswith(b"http")


async def test_a_silent_connection_is_closed_for_a_new_one_when_slots_are_short() -> None:
    async with serving(None, ConnectionLimits(max_connections=2)) as port:
        held = [await asyncio.open_connection(*port.address) for _ in range(2)]
        await until(lambda: port.connections == 2)
        assert (await ask(port, GET)).endswith(b"http")
        assert await held[0][0].read() == b""
        assert not held[1][0].at_eof()
        for _, writer in held:
            writer.close()


async def test_a_connection_is_refused_when_admitted_ones_hold_all_slots() -> None:
    async with serving(None, ConnectionLimits(max_connections=2)) as port:
        url = "ws://{}:{}/echo".format(*port.address)
        async with websockets.connect(url), websockets.connect(url):
            assert await ask(port, GET) == b""
        await wait_until_idle(port)
        assert (await ask(port, GET)).endswith(b"http")


async def test_a_client_that_still_writes_can_read_why_its_message_was_refused() -> None:
    async with serving(None, ConnectionLimits(max_message_bytes=1000)) as port:
        host, number = port.address
        async with websockets.connect(f"ws://{host}:{number}/echo") as client:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await write_on(client)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1009, "message too big")


async def test_nagle_is_off(port: Listener) -> None:
    reader, writer = await asyncio.open_connection(*port.address)
    writer.write(b"G")
    await until(lambda: bool(port._state.connections))
    (connection,) = port._state.connections
    server_side = connection.transport.get_extra_info("socket")

    assert server_side.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    writer.close()
    await reader.read()


async def test_stopping_ends_open_connections_and_frees_the_port(
    authority: CertificateAuthority,
) -> None:
    port = Listener(APP)
    await port.start()
    host, number = port.address
    async with websockets.connect(f"ws://{host}:{number}/echo") as client:
        await client.send("hello")
        await client.recv()
        await port.stop(grace_s=1.0)
        with pytest.raises(websockets.ConnectionClosed):
            await client.recv()
    assert port.connections == 0
    again = Listener(APP, port=number)
    await again.start()
    await again.stop()


async def test_stopping_waits_for_no_client_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_port, "CANCEL_S", 0.05)
    over = asyncio.Event()

    async def stubborn(scope: Any, receive: Any, send: Any) -> None:
        while not over.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await over.wait()

    port = Listener(stubborn)
    await port.start()
    _, writer = await asyncio.open_connection(*port.address)
    writer.write(GET)
    await until(lambda: port.tasks == 1)
    stopping = asyncio.ensure_future(port.stop(grace_s=0.05))
    done, _ = await asyncio.wait({stopping}, timeout=2)
    over.set()
    assert done
    await until(lambda: port.tasks == 0)
    writer.close()


async def test_a_port_in_use_is_an_error(port: Listener) -> None:
    with pytest.raises(OSError, match="in use"):
        await Listener(APP, port=port.address[1]).start()


async def test_every_address_of_a_name_is_served() -> None:
    port = Listener(APP, host="localhost")
    await port.start()
    try:
        numbers = {each.getsockname()[1] for each in port._listeners}
        assert len(numbers) == 1
    finally:
        await port.stop()


async def write_on(client: websockets.ClientConnection) -> None:
    for _ in range(200):
        await client.send("x" * 100_000)


async def wait_until_idle(port: Listener) -> None:
    await until(lambda: port.connections == 0)


async def until(condition: object, wait_s: float = 3.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(wait_s):
        while not condition():  # noqa: ASYNC110 (there is nothing to be told by)
            await asyncio.sleep(0.01)


async def test_a_connection_that_waits_when_the_port_is_given_up_is_still_served() -> None:
    port = Listener(APP)
    await port.start()
    host, number = port.address
    # The system accepts it; our own loop has no turn before it is told to listen no more.
    with socket.create_connection((host, number)) as client:
        await port.stop_accepting()
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, GET)
        async with asyncio.timeout(5):
            assert b"200 OK" in await loop.sock_recv(client, 65536)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, number)).close()
    await port.stop()


async def test_one_port_is_handed_from_one_server_to_another() -> None:
    first = Listener(APP, shared=True)
    await first.start()
    host, number = first.address
    second = Listener(APP, host, number, shared=True)
    await second.start()
    try:
        await first.stop_accepting()
        for _ in range(20):
            assert (await ask(second, GET)).endswith(b"http")
    finally:
        await first.stop()
        await second.stop()


async def test_a_port_is_exclusive_unless_it_is_shared() -> None:
    first = Listener(APP)
    await first.start()
    with pytest.raises(OSError, match="in use"):
        await Listener(APP, *first.address).start()
    await first.stop()
