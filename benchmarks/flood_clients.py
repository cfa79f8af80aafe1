"""The clients that flood, and a sink that stands for a server which does nothing.

`floods.py` starts both, `flood NAME PORT SECONDS` and `sink NAME`, with a plan on standard input.
A flood notes how much it sent and received, in slots of time. Against the sink it does the same
again: it sends as much in each slot, and the sink, which only throws away what arrives, sends as
much back as the server had. So the client and the system work as they did before, and what is
missing is the server's own work, even the parsing of frames.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from vivavoce.http.certificates import prepare_for_server, server_context

PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
MODEL = "models/gemini-2.5-flash-native-audio-preview-12-2025"
SLOT_S = 0.02
PIECE_BYTES = 64 * 1024
WAIT_S = 0.5
"""For the server to read on, before the flood looks whether its time is over."""

SINK_BYTES = 256 * 1024
"""Read at a time by the sink."""

RAW_PIECE_BYTES = 100
"""What the sink sends at a time where the server did not send frames: a short answer."""

Json = dict[str, Any]


# --- what goes over the line --------------------------------------------------------------------


@dataclass(slots=True)
class Traffic:
    """What a flood sent and received in each slot, in bytes or handshakes; and its CPU time."""

    outcome: str = ""
    sent: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    frames: int = 0
    cpu_s: float = 0.0

    @property
    def frame_bytes(self) -> int:
        """The size of the pieces in which the server sent: the mean of its frames."""
        return sum(self.received) // self.frames or 1 if self.frames else RAW_PIECE_BYTES


def _count(slots: list[int], slot: int, amount: int) -> None:
    slots.extend([0] * (slot + 1 - len(slots)))
    slots[slot] += amount


class Target:
    """What is flooded, for `seconds`. With `plan`, no more is sent in each slot than it says."""

    def __init__(self, port: int, seconds: float, plan: Traffic | None = None) -> None:
        self.port = port
        self.began = time.monotonic()
        self.until = self.began + seconds
        self.traffic = Traffic()
        self._allowed = None if plan is None else list(accumulate(plan.sent))
        self._total = 0

    @property
    def slot(self) -> int:
        """The number of the present slot."""
        return int((time.monotonic() - self.began) / SLOT_S)

    def wait(self) -> None:
        """Wait until the plan lets something be sent. Raises `TimeoutError` at the end."""
        while self._allowed is not None:
            slot = min(self.slot, len(self._allowed) - 1)
            if slot >= 0 and self._total < self._allowed[slot]:
                return
            if time.monotonic() >= self.until:
                raise TimeoutError
            time.sleep(SLOT_S / 4)

    def note_sent(self, amount: int) -> None:
        """Count what was sent."""
        self._total += amount
        _count(self.traffic.sent, self.slot, amount)

    def note_received(self, amount: int) -> None:
        """Count what was received."""
        _count(self.traffic.received, self.slot, amount)

    def connect(self) -> CountedSocket:
        """Open a connection."""
        return CountedSocket(self)


class CountedSocket:
    """A connection whose bytes are counted."""

    def __init__(self, target: Target) -> None:
        self.socket = socket.create_connection(("127.0.0.1", target.port), 10)
        self.settimeout = self.socket.settimeout
        self.close = self.socket.close
        self._target = target

    def sendall(self, data: bytes) -> None:
        """Send everything, in pieces; wait as long as the flood lasts. Raises `OSError`."""
        at = 0
        while at < len(data):
            try:
                at += self.send(data[at : at + PIECE_BYTES])
            except TimeoutError:
                if time.monotonic() >= self._target.until:
                    raise

    def send(self, data: bytes) -> int:
        """Send some of it; how many bytes."""
        self._target.wait()
        sent = self.socket.send(data)
        self._target.note_sent(sent)
        return sent

    def recv(self, size: int) -> bytes:
        """Receive some bytes."""
        data = self.socket.recv(size)
        self._target.note_received(len(data))
        return data


# --- what is sent -------------------------------------------------------------------------------


def turn(*parts: Json, complete: bool = True) -> Json:
    return {
        "clientContent": {"turns": [{"role": "user", "parts": parts}], "turnComplete": complete}
    }


def words(text: str, complete: bool = True) -> Json:
    return turn({"text": text}, complete=complete)


def sound(samples: int) -> Json:
    data = base64.b64encode(bytes((1, 0)) * samples).decode()
    return {"realtimeInput": {"audio": {"mimeType": "audio/pcm;rate=16000", "data": data}}}


def frame(payload: Json | bytes, opcode: Opcode = Opcode.TEXT, fin: bool = True) -> bytes:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Frame(opcode, data, fin).serialize(mask=True)


# --- one client that floods ---------------------------------------------------------------------


class Flood:
    """A session that was set up; what it sends then is for the server to bear."""

    def __init__(self, target: Target, reads: bool = True, **setup: Any) -> None:
        self.target = target
        self.messages = 0
        self._protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{target.port}{PATH}"))
        self.socket = target.connect()
        self._protocol.send_request(self._protocol.connect())
        self.socket.socket.sendall(b"".join(self._protocol.data_to_send()))
        self.socket.socket.sendall(frame({"setup": {"model": MODEL, **setup}}))
        while not any(isinstance(event, Frame) for event in self._receive()):
            pass  # the answer to the handshake
        self.socket.settimeout(WAIT_S)
        if reads:
            threading.Thread(target=self._read, daemon=True).start()

    def repeat(self, data: bytes, count: int = 1, every_s: float = 0.0) -> None:
        """Send `data`, which is `count` of something, until the time is over."""
        with suppress(OSError):  # closed, or the time is over
            while time.monotonic() < self.target.until:
                self.socket.sendall(data)
                self.messages += count
                if every_s:
                    time.sleep(every_s)

    def end(self) -> str:
        """What became of it."""
        close = self._protocol.close_rcvd
        ended = "" if close is None else f", closed {close.code} {close.reason}"
        self.socket.close()
        return f"{self.messages:,} sent{ended}"

    def _receive(self) -> Sequence[object]:
        data = self.socket.recv(65_536)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
            raise OSError
        events = self._protocol.events_received()
        self.target.traffic.frames += len(events)
        return events

    def _read(self) -> None:
        with suppress(OSError):
            while self._protocol.close_rcvd is None:
                with suppress(TimeoutError):
                    self._receive()


Run = Callable[[Target], str]
FLOODS: dict[str, Run] = {}


def flood(run: Run) -> Run:
    FLOODS[run.__name__.replace("_", "-")] = run
    return run


def repeated(data: bytes, count: int = 1, **options: Any) -> Run:
    def run(target: Target) -> str:
        client = Flood(target, **options)
        client.repeat(data, count)
        return client.end()

    return run


LONG = "word " * 800
FLOODS |= {
    "tiny-turns": repeated(frame(words("a")) * 20, 20),
    "turns-of-4-kb": repeated(frame(words(LONG))),
    "turns-never-read": repeated(frame(words(LONG)), reads=False),
    "realtime-text": repeated(frame({"realtimeInput": {"text": "a"}}) * 20, 20),
    "content-without-end": repeated(frame(words("a", complete=False)) * 100, 100),
    "context-updates": repeated(
        frame({"contextUpdate": {"systemInstruction": {"parts": [{"text": "x" * 1000}]}}}) * 20, 20
    ),
    "tool-responses": repeated(
        frame({"toolResponse": {"functionResponses": [
            {"id": f"x{number}", "name": "f", "response": {}} for number in range(2000)
        ]}})
    ),
    "audio-of-1-byte": repeated(
        frame({"realtimeInput": {"audio": {"mimeType": "audio/pcm;rate=16000", "data": "AA=="}}})
        * 200,
        200,
    ),
    "audio-as-fast-as-it-goes": repeated(frame(sound(16_000))),
    "audio-of-10-mb": repeated(frame(sound(5_000_000))),
    "pings-unread": repeated(frame(b"x" * 100, Opcode.PING) * 500, 500, reads=False),
    "pings-read": repeated(frame(b"x" * 100, Opcode.PING) * 500, 500),
}  # fmt: skip


@flood
def empty_fragments(target: Target) -> str:
    client = Flood(target)
    client.socket.sendall(frame(b"a", fin=False))
    client.repeat(frame(b"", Opcode.CONT, fin=False) * 2000, 2000)
    return client.end()


@flood
def bytes_one_by_one(target: Target) -> str:
    client = Flood(target)
    client.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pieces = [bytes((byte,)) for byte in frame(words("a"))]
    with suppress(OSError):
        while time.monotonic() < target.until:
            for piece in pieces:
                client.socket.sendall(piece)
            client.messages += len(pieces)
    return client.end()


@cache
def picture() -> bytes:
    """A turn with an image of 14 MB. It takes half a second to make, before the flood begins."""
    image = base64.b64encode(os.urandom(14_000_000)).decode()
    blob = {"inlineData": {"mimeType": "image/jpeg", "data": image}}
    return frame(turn(blob, {"text": "hello"}))


@flood
def image_in_the_history(target: Target) -> str:
    client = Flood(target, sessionResumption={})
    with suppress(OSError):
        client.socket.sendall(picture())
    client.repeat(frame(words("a")), every_s=0.7)
    return client.end()


@flood
def tls_handshakes(target: Target) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    count = 0
    while time.monotonic() < target.until:
        with suppress(OSError):
            target.wait()
            context.wrap_socket(socket.create_connection(("127.0.0.1", target.port), 5)).close()
            target.note_sent(1)
            count += 1
    return f"{count:,} handshakes"


@flood
def http_chunks(target: Target) -> str:
    head = "POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    count = 0
    while time.monotonic() < target.until:
        with suppress(OSError), closing(target.connect()) as client:
            client.sendall(head.encode())
            while time.monotonic() < target.until:
                client.sendall(b"1\r\nx\r\n" * 40_000)
                count += 40_000
    return f"{count:,} chunks"


@flood
def pipelined_requests(target: Target) -> str:
    requests = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 100
    answers, unsent = 0, requests
    with closing(target.connect()) as client:
        client.settimeout(0.01)
        while time.monotonic() < target.until:
            with suppress(TimeoutError):
                unsent = unsent[client.send(unsent) :] or requests
            with suppress(TimeoutError):
                answers += client.recv(1 << 20).count(b"HTTP/1.1 200")
    return f"{answers:,} answers"


# --- the sink -----------------------------------------------------------------------------------


class Sink(asyncio.BufferedProtocol):
    """One connection of the sink: throws away what arrives, and sends what the server had sent."""

    def __init__(self, plan: Traffic, frames: bool) -> None:
        self._plan = plan
        self._handshake = ServerProtocol() if frames else None
        self._buffer = memoryview(bytearray(SINK_BYTES))
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._piece = b"x" * plan.frame_bytes
        if frames:
            self._piece = Frame(Opcode.TEXT, self._piece).serialize(mask=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._handshake is None:
            self._task = asyncio.get_running_loop().create_task(self._answer(transport))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        handshake, transport = self._handshake, self._transport
        if handshake is None or transport is None:
            return
        handshake.receive_data(bytes(self._buffer[:nbytes]))
        for event in handshake.events_received():
            if isinstance(event, Request):
                handshake.send_response(handshake.accept(event))
                transport.write(b"".join(handshake.data_to_send()) + self._piece)
                self._handshake = None
                self._task = asyncio.get_running_loop().create_task(self._answer(transport))

    async def _answer(self, transport: asyncio.Transport) -> None:
        began, unsent = time.monotonic(), 0
        for slot, received in enumerate(self._plan.received):
            unsent += received
            count = unsent // len(self._piece)
            transport.write(self._piece * count)
            unsent -= count * len(self._piece)
            await asyncio.sleep(max(0.0, began + slot * SLOT_S - time.monotonic()))


async def sink(name: str, plan: Traffic, folder: str) -> None:
    """Serve the flood `name` again, until there is no standard input any more."""
    loop = asyncio.get_running_loop()
    context = None
    if name == "tls-handshakes":
        authority = prepare_for_server("127.0.0.1", folder=Path(folder))
        context = server_context(authority.certificate, authority.key)
    frames = name not in ("tls-handshakes", "http-chunks", "pipelined-requests")
    server = await loop.create_server(lambda: Sink(plan, frames), "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


def main() -> None:
    """One flood, or the sink of one; its plan, if any, is a line on the standard input."""
    kind, name, *rest = sys.argv[1:]
    plan = Traffic(**json.loads(sys.stdin.readline() or "null") or {})
    if kind == "sink":
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(sink(name, plan, folder))
        return
    if FLOODS[name] is image_in_the_history:
        picture()
    target = Target(int(rest[0]), float(rest[1]), plan if plan.sent else None)
    print("begins", flush=True)
    began = time.process_time()
    target.traffic.outcome = FLOODS[name](target)
    target.traffic.cpu_s = time.process_time() - began
    print(json.dumps(asdict(target.traffic)))


if __name__ == "__main__":
    main()
