"""Two hours of conversation on a clock of its own, over eleven connections, and nothing is lost."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from endpoint import Standing
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.content import Content, Role
from vivavoce.domain.model_family import model_id
from vivavoce.engines.cascade import Cascade
from vivavoce.engines.ports import Engines
from vivavoce.engines.scripted import (
    EchoModel,
    EnergyDetector,
    TonesRecognizer,
    TonesSynthesizer,
    say,
)
from vivavoce.runtime.connection import Backend
from vivavoce.runtime.voice_activity import VoiceScorer
from vivavoce.store.checkpoints import decode_checkpoint
from vivavoce.store.port import SavedSession, digest_secret
from vivavoce.testing.virtual_loop import run_virtually

LASTS_S = 2 * 3600.0
SETTINGS = SessionSettings(resumable=True, connection_s=720.0, go_away_s=50.0)
MODEL = "models/gemini-2.5-flash-native-audio-preview-12-2025"
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
Json = dict[str, Any]


class Line:
    """One WebSocket, as the server sees it: two queues and a scope."""

    def __init__(self) -> None:
        self.scope: Json = {
            "type": "websocket", "path": PATH, "query_string": b"", "scheme": "ws",
            "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1),
        }  # fmt: skip
        self.to_server: asyncio.Queue[Json] = asyncio.Queue()
        self.to_client: asyncio.Queue[Json] = asyncio.Queue()
        self.to_server.put_nowait({"type": "websocket.connect"})

    def send(self, **message: Any) -> None:
        self.to_server.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    async def receive(self) -> MutableMapping[str, Any]:
        return await self.to_server.get()

    async def answer(self, message: MutableMapping[str, Any]) -> None:
        self.to_client.put_nowait(dict(message))

    async def messages(self) -> AsyncIterator[Json]:
        """What the client hears, until the server closes."""
        while True:
            sent = await self.to_client.get()
            if sent["type"] == "websocket.close":
                return
            if sent["type"] == "websocket.send":
                yield json.loads(sent["bytes"])


class Caller:
    """A client that talks on whatever connection it has, and resumes when it is told to go."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self.handle = ""
        self.heard: list[tuple[str, str]] = []
        self.farewells: list[float] = []
        self._turn = asyncio.Event()
        self._kept = asyncio.Event()
        self._leaving = False

    async def talk_for(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until, number, choose = loop.time() + seconds, 0, random.Random(2)
        while loop.time() < until:
            async with self._connected() as line:
                self._leaving = False
                while not self._leaving and loop.time() < until:
                    number += 1
                    await self._say(line, f"this is number {number}", choose.random() < 0.3)
                    await asyncio.sleep(choose.uniform(20, 60))

    async def _say(self, line: Line, words: str, aloud: bool) -> None:
        self._turn.clear()
        self._kept.clear()
        self.heard.append(("user", words))
        if aloud:
            self._speak(line, words)
        else:
            line.send(clientContent={"turns": [{"role": "user", "parts": [{"text": words}]}],
                                     "turnComplete": True})  # fmt: skip
        await self._turn.wait()
        await self._kept.wait()

    def _speak(self, line: Line, words: str) -> None:
        pcm = say(words, 16_000)
        for at in range(0, len(pcm), 6_400):
            data = base64.b64encode(pcm[at : at + 6_400]).decode()
            line.send(realtimeInput={"audio": {"data": data, "mimeType": "audio/pcm;rate=16000"}})
        line.send(realtimeInput={"audioStreamEnd": True})

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Line]:
        line = Line()
        served = asyncio.ensure_future(self._standing.live(line.scope, line.receive, line.answer))
        resumption = {"handle": self.handle} if self.handle else {}
        line.send(setup={"model": MODEL, "sessionResumption": resumption,
                         "outputAudioTranscription": {}})  # fmt: skip
        reader = asyncio.ensure_future(self._read(line))
        try:
            yield line
        finally:
            line.to_server.put_nowait({"type": "websocket.disconnect", "code": 1000})
            await served
            reader.cancel()

    async def _read(self, line: Line) -> None:
        said = ""
        async for message in line.messages():
            content = message.get("serverContent", {})
            said += content.get("outputTranscription", {}).get("text", "")
            if content.get("turnComplete"):
                self.heard.append(("model", said))
                said = ""
                self._turn.set()
            update = message.get("sessionResumptionUpdate")
            if update and update.get("resumable"):
                self.handle = update["newHandle"]
                if self._turn.is_set():
                    self._kept.set()
            if "goAway" in message:
                self.farewells.append(float(message["goAway"]["timeLeft"].removesuffix("s")))
                self._leaving = True


async def conversation() -> tuple[Caller, list[tuple[str, str]]]:
    """What the caller heard, and what the store holds at the end."""
    loop = asyncio.get_running_loop()
    detector = EnergyDetector()
    engines = Engines(detector, TonesRecognizer(), Cascade(EchoModel(), TonesSynthesizer()))
    scorer = VoiceScorer(detector)
    standing = Standing(Backend(engines, scorer), SETTINGS, now=lambda: 1.8e9 + loop.time())
    caller = Caller(standing)
    await caller.talk_for(LASTS_S)
    owner, model = "", model_id(MODEL)
    now = 1.8e9 + loop.time()
    taken = await standing.store.take_session(
        digest_secret(caller.handle), owner, model, now, exact=False
    )
    scorer.close()
    assert isinstance(taken, SavedSession), taken
    checkpoint = decode_checkpoint(taken.data, taken.media)
    assert checkpoint is not None
    assert checkpoint.spent_s > LASTS_S * 0.9
    return caller, [_line(content) for content in checkpoint.history]


def _line(content: Content) -> tuple[str, str]:
    return ("user" if content.role is Role.USER else "model"), content.text


@pytest.mark.long
def test_two_hours_over_ten_farewells_lose_nothing() -> None:
    caller, kept = run_virtually(conversation())
    assert len(caller.farewells) == 10
    assert all(49 <= left_s <= 50 for left_s in caller.farewells)
    assert len(kept) > 200
    assert kept == caller.heard
    told = [f"this is number {number}" for number in range(1, len(kept) // 2 + 1)]
    assert [said for _, said in kept] == [words for each in told for words in (each, each)]
