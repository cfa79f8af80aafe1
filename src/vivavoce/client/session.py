"""Live API client session: connect, send and receive messages, reconnect and resume."""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from vivavoce.client import messages
from vivavoce.client.messages import (
    ReconnectedMessage,
    ResumptionUpdateMessage,
    ServerMessage,
    SessionClosed,
    SessionOptions,
    SetupCompleteMessage,
)
from vivavoce.domain.audio import INPUT_RATE
from vivavoce.domain.content import ToolResult
from vivavoce.errors import ConfigError, VivavoceError, connection_failure

PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
SCHEMES = {"http": "ws", "ws": "ws", "https": "wss", "wss": "wss"}
SETUP_TIMEOUT_S = 60.0
"""An engine may load its weights while the first session waits."""
PING_TIMEOUT_S = 120.0
"""Long, because a ping queues behind audio already sent."""

RECONNECT_TIMEOUT_S = 30.0
"""How long to try to reconnect, as while a server restarts."""
FIRST_RETRY_DELAY_S = 0.1
MAX_RETRY_DELAY_S = 2.0
"""Pause between two attempts, doubled after each."""
RECOVERABLE_CLOSE_CODES = frozenset({1001, 1006, 1011, 1012, 1013})
"""Close codes after which to reconnect: going away, lost, failed, restarting, busy."""


class ServerUnreachable(VivavoceError):
    """The server could not be reached."""

    code = "E-NO-SERVER"


class ServerUntrusted(ServerUnreachable):
    """The server presents a certificate that no trusted authority has signed."""

    code = "E-TLS-TRUST"


@dataclass(frozen=True, slots=True)
class ServerEndpoint:
    """The address of a Live server.

    `url` is the base URL that SDKs are given too; `http` and `ws` are plain text, `https` and
    `wss` are TLS, verified against `ca` (a PEM file) alone, or else against the system's roots
    and `local_ca`, the authority of a server on this machine.
    """

    url: str
    key: str = ""
    ca: Path | None = None
    local_ca: Path | None = None

    @property
    def web_url(self) -> str:
        """The base URL for HTTP requests. Raises `ConfigError` for a bad URL."""
        return self.socket_url.removesuffix(PATH).replace("ws", "http", 1)

    @property
    def socket_url(self) -> str:
        """The WebSocket address without the credential. Raises `ConfigError` for a bad URL."""
        parts = urlsplit(self.url)
        if parts.scheme not in SCHEMES or not parts.netloc:
            raise ConfigError(
                f"{self.url!r} is not the address of a Live server.",
                "Give a base URL such as http://127.0.0.1:8482.",
            )
        return f"{SCHEMES[parts.scheme]}://{parts.netloc}{parts.path.rstrip('/')}{PATH}"

    def tls(self) -> ssl.SSLContext | None:
        """Return the context that verifies the server, `None` for plain text.

        Raises `ConfigError` when a certificate file can't be read.
        """
        if not self.socket_url.startswith("wss:"):
            return None
        try:
            context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
            if self.local_ca and not self.ca:
                context.load_verify_locations(cafile=str(self.local_ca))
        except OSError as error:
            file = self.ca or self.local_ca
            raise ConfigError(
                f"The certificate file {file} can't be read: {error.strerror or error}.",
                "Name the bundle that `vivavoce env` prints with --ca.",
            ) from error
        return context


class ClientSession(ABC):
    """A session of the Live API. Iterate over it for the server's messages.

    Iteration ends when the session is closed from here; it raises `SessionClosed` when the server
    closes it.
    """

    @abstractmethod
    async def send_message(self, message: dict[str, Any]) -> None:
        """Send any message of the API. Raises `SessionClosed` when the session is over."""

    @abstractmethod
    async def __anext__(self) -> ServerMessage: ...

    def __aiter__(self) -> AsyncIterator[ServerMessage]:
        return self

    async def send_audio(self, pcm: bytes, rate: int = INPUT_RATE) -> None:
        """Send the next chunk of the microphone stream, 16-bit mono PCM."""
        await self.send_message(messages.audio_message(pcm, rate))

    async def end_audio_stream(self) -> None:
        """Send that the microphone was switched off, which ends the user's turn."""
        await self.send_message(messages.audio_stream_end_message())

    async def send_text(self, text: str) -> None:
        """Send a whole turn as text."""
        await self.send_message(messages.text_message(text))

    async def send_tool_response(self, results: Sequence[ToolResult]) -> None:
        """Send the results of functions that the server called."""
        await self.send_message(messages.tool_response_message(results))


class WebSocketSession(ClientSession):
    """A session on one connection."""

    def __init__(self, socket: ClientConnection, ready: SetupCompleteMessage) -> None:
        self._socket = socket
        self._unread: deque[ServerMessage] = deque()
        self.id = ready.session

    async def send_message(self, message: dict[str, Any]) -> None:
        try:
            await self._socket.send(orjson.dumps(message).decode())
        except ConnectionClosed as closed:
            raise _session_closed(closed) from closed

    async def __anext__(self) -> ServerMessage:
        while not self._unread:
            try:
                self._unread.extend(messages.read_frame(await self._socket.recv()))
            except ConnectionClosed as closed:
                if closed.sent and not closed.rcvd_then_sent:
                    raise StopAsyncIteration from closed
                raise _session_closed(closed) from closed
        return self._unread.popleft()


@asynccontextmanager
async def connect(
    endpoint: ServerEndpoint, options: SessionOptions
) -> AsyncIterator[WebSocketSession]:
    """Open a session, set up and ready. Closed with 1000 on leaving.

    Raises `ServerUnreachable` when nothing answers, `SessionClosed` when the server refuses the
    setup.
    """
    socket = await _open_socket(endpoint)
    try:
        yield WebSocketSession(socket, await _send_setup(socket, options))
    finally:
        await socket.close()


async def _open_socket(endpoint: ServerEndpoint) -> ClientConnection:
    query = f"?{urlencode({'key': endpoint.key})}" if endpoint.key else ""
    try:
        return await open_socket(
            endpoint.socket_url + query,
            ssl=endpoint.tls(),
            max_size=2**24,
            compression=None,
            proxy=None,
            ping_timeout=PING_TIMEOUT_S,
        )
    except ssl.SSLCertVerificationError as error:
        raise ServerUntrusted(
            f"The certificate of {endpoint.url} is not trusted ({error.verify_message}).",
            "Pass --ca with a copy of the server's bundle.pem; `vivavoce env` there names it.",
        ) from error
    except (OSError, TimeoutError, InvalidHandshake, InvalidMessage) as error:
        raise ServerUnreachable(
            f"No Live server answers at {endpoint.url} ({connection_failure(error)}).",
            "Start one with `vivavoce serve`, or give its address with --url.",
        ) from error


async def _send_setup(socket: ClientConnection, options: SessionOptions) -> SetupCompleteMessage:
    try:
        async with asyncio.timeout(SETUP_TIMEOUT_S):
            await socket.send(orjson.dumps(options.setup_message()).decode())
            first = messages.read_frame(await socket.recv())
    except TimeoutError as error:
        raise ServerUnreachable(
            f"The server did not confirm the session within {SETUP_TIMEOUT_S:.0f} s.",
            "Its log may say why.",
        ) from error
    except ConnectionClosed as closed:
        raise _session_closed(closed) from closed
    ready = first[0] if first else None
    if not isinstance(ready, SetupCompleteMessage):
        raise SessionClosed(1002, "the first message was not setupComplete")
    return ready


def _session_closed(closed: ConnectionClosed) -> SessionClosed:
    frame = closed.rcvd
    return (
        SessionClosed(frame.code, frame.reason) if frame else SessionClosed(1006, "connection lost")
    )


# --- resumption on new connections ---------------------------------------------------------------


class ReconnectingSession(ClientSession):
    """A session that is resumed on a new connection whenever one ends.

    The next connection resumes from the newest handle. Sending waits meanwhile; then iteration
    gives a `ReconnectedMessage`. Raises `SessionClosed` when the server refuses to resume,
    `ServerUnreachable` when it is not reached within `timeout_s`. A session that was never offered
    a handle ends with its connection.
    """

    def __init__(self, endpoint: ServerEndpoint, options: SessionOptions, timeout_s: float) -> None:
        self._endpoint = endpoint
        self._options = options
        self._timeout_s = timeout_s
        self._exits = AsyncExitStack()
        self._current: WebSocketSession | None = None
        self._changing = asyncio.Lock()
        self._failure: SessionClosed | ServerUnreachable | None = None

    async def open_connection(self) -> None:
        """Open the first connection, or the next. Raises `SessionClosed`, `ServerUnreachable`."""
        await self._exits.aclose()
        self._current = await self._exits.enter_async_context(
            connect(self._endpoint, self._options)
        )

    async def aclose(self) -> None:
        """Close the current connection with 1000."""
        await self._exits.aclose()

    async def send_message(self, message: dict[str, Any]) -> None:
        while True:
            live = self._connected()
            try:
                return await live.send_message(message)
            except SessionClosed as ended:
                await self._resume_session(live, ended)

    async def __anext__(self) -> ServerMessage:
        live = self._connected()
        try:
            message = await anext(live)
        except SessionClosed as ended:
            await self._resume_session(live, ended)
            return ReconnectedMessage(ended)
        if isinstance(message, ResumptionUpdateMessage) and message.handle:
            self._options = replace(self._options, handle=message.handle)
        return message

    def _connected(self) -> WebSocketSession:
        assert self._current is not None, "not opened"
        return self._current

    async def _resume_session(self, before: WebSocketSession, ended: SessionClosed) -> None:
        """Replace the connection `before` by a new one, unless that was done already."""
        async with self._changing:
            if self._current is not before:
                return
            try:
                if self._failure is not None:
                    raise self._failure
                if not self._options.handle or ended.code not in RECOVERABLE_CLOSE_CODES:
                    raise ended
                await self._retry_connecting()
            except (SessionClosed, ServerUnreachable) as error:
                self._failure = error
                raise

    async def _retry_connecting(self) -> None:
        loop = asyncio.get_running_loop()
        deadline, pause_s = loop.time() + self._timeout_s, FIRST_RETRY_DELAY_S
        while True:
            try:
                return await self.open_connection()
            except (SessionClosed, ServerUnreachable) as error:
                if _is_final(error) or loop.time() + pause_s > deadline:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, MAX_RETRY_DELAY_S)


def _is_final(error: SessionClosed | ServerUnreachable) -> bool:
    if isinstance(error, SessionClosed):
        return error.code not in RECOVERABLE_CLOSE_CODES
    return isinstance(error, ServerUntrusted)


@asynccontextmanager
async def connect_resumably(
    endpoint: ServerEndpoint, options: SessionOptions, timeout_s: float = RECONNECT_TIMEOUT_S
) -> AsyncIterator[ReconnectingSession]:
    """Open a session like `connect`, which is resumed when a connection ends."""
    session = ReconnectingSession(
        endpoint, replace(options, handle=options.handle or ""), timeout_s
    )
    try:
        await session.open_connection()
        yield session
    finally:
        await session.aclose()
