"""A client for soak.py that does all that clients do, and notes turns that did not end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import websockets

from vivavoce.domain.audio import INPUT_RATE
from vivavoce.engines.scripted import say

LIVE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
MODEL = "models/gemini-2.5-flash-native-audio-preview-12-2025"
CHUNK = INPUT_RATE // 10 * 2
PATIENCE_S = 60.0
GONE = 1008
"""The close code for a handle that is no longer known."""

SETUP = {
    "model": MODEL,
    "tools": [
        {
            "functionDeclarations": [
                {"name": "turn_on_the_lights"},
                {"name": "long_report", "behavior": "NON_BLOCKING"},
            ]
        }
    ],
    "inputAudioTranscription": {},
    "outputAudioTranscription": {},
    "contextWindowCompression": {"triggerTokens": 4000, "slidingWindow": {"targetTokens": 1000}},
}
Json = dict[str, Any]


@dataclass
class SoakTally:
    """What all clients did together, and what went wrong."""

    count: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    first_sound_s: list[float] = field(default_factory=list)

    def take_first_sound_ms(self) -> str:
        """The median since the last time, in milliseconds; a dash without any."""
        taken, self.first_sound_s = self.first_sound_s, []
        return f"{statistics.median(taken) * 1000:.0f}" if taken else "-"


class Unfinished(Exception):
    """What was waited for did not come."""


class SoakClient:
    """One conversation after the other. `pause_s` is the average time between two steps."""

    def __init__(self, port: int, tally: SoakTally, chance: random.Random, pause_s: float) -> None:
        self._url = f"ws://127.0.0.1:{port}{LIVE}"
        self._tally = tally
        self._chance = chance
        self._pause_s = pause_s
        self._handle = ""
        self._turns = 0
        self._socket: Any = None

    async def talk(self, until: float) -> None:
        """Converse over connection after connection, until the clock says so."""
        while time.monotonic() < until:
            try:
                await self._connection(until)
            except Unfinished as unfinished:
                self._tally.faults[f"{unfinished} did not come"] += 1
            except websockets.ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else None
                if code == GONE and self._handle:
                    self._tally.count["handles gone"] += 1
                else:
                    reason = closed.rcvd.reason if closed.rcvd else ""
                    self._tally.faults[f"closed with {code} {reason}".strip()] += 1
                self._handle = ""
            except OSError as error:
                self._tally.faults[f"no connection ({type(error).__name__})"] += 1
                await asyncio.sleep(1)

    async def _connection(self, until: float) -> None:
        resumption = {"handle": self._handle} if self._handle else {}
        async with websockets.connect(
            self._url, max_size=None, compression=None, ping_interval=None
        ) as socket:
            self._socket = socket
            await self._send(setup={**SETUP, "sessionResumption": resumption})
            await self._wait("setupComplete")
            self._tally.count["connections"] += 1
            self._tally.count["resumed"] += bool(self._handle)
            for _ in range(self._chance.randrange(4, 14)):
                if time.monotonic() > until:
                    return
                await asyncio.sleep(self._chance.uniform(0, 2 * self._pause_s))
                [(name, step)] = self._chance.choices(STEPS, WEIGHTS)
                await step(self)
                self._tally.count[name] += 1
                self._tally.count["steps"] += 1
                if step is SoakClient._drop:
                    return
        if self._chance.random() < 0.3:
            self._handle = ""

    # --- steps --------------------------------------------------------------------------------

    async def _type(self) -> None:
        began = time.monotonic()
        await self._type_words(f"hello number {self._tally.count['steps']}")
        await self._wait("modelTurn")
        self._tally.first_sound_s.append(time.monotonic() - began)
        await self._wait("turnComplete")

    async def _speak(self) -> None:
        pcm = say("good morning to you", INPUT_RATE) + bytes(INPUT_RATE * 2)
        for at in range(0, len(pcm), CHUNK):
            await self._send_audio(pcm[at : at + CHUNK])
            await asyncio.sleep(0.1)
        await self._wait("turnComplete")

    async def _barge_in(self) -> None:
        await self._type_words("a long story about many things that goes on and on " * 2)
        await self._wait("modelTurn")
        await asyncio.sleep(self._chance.random())
        await self._type_words("stop")
        ended = await self._wait("turnComplete")
        if any("interrupted" in each.get("serverContent", {}) for each in ended):
            self._tally.count["interruptions"] += 1
            await self._wait("turnComplete")

    async def _call_function(self) -> None:
        await self._type_words("turn on the lights please")
        *_, asked = await self._wait("toolCall")
        await asyncio.sleep(self._chance.random())
        await self._answer(asked)
        await self._wait("turnComplete")

    async def _leave_call_open(self) -> None:
        await self._type_words("turn on the lights please")
        await self._wait("toolCall")
        await self._send(realtimeInput={"text": "never mind"})
        await self._wait("toolCallCancellation")
        await self._wait("turnComplete")
        await self._wait("turnComplete")

    async def _send_noise(self) -> None:
        for _ in range(10):
            await self._send_audio(self._chance.randbytes(CHUNK))
            await asyncio.sleep(0.1)
        await self._send(realtimeInput={"audioStreamEnd": True})
        await self._read_until_quiet(2.0)

    async def _drop(self) -> None:
        await self._type_words("dropped in the middle of this")
        await asyncio.sleep(self._chance.random())
        self._socket.transport.abort()
        self._tally.count["drops"] += 1

    # --- the wire -----------------------------------------------------------------------------

    async def _send(self, **message: Any) -> None:
        await self._socket.send(json.dumps(message))

    async def _send_audio(self, pcm: bytes) -> None:
        data = base64.b64encode(pcm).decode()
        await self._send(
            realtimeInput={"audio": {"data": data, "mimeType": "audio/pcm;rate=16000"}}
        )

    async def _type_words(self, words: str) -> None:
        turns = [{"role": "user", "parts": [{"text": words}]}]
        await self._send(clientContent={"turns": turns, "turnComplete": True})

    async def _answer(self, asked: Json) -> None:
        calls = asked["toolCall"]["functionCalls"]
        responses = [
            {"id": call["id"], "name": call["name"], "response": {"output": "ok"}} for call in calls
        ]
        await self._send(toolResponse={"functionResponses": responses})

    async def _read_until_quiet(self, quiet_s: float) -> None:
        """Read what comes until nothing has come for so long."""
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(quiet_s):
                    self._note(json.loads(await self._socket.recv()))

    def _note(self, message: Json) -> None:
        update = message.get("sessionResumptionUpdate", {})
        self._handle = update.get("newHandle", self._handle)

    async def _wait(self, key: str) -> list[Json]:
        """Everything up to the first message that holds `key`. Raises `Unfinished`."""
        found: list[Json] = []
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    message: Json = json.loads(await self._socket.recv())
                    found.append(message)
                    self._note(message)
                    if key in message or key in message.get("serverContent", {}):
                        return found
        except TimeoutError:
            raise Unfinished(key) from None


Step = Callable[[SoakClient], Awaitable[None]]
_WEIGHTED: tuple[tuple[str, Step, int], ...] = (
    ("typed", SoakClient._type, 30),
    ("spoken", SoakClient._speak, 20),
    ("barged in", SoakClient._barge_in, 16),
    ("functions called", SoakClient._call_function, 12),
    ("calls left open", SoakClient._leave_call_open, 6),
    ("noises", SoakClient._send_noise, 8),
    ("dropped", SoakClient._drop, 8),
)
STEPS: tuple[tuple[str, Step], ...] = tuple((name, step) for name, step, _ in _WEIGHTED)
WEIGHTS = [weight for *_, weight in _WEIGHTED]
