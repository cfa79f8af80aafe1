"""How long others wait for their first sound while one client floods the server.

    python benchmarks/floods.py [FLOOD ...] [--seconds 10] [--talkers 3]

A server with the scripted profile runs in a process of its own; so do the talkers, whose first
sound after a typed turn is measured, and the flood. For each flood the talkers are measured alone,
under the flood, and alone again; what both calm spans give is what the flood is compared with. The
goal is that the 99th percentile is at most 1.2 times as long.

On a busy machine the figures say more of its scheduler: the load is printed with them.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the root, for a script

import psutil
from benchmarks.live_server import run_server
from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

PORT = 18_486
GOAL = 1.2
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
MODEL = "models/gemini-2.5-flash-native-audio-preview-12-2025"
SETTLE_S = 1.0
"""Between a flood and the next measurement."""

Json = dict[str, Any]


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
    """A connection that was set up, for `seconds`; what it sends is for the server to bear."""

    def __init__(self, port: int, seconds: float, reads: bool = True, **setup: Any) -> None:
        self.until = time.monotonic() + seconds
        self.sent = 0
        self._protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}{PATH}"))
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self._protocol.send_request(self._protocol.connect())
        self.socket.sendall(b"".join(self._protocol.data_to_send()))
        self.socket.sendall(frame({"setup": {"model": MODEL, **setup}}))
        while not any(isinstance(event, Frame) for event in self._receive()):
            pass  # the answer to the handshake
        self.socket.settimeout(2)
        if reads:
            threading.Thread(target=self._read, daemon=True).start()

    def repeat(self, data: bytes, count: int = 1, every_s: float = 0.0) -> None:
        """Send `data`, which is `count` of something, until the time is over."""
        with suppress(OSError):  # closed, or not read any longer
            while time.monotonic() < self.until:
                self.socket.sendall(data)
                self.sent += count
                if every_s:
                    time.sleep(every_s)

    def end(self) -> str:
        """What became of it."""
        close = self._protocol.close_rcvd
        ended = "" if close is None else f", closed {close.code} {close.reason}"
        self.socket.close()
        return f"{self.sent:,} sent{ended}"

    def _receive(self) -> Sequence[object]:
        data = self.socket.recv(65_536)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
            raise OSError
        return self._protocol.events_received()

    def _read(self) -> None:
        with suppress(OSError):
            while self._protocol.close_rcvd is None:
                self._receive()


FLOODS: dict[str, Callable[[int, float], str]] = {}


def flood(run: Callable[[int, float], str]) -> Callable[[int, float], str]:
    FLOODS[run.__name__.replace("_", "-")] = run
    return run


def repeated(data: bytes, count: int = 1, **options: Any) -> Callable[[int, float], str]:
    def run(port: int, seconds: float) -> str:
        client = Flood(port, seconds, **options)
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
def empty_fragments(port: int, seconds: float) -> str:
    client = Flood(port, seconds)
    client.socket.sendall(frame(b"a", fin=False))
    client.repeat(frame(b"", Opcode.CONT, fin=False) * 2000, 2000)
    return client.end()


@flood
def bytes_one_by_one(port: int, seconds: float) -> str:
    client = Flood(port, seconds)
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pieces = [bytes((byte,)) for byte in frame(words("a"))]
    with suppress(OSError):
        while time.monotonic() < client.until:
            for piece in pieces:
                client.socket.sendall(piece)
            client.sent += len(pieces)
    return client.end()


@flood
def image_in_the_history(port: int, seconds: float) -> str:
    client = Flood(port, seconds, sessionResumption={})
    image = base64.b64encode(os.urandom(14_000_000)).decode()
    blob = {"inlineData": {"mimeType": "image/jpeg", "data": image}}
    client.socket.settimeout(10)
    client.socket.sendall(frame(turn(blob, {"text": "hello"})))
    client.repeat(frame(words("a")), every_s=0.7)
    return client.end()


@flood
def tls_handshakes(port: int, seconds: float) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    count, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(OSError):
            context.wrap_socket(socket.create_connection(("127.0.0.1", port), 5)).close()
            count += 1
    return f"{count:,} handshakes"


@flood
def http_chunks(port: int, seconds: float) -> str:
    head = "POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    count, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), 5)) as client:
            client.sendall(head.encode())
            while time.monotonic() < until:
                client.sendall(b"1\r\nx\r\n" * 40_000)
                count += 40_000
    return f"{count:,} chunks"


@flood
def pipelined_requests(port: int, seconds: float) -> str:
    requests = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 100
    answers, until, unsent = 0, time.monotonic() + seconds, requests
    with closing(socket.create_connection(("127.0.0.1", port), 5)) as client:
        client.settimeout(0.01)
        while time.monotonic() < until:
            with suppress(TimeoutError):
                unsent = unsent[client.send(unsent) :] or requests
            with suppress(TimeoutError):
                answers += client.recv(1 << 20).count(b"HTTP/1.1 200")
    return f"{answers:,} answers"


# --- the others ---------------------------------------------------------------------------------


async def talk(port: int, found: list[float]) -> None:
    """Typed turns, one after the other; how long each waits for its first sound."""
    url = f"ws://127.0.0.1:{port}{PATH}"
    async with connect(url, max_size=None, compression=None, ping_interval=None) as client:
        compression: Json = {"contextWindowCompression": {"slidingWindow": {}}}
        await client.send(json.dumps({"setup": {"model": MODEL, **compression}}))
        await client.recv()
        while True:
            began, heard = time.perf_counter(), False
            await client.send(json.dumps(words("hello")))
            message: Json = {}
            while "turnComplete" not in message.get("serverContent", {}):
                message = json.loads(await client.recv())
                if not heard and "modelTurn" in message.get("serverContent", {}):
                    heard = True
                    found.append(time.perf_counter() - began)
            await asyncio.sleep(0.05)


async def measure_talkers(port: int, count: int) -> None:
    """For each line read, what was found since the line before."""
    found: list[float] = []
    talkers = [asyncio.create_task(talk(port, found)) for _ in range(count)]
    while await asyncio.to_thread(sys.stdin.readline):
        for talker in talkers:
            if talker.done():
                talker.result()
        print(json.dumps(found), flush=True)
        found.clear()


class Talkers:
    """Talkers in a process of their own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def measured(self) -> list[float]:
        """The waits since this was last asked, in seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return list(json.loads(self._process.stdout.readline()))

    def measured_for(self, seconds: float) -> list[float]:
        """The waits of the next `seconds`."""
        self.measured()
        time.sleep(seconds)
        return self.measured()


@contextmanager
def talking(port: int, count: int) -> Iterator[Talkers]:
    command = [sys.executable, __file__, "--talk", str(port), "--talkers", str(count)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Talkers(process)
        finally:
            process.kill()


# --- the comparison -----------------------------------------------------------------------------


@dataclass(slots=True)
class Row:
    """One flood: what became of it, and the waits without it and under it, in seconds."""

    name: str
    outcome: str = ""
    calm: list[float] = field(default_factory=list)
    flooded: list[float] = field(default_factory=list)
    load: float = 0.0

    @property
    def ratio(self) -> float:
        return percentile(self.flooded, 0.99) / percentile(self.calm, 0.99)

    def __str__(self) -> str:
        calm, flooded = percentile(self.calm, 0.99) * 1e3, percentile(self.flooded, 0.99) * 1e3
        middle = percentile(self.flooded, 0.5) / percentile(self.calm, 0.5)
        name = self.name.replace("-", " ")
        return (
            f"| {name} | {self.outcome} | {len(self.flooded)} | {calm:.1f} | {flooded:.1f} | "
            f"{self.ratio:.2f} | {middle:.2f} | {max(self.flooded) * 1e3:.0f} | {self.load:.1f} |"
        )


HEAD = (
    "| flood | what became of it | turns | p99 calm, ms | p99 flooded, ms | ratio | ratio of p50 | "
    "longest, ms | load |\n|---|---|---|---|---|---|---|---|---|"
)


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def compare(name: str, talkers: Talkers, port: int, seconds: float) -> Row:
    """Measure one flood between two calm spans, each half as long."""
    row = Row(name)
    row.calm += talkers.measured_for(seconds / 2)
    command = [sys.executable, __file__, "--flood", name, str(port), "--seconds", str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # what it sends is made, and it begins
        row.flooded += talkers.measured_for(seconds)
        row.outcome = process.communicate()[0].strip()
    time.sleep(SETTLE_S)
    row.calm += talkers.measured_for(seconds / 2)
    row.load = os.getloadavg()[0]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("floods", nargs="*", metavar="FLOOD", help=", ".join(FLOODS))
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--talkers", type=int, default=3)
    parser.add_argument("--talk", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--flood", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.talk:
        asyncio.run(measure_talkers(options.talk, options.talkers))
    elif options.flood:
        name, port = options.flood
        print("begins", flush=True)
        print(FLOODS[name](int(port), options.seconds))
    else:
        run_floods(options.floods or list(FLOODS), options.seconds, options.talkers)


def run_floods(names: list[str], seconds: float, talkers: int) -> None:
    print(f"{psutil.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {talkers} talkers\n")
    print(HEAD, flush=True)
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        settings = {"PROFILE": "scripted", "STORE__PATH": f"{folder}/state.sqlite3"}
        for name in names:
            with (
                run_server(Path(folder) / "server.log", PORT, settings=settings),
                talking(PORT, talkers) as others,
            ):
                others.measured_for(1.0)
                row = compare(name, others, PORT, seconds)
            print(row, flush=True)
            worst = max(worst, row.ratio)
    print(f"\nworst ratio of p99: {worst:.2f}, goal {GOAL:g}")


if __name__ == "__main__":
    main()
