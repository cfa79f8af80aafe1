"""Accept TLS and plain HTTP connections on one port, and shut down gracefully.

The Python SDK can only dial TLS, the JavaScript SDK with an `http:` base URL only plain text,
and both use the same address. So every connection's first byte is peeked at: 0x16 begins a TLS
record, anything else is HTTP. Then the socket goes to uvicorn's protocols as if they had accepted
it.

What one connection may take is bounded here and in `uvicorn_protocols.py`:

- a connection that sends nothing, or does not finish its TLS handshake, its request's head or
  its body within `handshake_s`, is closed;
- a head larger than `max_head_bytes` is refused with 431, a malformed one with 400;
- `limits.py` decides which connection is closed when there are many.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from vivavoce.http.bounded_protocol import LINGER_S
from vivavoce.http.limits import ConnectionLimiter, ConnectionLimits, ConnectionSlot, refusals
from vivavoce.http.uvicorn_protocols import HttpConnection
from vivavoce.runtime.event_loop import idle_turn

TLS_RECORD = 0x16

CANCEL_S = 2.0
"""Timeout for a cancelled task to end, before it is abandoned."""

log = logging.getLogger("vivavoce.port")

App = Callable[..., Any]


class Listener:
    """Listener of one server. `start` binds, `stop` ends every connection.

    `shared`: other processes may listen on the same port, and one may take over from another.
    """

    def __init__(
        self,
        app: App,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        limits: ConnectionLimits | None = None,
        shared: bool = False,
    ) -> None:
        self.limits = limits or ConnectionLimits()
        self._host, self._wanted_port, self._tls, self._shared = host, port, tls, shared
        self._config = uvicorn.Config(
            app,
            http="h11",
            ws="websockets-sansio",
            ws_max_size=self.limits.max_message_bytes,
            ws_ping_interval=20.0,
            ws_ping_timeout=20.0,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            log_level="warning",  # at "info" it writes whole URLs, and keys travel in them
            access_log=False,
            server_header=False,
            proxy_headers=False,
            interface="asgi3",
            h11_max_incomplete_event_size=self.limits.max_head_bytes,
        )
        self._state = ServerState()
        self._slots = ConnectionLimiter(self.limits)
        self._listeners: list[socket.socket] = []
        self._address = (host, port)
        self._accepting: list[asyncio.Task[None]] = []
        self._arriving: set[asyncio.Task[bool]] = set()

    @property
    def address(self) -> tuple[str, int]:
        """Bound address, with the real port if 0 was configured."""
        return self._address

    @property
    def connections(self) -> int:
        """Number of open connections, including those in a handshake."""
        return len(self._state.connections) + len(self._arriving)

    @property
    def tasks(self) -> int:
        """Number of requests and WebSockets being served."""
        return len(self._state.tasks)

    async def start(self) -> None:
        """Bind and listen. Raises `OSError` when the address cannot be had."""
        if not self._config.loaded:
            self._config.load()
        self._listeners = await _bind(self._host, self._wanted_port, self._shared)
        host, port = self._listeners[0].getsockname()[:2]
        self._address = (str(host), int(port))
        loop = asyncio.get_running_loop()
        self._accepting = [
            loop.create_task(self._accept(each), name="accept") for each in self._listeners
        ]

    async def stop_accepting(self) -> None:
        """Stop accepting connections; open ones go on.

        Those in the backlog are accepted first: the system would reset them with the listener.
        """
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        self._accepting = []
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                while True:
                    self._arrived(*listener.accept())
            listener.close()
        self._listeners = []

    async def stop(self, grace_s: float = 5.0) -> None:
        """Stop listening, ask every connection to end, and abort those that do not in time."""
        await self.stop_accepting()
        for arriving in tuple(self._arriving):
            arriving.cancel()
        await asyncio.gather(*self._arriving, return_exceptions=True)
        for connection in tuple(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            _, late = await asyncio.wait(self._state.tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            if late:  # an engine may swallow cancellation
                await asyncio.wait(late, timeout=CANCEL_S)
        for connection in tuple(self._state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # lets the aborted transports report their end

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                arrived = await loop.sock_accept(listener)
            except OSError as error:
                # Out of descriptors, or the peer has gone: neither ends the server.
                refusals.warning("accept failed", extra={"problem": str(error)})
                await asyncio.sleep(0.1)
                continue
            self._arrived(*arrived)

    def _arrived(self, connection: socket.socket, address: Any) -> None:
        slot = self._slots.acquire(str(address[0]))
        if slot is None:
            refusals.warning("connection refused: all slots are taken")
            connection.close()
            return
        work = self._hand_over(connection, slot)
        task = asyncio.get_running_loop().create_task(work, name="arrive")
        slot.attach(task.cancel)
        self._arriving.add(task)
        task.add_done_callback(partial(self._handed_over, connection, slot))

    def _handed_over(
        self, connection: socket.socket, slot: ConnectionSlot, task: asyncio.Task[bool]
    ) -> None:
        self._arriving.discard(task)
        if task.cancelled() or task.exception() is not None or not task.result():
            connection.close()
            slot.release()

    async def _hand_over(self, connection: socket.socket, slot: ConnectionSlot) -> bool:
        """Peek at the first byte and hand the socket to uvicorn; return whether that worked."""
        loop = asyncio.get_running_loop()
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(self.limits.handshake_s):
                first = await _peek(connection)
            if not first or (first[0] == TLS_RECORD and self._tls is None):
                return False
            tls = self._tls if first[0] == TLS_RECORD else None
            # A conversation waits for one new connection at most, without a deadline for that one.
            await idle_turn()
            await loop.connect_accepted_socket(
                partial(self._protocol, slot),
                connection,
                ssl=tls,
                ssl_handshake_timeout=self.limits.handshake_s if tls else None,
                ssl_shutdown_timeout=LINGER_S if tls else None,
            )
            return True
        except (OSError, TimeoutError) as error:
            # Most often the client does not trust our CA.
            log.debug("connection not established", extra={"problem": str(error)})
            return False

    def _protocol(self, slot: ConnectionSlot) -> asyncio.BufferedProtocol:
        return HttpConnection(
            config=self._config,
            server_state=self._state,
            app_state={},
            slot=slot,
            request_s=self.limits.handshake_s,
        )


async def _bind(host: str, port: int, shared: bool) -> list[socket.socket]:
    """Bind a socket to every address of `host`; port 0 is the same free one for all."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listeners: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((each[0], each[4]) for each in found):
            listener = socket.socket(family, socket.SOCK_STREAM)
            listeners.append(listener)
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            chosen = listeners[0].getsockname()[1] if len(listeners) > 1 else port
            listener.bind((address[0], chosen, *address[2:]))
            listener.listen(1024)
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _peek(connection: socket.socket) -> bytes:
    """Read the first byte without consuming it; empty if the peer has gone. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    loop.add_reader(connection, _resolve, readable)
    try:
        await readable
    finally:
        with contextlib.suppress(OSError, ValueError):
            loop.remove_reader(connection)
    return connection.recv(1, socket.MSG_PEEK)
