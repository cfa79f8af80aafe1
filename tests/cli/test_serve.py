"""Signals while a server starts and serves."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from serving import connected
from vivavoce.cli.serve import STOPPED_STATUS, Stopped, run_until_stopped, stop_server
from vivavoce.config.loading import load_config
from vivavoce.server import Server

TESTS = Path(__file__).parent.parent


async def test_what_is_done_first_is_given() -> None:
    async def course() -> int:
        return 7

    assert await run_until_stopped(asyncio.Event(), course()) == 7


async def test_a_signal_that_comes_first_cancels_it() -> None:
    stopping, unwound = asyncio.Event(), asyncio.Event()

    async def course() -> None:
        stopping.set()
        try:
            await asyncio.Event().wait()
        finally:
            unwound.set()

    with pytest.raises(Stopped):
        await run_until_stopped(stopping, course())
    assert unwound.is_set()


@pytest.mark.integration
@pytest.mark.parametrize("hurries", [True, False])
async def test_who_is_waited_for_is_said_and_a_second_signal_ends_the_wait(
    tmp_path: Path, hurries: bool
) -> None:
    stopping, said = asyncio.Event(), []

    def say(line: str) -> None:
        said.append(line)
        if hurries:
            stopping.set()

    flags = {"profile": "scripted", "server.port": 0, "server.drain_s": 60 if hurries else 0.6}
    server = Server(load_config(None, flags), folder=tmp_path)
    await server.start()
    async with connected(server) as client:
        await client.set_up()
        await client.say("a question whose answer takes a while to play " * 3)
        await client.receive()
        stopping.set()
        async with asyncio.timeout(10):
            await stop_server(server, stopping, say)
        client.socket.transport.abort()  # it would wait ten seconds for what it has not read
    patience = "60" if hurries else "0.6"
    assert said == [
        f"Waiting up to {patience} s for 1 conversation to end; Ctrl-C again stops now."
    ]


@pytest.mark.integration
async def test_an_end_without_conversations_says_nothing(tmp_path: Path) -> None:
    server = Server(load_config(None, {"profile": "scripted", "server.port": 0}), folder=tmp_path)
    await server.start()
    said: list[str] = []
    await stop_server(server, asyncio.Event(), said.append)
    assert said == []


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("command", "number", "responder"),
    [
        ("serve", signal.SIGINT, "endless"),
        ("serve", signal.SIGTERM, "slow"),
        ("demo", signal.SIGTERM, "endless"),
        ("demo", signal.SIGINT, "slow"),
        ("serve", signal.SIGINT, "fragile"),
    ],
)
def test_a_signal_ends_a_start_that_takes_too_long(
    tmp_path: Path, command: str, number: signal.Signals, responder: str
) -> None:
    (tmp_path / "c.toml").write_text(
        'models = {"*" = "x"}\n[server]\nport = 0\n[profiles.x]\ndetector = "energy"\n'
        f'recognizer = "tones"\nresponder = "unruly:{responder}"\n'
    )
    surroundings = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(TESTS), os.environ.get("PYTHONPATH", ""))),
        "VIVAVOCE_CONFIG": str(tmp_path / "c.toml"),
        "XDG_DATA_HOME": str(tmp_path),
    }
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "vivavoce", command],
        cwd=tmp_path,
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert any("never ready" in line for line in process.stdout)
            process.send_signal(number)
            assert process.wait(8) == STOPPED_STATUS
        finally:
            process.kill()
