"""A raw client that keeps every frame, and a relay that listens in on a client of anyone's."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close

from vivavoce.engines.scripted import say

Json = dict[str, Any]

PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
MODEL = "models/gemini-2.5-flash-native-audio-preview-12-2025"
LARGEST_FRAME = 2**20
"""Google's Python SDK drops the connection at a larger one."""

SPOKEN: Json = {"responseModalities": ["AUDIO"]}
WRITTEN: Json = {"responseModalities": ["TEXT"]}
BOTH_TRANSCRIPTS: Json = {"inputAudioTranscription": {}, "outputAudioTranscription": {}}
LIGHTS: Json = {
    "functionDeclarations": [{"name": "turn_on_the_lights"}, {"name": "turn_off_the_lights"}]
}


def setup(generation: Json = SPOKEN, model: str = MODEL, **more: Any) -> Json:
    """A `setup` message."""
    return {"setup": {"model": model, "generationConfig": generation, **more}}


def content(message: Json) -> Json:
    """The server content of a message, empty if it has none."""
    found: Json = message.get("serverContent", {})
    return found


def parts(message: Json) -> list[Json]:
    """The parts of a model turn in a message."""
    found: list[Json] = content(message).get("modelTurn", {}).get("parts", [])
    return found


def sound(messages: Sequence[Json]) -> bytes:
    """All the audio in messages."""
    blobs = [part["inlineData"] for m in messages for part in parts(m) if "inlineData" in part]
    return b"".join(base64.b64decode(blob["data"], validate=True) for blob in blobs)


def text(messages: Sequence[Json]) -> str:
    """All the text in messages."""
    return "".join(part.get("text", "") for m in messages for part in parts(m))


def transcript(messages: Sequence[Json], side: str) -> str:
    """All of the `input` or `output` transcription in messages."""
    key = f"{side}Transcription"
    return "".join(content(m)[key].get("text", "") for m in messages if key in content(m))


def kinds(messages: Sequence[Json]) -> list[str]:
    """What each message is, in one word, runs of the same word told once."""
    named = [kind(message) for message in messages]
    return [word for at, word in enumerate(named) if at == 0 or named[at - 1] != word]


def kind(message: Json) -> str:
    """What a message is: the word of its own that it holds."""
    if part := next(iter(parts(message)), None):
        return "audio" if "inlineData" in part else "text"
    inside = [key for key in content(message) if key != "turnCompleteReason"]
    return inside[0] if inside else next(k for k in message if k != "usageMetadata")


def complete(message: Json) -> bool:
    """Whether a message ends a turn."""
    return bool(content(message).get("turnComplete"))


class RawClient:
    """One connection; `frames` are all server messages so far, as they came."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frames: list[Json] = []
        self.raw: list[bytes | str] = []
        self.times: list[float] = []

    async def send(self, message: Json | str | bytes) -> None:
        await self.socket.send(json.dumps(message) if isinstance(message, dict) else message)

    async def receive(self, within_s: float = 10.0) -> Json:
        """The next message. Raises `ConnectionClosed` and `TimeoutError`."""
        async with asyncio.timeout(within_s):
            frame = await self.socket.recv()
        message: Json = json.loads(frame)
        self.raw.append(frame)
        self.frames.append(message)
        self.times.append(time.monotonic())
        return message

    async def until(self, met: Callable[[Json], Any], within_s: float = 10.0) -> list[Json]:
        """The messages up to and with the first that meets a condition."""
        taken: list[Json] = []
        async with asyncio.timeout(within_s):
            while not taken or not met(taken[-1]):
                taken.append(await self.receive(within_s))
        return taken

    async def turn(self, within_s: float = 15.0) -> list[Json]:
        """The messages of one turn, with its `turnComplete`."""
        return await self.until(complete, within_s)

    async def nothing_for(self, seconds: float) -> None:
        """Assert that the server keeps quiet for a while."""
        try:
            message = await self.receive(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"said unasked: {message}")

    async def type(self, words: str, role: str = "user") -> None:
        turn = {"role": role, "parts": [{"text": words}]}
        await self.send({"clientContent": {"turns": [turn], "turnComplete": True}})

    async def speak(self, words: str, tail_s: float = 1.0, fast: bool = True) -> None:
        """Say words in tones, and then be silent for a while."""
        await self.send_pcm(say(words, 16_000) + bytes(round(tail_s * 16_000) * 2), fast)

    async def send_pcm(self, pcm: bytes, fast: bool = True, chunk_ms: int = 40) -> None:
        size = chunk_ms * 32
        began = time.monotonic()
        for at in range(0, len(pcm), size):
            if not fast:
                await asyncio.sleep(max(0.0, began + (at + size) / 32_000 - time.monotonic()))
            await self.send(audio(pcm[at : at + size]))

    async def closed(self, within_s: float = 10.0) -> tuple[int, str]:
        """The code and the reason with which the server closes, whatever it says before."""
        frame: Close | None = None
        try:
            async with asyncio.timeout(within_s):
                while True:
                    await self.receive(within_s)
        except ConnectionClosed as over:
            frame = over.rcvd
        assert frame is not None, "the connection was lost without a close frame"
        return frame.code, frame.reason


def audio(pcm: bytes, mime_type: str = "audio/pcm;rate=16000", url_safe: bool = False) -> Json:
    """A piece of the microphone stream."""
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    return {"realtimeInput": {"audio": {"data": encode(pcm).decode(), "mimeType": mime_type}}}


@asynccontextmanager
async def raw(
    url: str, path: str = PATH, headers: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[RawClient]:
    """A connection without a setup."""
    async with connect(
        url + path, additional_headers=headers, compression=None, proxy=None,
        max_size=LARGEST_FRAME, **options,
    ) as socket:  # fmt: skip
        yield RawClient(socket)


@asynccontextmanager
async def talking(
    url: str, opening: Json | None = None, **options: Any
) -> AsyncIterator[RawClient]:
    """A connection whose setup was confirmed."""
    async with raw(url, **options) as client:
        await client.send(opening or setup())
        first = await client.receive()
        assert list(first) == ["setupComplete"], first
        yield client


# --- listening in ------------------------------------------------------------------------


@dataclass(slots=True)
class Tape:
    """What went through a relay: server and client messages apart, with their times."""

    server: list[Json] = field(default_factory=list)
    client: list[Json] = field(default_factory=list)
    server_at: list[float] = field(default_factory=list)

    @property
    def turns(self) -> int:
        return sum(complete(message) for message in self.server)


@asynccontextmanager
async def relay(upstream: str, port: int, tls: ssl.SSLContext) -> AsyncIterator[Tape]:
    """A TLS port in front of a server, which keeps what passes and changes nothing."""
    tape = Tape()

    async def handle(near: ServerConnection) -> None:
        assert near.request is not None
        passed_on = {
            name: value
            for name, value in near.request.headers.raw_items()
            if name.lower() in ("x-goog-api-key", "authorization", "x-goog-api-client")
        }
        async with connect(
            upstream + near.request.path, additional_headers=passed_on, compression=None,
            proxy=None, max_size=None,
        ) as far:  # fmt: skip
            await asyncio.gather(_carry(near, far, tape, False), _carry(far, near, tape, True))

    async with serve(handle, "127.0.0.1", port, ssl=tls, compression=None, max_size=None):
        yield tape


async def _carry(
    source: ClientConnection | ServerConnection,
    sink: ClientConnection | ServerConnection,
    tape: Tape,
    from_server: bool,
) -> None:
    try:
        while True:
            frame = await source.recv()
            message = json.loads(frame)
            if from_server:
                tape.server.append(message)
                tape.server_at.append(time.monotonic())
            else:
                tape.client.append(message)
            await sink.send(frame)
    except ConnectionClosed as over:
        code = over.rcvd.code if over.rcvd else 1011
        await sink.close(code, over.rcvd.reason if over.rcvd else "")
