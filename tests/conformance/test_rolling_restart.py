"""Two processes on one port: one takes over from the other under live sessions, and loses none."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import websockets

from conformance.servers import Running, free_port, serving_on

pytestmark = pytest.mark.e2e

SESSIONS = 20
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
SETUP = {
    "model": "models/gemini-2.5-flash-native-audio-preview-12-2025",
    "generationConfig": {"responseModalities": ["TEXT"]},
}
ASKED = "What did I tell you before?"


class Talker:
    """A client that does what clients do at `goAway`: it resumes, and goes on."""

    def __init__(self, url: str, number: int) -> None:
        self._url = url
        self._name = f"I am number {number}"
        self._handle = ""
        self.farewells: list[float] = []
        self.answers: list[str] = []
        self.settled = asyncio.Event()

    async def talk(self, told: asyncio.Event) -> None:
        """Say who one is; when everybody was told to go, ask what was said."""
        await self._on_a_connection(self._name)
        await told.wait()
        await self._on_a_connection(ASKED)

    async def _on_a_connection(self, text: str) -> None:
        resumption = {"handle": self._handle} if self._handle else {}
        async with websockets.connect(self._url, open_timeout=10) as socket:
            await socket.send(json.dumps({"setup": {**SETUP, "sessionResumption": resumption}}))
            turns = [{"role": "user", "parts": [{"text": text}]}]
            content = {"turns": turns, "turnComplete": True}
            await socket.send(json.dumps({"clientContent": content}))
            said, complete = "", False
            async with asyncio.timeout(30):
                async for frame in socket:
                    message: dict[str, Any] = json.loads(frame)
                    content = message.get("serverContent", {})
                    for part in content.get("modelTurn", {}).get("parts", []):
                        said += part.get("text", "")
                    if content.get("turnComplete"):
                        complete = True
                        self.answers.append(said)
                        self.settled.set()
                    update = message.get("sessionResumptionUpdate", {})
                    if update.get("resumable"):
                        self._handle = update["newHandle"]
                        if complete and text == ASKED:
                            return
                    if "goAway" in message:
                        self.farewells.append(float(message["goAway"]["timeLeft"][:-1]))
                        return


async def test_one_server_takes_over_from_another_under_live_sessions(tmp_path: Path) -> None:
    port = free_port()
    settings = {
        "VIVAVOCE_SERVER__REUSE_PORT": "true",
        "VIVAVOCE_SERVER__DRAIN_S": "10",
        "VIVAVOCE_STORE__PATH": str(tmp_path / "state.sqlite3"),
    }
    url = f"ws://127.0.0.1:{port}{PATH}"
    with serving_on(port, "scripted", settings) as old:
        talkers = [Talker(url, number) for number in range(SESSIONS)]
        told = asyncio.Event()
        running = [asyncio.ensure_future(talker.talk(told)) for talker in talkers]
        await asyncio.gather(*(talker.settled.wait() for talker in talkers))
        with serving_on(port, "scripted", settings):
            await _gives_way(old)
            told.set()
            await asyncio.gather(*running)
    assert [talker.answers[1] for talker in talkers] == [talker.answers[0] for talker in talkers]
    assert all(9 <= left_s <= 10 for talker in talkers for left_s in talker.farewells)
    assert sum(len(talker.farewells) for talker in talkers) == SESSIONS


async def _gives_way(old: Running) -> None:
    """Told to stop by its id, it ends as soon as its last client has left, well."""
    old.process.terminate()
    assert await asyncio.to_thread(old.process.wait, 20) in (0, 130)
