"""The command as users start it: a process of its own, a real SDK through `vivavoce run`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import websockets

from serving import LIVE, MODEL, until

MIB = 1024 * 1024
VIVAVOCE = [sys.executable, "-m", "vivavoce"]


@dataclass
class Running:
    process: subprocess.Popen[str]
    port: int
    environment: dict[str, str]

    def run(self, *arguments: str, wait_s: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*VIVAVOCE, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=wait_s,
        )


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("VIVAVOCE_")},
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    log = tmp_path / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [*VIVAVOCE, "serve", "--profile", "scripted", "--port", "0"],
            env=environment,
            stderr=stderr,
            text=True,
        )
    try:
        port = listening(process, log)
        environment["VIVAVOCE_SERVER__PORT"] = str(port)
        yield Running(process, port, environment)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(20)


def listening(process: subprocess.Popen[str], log: Path) -> int:
    """The port, once the server has said that it serves."""
    for _ in range(300):
        if found := re.search(r"serves http://127\.0\.0\.1:(\d+)", log.read_text()):
            return int(found[1])
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(log.read_text())


TALK = """
import asyncio
from google import genai

async def main():
    client = genai.Client()
    config = {"response_modalities": ["AUDIO"], "output_audio_transcription": {}}
    async with client.aio.live.connect(model="gemini-3.8-live", config=config) as session:
        for text in ("good morning", "once more"):
            turns = {"role": "user", "parts": [{"text": text}]}
            await session.send_client_content(turns=turns, turn_complete=True)
            said, size = "", 0
            async for message in session.receive():
                size += len(message.data or b"")
                content = message.server_content
                if content and content.output_transcription:
                    said += content.output_transcription.text or ""
            print(said, size)
    print([model.name for model in client.models.list()])

asyncio.run(main())
"""


@pytest.mark.e2e
@pytest.mark.sdk
def test_a_program_with_googles_sdk_just_works_through_run(running: Running) -> None:
    pytest.importorskip("google.genai", reason="google-genai is not installed")

    done = running.run("run", "--", sys.executable, "-c", TALK)

    assert done.returncode == 0, done.stderr
    first, second, models = done.stdout.splitlines()
    assert first == f"good morning {12 * 1920}"
    assert second == f"once more {9 * 1920}"
    assert "models/gemini-3.8-live" in models


@pytest.mark.e2e
def test_a_second_server_reports_that_the_port_is_busy(running: Running) -> None:
    done = running.run("serve", "--profile", "scripted")

    assert done.returncode == 1
    assert f"E-PORT-BUSY: 127.0.0.1:{running.port} is in use." in done.stderr


@pytest.mark.e2e
def test_doctor_finds_the_running_server(running: Running) -> None:
    done = running.run("doctor", "--quick", "--profile", "scripted")

    assert f"answers at 127.0.0.1:{running.port}" in done.stdout
    assert "a client that trusts it gets TLSv1.3" in done.stdout


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(running: Running, number: signal.Signals) -> None:
    running.process.send_signal(number)

    assert running.process.wait(10) == 0


@pytest.mark.e2e
def test_an_open_address_without_keys_is_refused(running: Running) -> None:
    done = running.run("serve", "--profile", "scripted", "--host", "0.0.0.0", "--port", "0")

    assert done.returncode == 1
    assert "E-CONFIG" in done.stderr
    assert "VIVAVOCE_SERVER__KEYS" in done.stderr


async def test_memory_of_unfinished_messages_is_given_back_when_their_connections_close(
    running: Running,
) -> None:
    url = f"ws://127.0.0.1:{running.port}{LIVE}"
    server = psutil.Process(running.process.pid)

    async def fill(megabytes: int) -> websockets.ClientConnection:
        socket = await websockets.connect(url)
        await socket.send(json.dumps({"setup": {"model": MODEL}}))
        await socket.recv()
        socket.transport.write(b"\x81\xff" + (31 * MIB).to_bytes(8) + bytes(4))
        for _ in range(megabytes):
            socket.transport.write(bytes(MIB))
        await until(lambda: socket.transport.get_write_buffer_size() == 0, wait_s=20)
        return socket

    (await fill(1)).transport.abort()
    before = server.memory_info().rss
    held = [await fill(20) for _ in range(8)]
    assert server.memory_info().rss > before + 100 * MIB, "nothing was held to be given back"
    for socket in held:
        socket.transport.abort()
    await until(lambda: server.memory_info().rss < 1.1 * before, wait_s=20)
