"""How far the server is from the floor: the same sockets without a conversation behind them.

Two servers in processes of their own take the same paced microphones over real sockets: ours
with scripted engines, and a bare uvicorn WebSocket on uvloop that reads every message and sends it
back. Printed: CPU for each 100 ms chunk of each, their ratio (goal: at most 2), and how much memory
each idle session adds to ours (goal: at most 1 MB).

    python benchmarks/floor.py [--sessions 20] [--seconds 20] [--idle 300]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import multiprocessing
import multiprocessing.connection
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import uvloop
import websockets

LIVE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
MODEL = "models/gemini-2.5-flash-native-audio-preview-12-2025"
CHUNK_S = 0.1
CHUNK = bytes(3200)
Pipe = multiprocessing.connection.Connection


def ours(pipe: Pipe) -> None:
    """Our server with scripted engines."""
    from vivavoce.config.loading import load_config
    from vivavoce.server import Server

    async def serve() -> None:
        with tempfile.TemporaryDirectory() as folder:
            flags = {"profile": "scripted", "server.port": 0, "server.max_sessions": 5000,
                     "server.max_connections": 5000, "server.drain_s": 0}  # fmt: skip
            server = Server(load_config(None, flags), folder=Path(folder))
            await server.start()
            pipe.send(server.listener.address[1])
            await asyncio.to_thread(pipe.recv)
            await server.stop()

    asyncio.run(serve())


def floor(pipe: Pipe) -> None:
    """uvicorn with the same WebSocket protocol and nothing behind it."""
    import uvicorn

    async def echo(scope: dict, receive: Callable, send: Callable) -> None:  # type: ignore[type-arg]
        if scope["type"] != "websocket":
            return
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message.get("text")})

    async def serve() -> None:
        config = uvicorn.Config(
            echo, port=0, ws="websockets-sansio", http="h11", ws_per_message_deflate=False,
            lifespan="off", log_level="warning",
        )  # fmt: skip
        server = uvicorn.Server(config)
        running = asyncio.ensure_future(server.serve())
        while not server.started:  # noqa: ASYNC110 (uvicorn tells nobody)
            await asyncio.sleep(0.01)
        pipe.send(server.servers[0].sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.recv)
        server.should_exit = True
        await running

    uvloop.run(serve())


class Process:
    """A server in a process of its own, and what it uses."""

    def __init__(self, target: Callable[[Pipe], None]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=target, args=(theirs,), daemon=True)
        self._process.start()
        self.port: int = self._pipe.recv()
        self._usage = psutil.Process(self._process.pid)

    def cpu_s(self) -> float:
        used = self._usage.cpu_times()
        return float(used.user + used.system)

    def rss(self) -> int:
        return int(self._usage.memory_info().rss)

    def stop(self) -> None:
        self._pipe.send("stop")
        self._process.join(20)


async def connect(port: int) -> websockets.ClientConnection:
    """A session that has been set up; the echo sends the setup back."""
    socket = await websockets.connect(
        f"ws://127.0.0.1:{port}{LIVE}", compression=None, max_size=None, ping_interval=None
    )
    await socket.send(json.dumps({"setup": {"model": MODEL}}))
    await socket.recv()
    return socket


async def microphone(socket: websockets.ClientConnection, chunks: int, start: float) -> None:
    """Chunks of a quiet room at the pace of a microphone; answers are read and forgotten."""
    sound = base64.b64encode(CHUNK).decode()
    blob = {"data": sound, "mimeType": "audio/pcm;rate=16000"}
    message = json.dumps({"realtimeInput": {"audio": blob}})
    reader = asyncio.ensure_future(_drain(socket))
    for number in range(chunks):
        await asyncio.sleep(max(0.0, start + number * CHUNK_S - time.monotonic()))
        await socket.send(message)
    reader.cancel()


async def _drain(socket: websockets.ClientConnection) -> None:
    async for _ in socket:
        pass


async def paced(process: Process, sessions: int, seconds: float) -> float:
    """CPU seconds that the server uses for one chunk."""
    sockets = [await connect(process.port) for _ in range(sessions)]
    chunks = round(seconds / CHUNK_S)
    before, began = process.cpu_s(), time.monotonic()
    await asyncio.gather(
        *(
            microphone(socket, chunks, began + CHUNK_S * number / sessions)
            for number, socket in enumerate(sockets)
        )
    )
    used = process.cpu_s() - before
    await asyncio.gather(*(socket.close() for socket in sockets))
    return used / (chunks * sessions)


async def idle(process: Process, sessions: int) -> float:
    """Bytes that each idle session adds, after the first fifty have warmed everything up."""
    sockets = [await connect(process.port) for _ in range(50)]
    await asyncio.sleep(0.5)
    before = process.rss()
    sockets += [await connect(process.port) for _ in range(sessions)]
    await asyncio.sleep(0.5)
    grown = process.rss() - before
    await asyncio.gather(*(socket.close() for socket in sockets))
    return grown / sessions


def measure(target: Callable[[Pipe], None], work: Callable[[Process], Awaitable[float]]) -> float:
    process = Process(target)
    try:
        return asyncio.run(work(process))  # type: ignore[arg-type]
    finally:
        process.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--idle", type=int, default=300)
    chosen = parser.parse_args()

    def talking(process: Process) -> Awaitable[float]:
        return paced(process, chosen.sessions, chosen.seconds)

    print(f"Python {platform.python_version()}, {psutil.cpu_count()} cores")
    bare = measure(floor, talking)
    server = measure(ours, talking)
    each = measure(ours, lambda process: idle(process, chosen.idle))
    print(f"{chosen.sessions} microphones at real-time pace for {chosen.seconds:.0f} s")
    print(f"bare echo   {bare * 1e6:7.0f} us of CPU a 100 ms chunk")
    print(f"vivavoce    {server * 1e6:7.0f} us of CPU a 100 ms chunk")
    print(f"ratio       {server / bare:7.2f}    (goal: at most 2)")
    print(f"idle session {each / 1e6:6.3f} MB   (goal: at most 1; of {chosen.idle})")


if __name__ == "__main__":
    main()
