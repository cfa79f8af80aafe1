"""A server in this process, and a plain client for it: no SDK, nothing hidden."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import websockets

from vivavoce.config.loading import load_config
from vivavoce.runtime.session_registry import RENEW_INTERVAL_S
from vivavoce.server import Server
from vivavoce.store.port import StateStore

MODEL = "models/gemini-2.5-flash-native-audio-preview-12-2025"
LIVE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
Json = dict[str, Any]
TRANSCRIBED: Json = {"generationConfig": {"responseModalities": ["TEXT"]}}


@contextlib.asynccontextmanager
async def serving(
    folder: Path,
    file: str = "",
    store: StateStore | None = None,
    renew_leases_s: float = RENEW_INTERVAL_S,
    **flags: Any,
) -> AsyncIterator[Server]:
    """A running server with the scripted profile. `flags` spell `.` as `__`; `file` is TOML."""
    path = folder / "settings.toml"
    path.write_text(file)
    chosen = {"profile": "scripted", "server.port": 0, "server.drain_s": 0.2}
    chosen |= {"store.use": "memory"} if "[store]" not in file else {}
    chosen |= {name.replace("__", "."): value for name, value in flags.items()}
    server = Server(
        load_config(path, chosen),
        folder=folder / "tls",
        store=store,
        renew_leases_s=renew_leases_s,
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def live_url(server: Server, path: str = LIVE) -> str:
    host, port = server.listener.address
    return f"ws://{host}:{port}{path}"


class Client:
    """One Live connection, message by message."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def receive(self) -> Json:
        async with asyncio.timeout(10):
            message: Json = json.loads(await self.socket.recv())
        return message

    async def set_up(self, **setup: Any) -> Json:
        await self.send(setup={"model": MODEL, **setup})
        return await self.receive()

    async def say(self, text: str) -> None:
        turns = [{"role": "user", "parts": [{"text": text}]}]
        await self.send(clientContent={"turns": turns, "turnComplete": True})

    async def turn(self) -> list[Json]:
        """Everything up to `turnComplete`."""
        messages = [await self.receive()]
        while not messages[-1].get("serverContent", {}).get("turnComplete"):
            messages.append(await self.receive())
        return messages

    async def closing(self) -> tuple[int, str]:
        """The code and reason with which the server closes; messages before it are skipped."""
        async with asyncio.timeout(10):
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await self.socket.recv()
            await self.socket.wait_closed()
        close = self.socket.protocol.close_rcvd
        assert close is not None, "the connection was dropped without a close frame"
        return close.code, close.reason


@contextlib.asynccontextmanager
async def connected(
    server: Server, path: str = LIVE, tls: bool = False, **options: Any
) -> AsyncIterator[Client]:
    url = live_url(server, path)
    if tls:
        url = url.replace("ws:", "wss:", 1)
        options["ssl"] = ssl.create_default_context(cafile=str(server.bundle))
    async with websockets.connect(url, max_size=None, close_timeout=1, **options) as socket:
        yield Client(socket)


def spoken(messages: list[Json]) -> bytes:
    """All sound of some messages, decoded."""
    import base64

    pieces = []
    for message in messages:
        for part in message.get("serverContent", {}).get("modelTurn", {}).get("parts", ()):
            pieces.append(base64.b64decode(part.get("inlineData", {}).get("data", "")))
    return b"".join(pieces)


async def until(condition: Callable[[], bool], wait_s: float = 5.0) -> None:
    """Wait for something that nobody reports."""
    async with asyncio.timeout(wait_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


# --- sessions that are resumed -------------------------------------------------------------------


async def handle(client: Client) -> str:
    """The next handle that the client is told."""
    while True:
        update = (await client.receive()).get("sessionResumptionUpdate")
        if update is not None:
            assert update["resumable"] is True
            return str(update["newHandle"])


async def begin(client: Client, handle_: str = "", **setup: Any) -> Json:
    resumption = {"handle": handle_} if handle_ else {}
    return await client.set_up(sessionResumption=resumption, **TRANSCRIBED, **setup)


async def talk(client: Client, text: str) -> str:
    """Say something; what is answered, and the handle after it is left to be read."""
    await client.say(text)
    said = ""
    for message in await client.turn():
        parts = message.get("serverContent", {}).get("modelTurn", {}).get("parts", [])
        said += "".join(part.get("text", "") for part in parts)
    return said
