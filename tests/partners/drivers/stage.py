"""What all drivers share: the steps to perform, a microphone that never stops, events as lines.

A driver is a small application of a framework, run by the framework's own interpreter, and
written as its documents say. Its only argument is JSON: `{"model": ..., "steps": [...]}`, and
`patience` in seconds, after which waiting ends the performance.

    ["write", TEXT]        send text as the framework's users do
    ["speak", FILE]        speak 16 kHz PCM into the microphone, which otherwise carries silence
    ["wait", KIND, N]      until N events of that kind have been told since the start
    ["words", KIND, TEXT]  until the words told so far contain the text
    ["pause", SECONDS]

Each event is one line of JSON with one key: `user` and `model` (words), `sound` (base64, 24 kHz
PCM), `call` (name and arguments), `interrupted`, `turn` (the model's turn is over), `context` (the
conversation as the framework remembers it), `late` (what was waited for in vain), `error`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

INPUT_RATE, OUTPUT_RATE = 16_000, 24_000
MAX_SCORED_S = 0.02
PIECE = int(INPUT_RATE * MAX_SCORED_S) * 2
PATIENCE_S = 25.0


class Stage:
    """One performance."""

    def __init__(self) -> None:
        self.job: dict[str, Any] = json.loads(sys.argv[1])
        self.model: str = self.job["model"]
        self._told: Counter[str] = Counter()
        self._words: defaultdict[str, str] = defaultdict(str)
        self._news = asyncio.Event()
        self._speech = bytearray()
        self._recordings = {
            file: Path(file).read_bytes() for name, file, *_ in self.job["steps"] if name == "speak"
        }

    def tell(self, kind: str, value: object = True) -> None:
        """One event, for whoever started this program and for steps that wait."""
        if isinstance(value, bytes):
            value = base64.b64encode(value).decode()
        print(json.dumps({kind: value}), flush=True)
        self._told[kind] += 1
        self._words[kind] += str(value)
        self._news.set()

    async def perform(self, write: Callable[[str], Awaitable[object]]) -> None:
        """All steps; ends early when something is waited for in vain."""
        for name, *arguments in self.job["steps"]:
            if name == "write":
                await write(arguments[0])
            elif name == "speak":
                self._speech += self._recordings[arguments[0]]
            elif name == "pause":
                await asyncio.sleep(arguments[0])
            elif not await self._heard_of(*arguments):
                self.tell("late", arguments)
                return

    async def _heard_of(self, kind: str, wanted: int | str) -> bool:
        """Whether so many events, or events with these words, came in time."""

        def missing() -> bool:
            if isinstance(wanted, str):
                return wanted not in self._words[kind]
            return self._told[kind] < wanted

        try:
            async with asyncio.timeout(self.job.get("patience", PATIENCE_S)):
                while missing():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def microphone(self) -> AsyncIterator[bytes]:
        """Pieces of 20 ms, each when its time has come."""
        begun, sent = time.monotonic(), 0
        while True:
            piece = bytes(self._speech[:PIECE]).ljust(PIECE, b"\0")
            del self._speech[:PIECE]
            yield piece
            sent += 1
            await asyncio.sleep(max(0.0, begun + sent * MAX_SCORED_S - time.monotonic()))
