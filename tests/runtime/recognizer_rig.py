"""Recognizers that fail or hang, and the host of transcripts alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from vivavoce.core.events import Event
from vivavoce.domain.audio import INPUT_RATE, AudioChunk
from vivavoce.domain.ids import TurnId
from vivavoce.domain.setup import SessionSetup
from vivavoce.engines.ports import Recognition, RecognitionOptions, Recognizer, Transcript
from vivavoce.engines.scripted import TonesRecognizer, say
from vivavoce.runtime.audio_input import AudioBuffer
from vivavoce.runtime.connection import recognition_options
from vivavoce.runtime.tasks import EngineTasks
from vivavoce.runtime.transcription import Transcripts
from vivavoce.testing.virtual_loop import run_virtually

ONE, TWO = TurnId(1), TurnId(2)
HELLO = say("hello", INPUT_RATE)
END = len(HELLO) // 2


class Trouble(TonesRecognizer):
    """Plays a trick on the n-th utterance; understands everything else as its length.

    What a trick returns stands for the transcript, unless it is `None`.
    """

    def __init__(self, *tricks: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(streaming=True)
        self.opened: list[RecognitionOptions] = []
        self.closed = 0
        self.open_now = 0
        self.fed = 0
        self._tricks = list(tricks)

    def open(self, options: RecognitionOptions) -> Recognition:  # type: ignore[override]
        self.opened.append(options)
        return _Trouble(self)

    async def work(self, pcm: bytes) -> None:
        """Takes no time."""

    async def trick(self) -> Any:
        return await self._tricks.pop(0)() if self._tricks else None


class _Trouble:
    def __init__(self, home: Trouble) -> None:
        self.home = home

    @asynccontextmanager
    async def utterance(self) -> AsyncIterator[_Utterance]:
        self.home.open_now += 1
        assert self.home.open_now == 1, "two utterances of one conversation at a time"
        try:
            yield _Utterance(self.home)
        finally:
            self.home.open_now -= 1

    async def aclose(self) -> None:
        self.home.closed += 1


class _Utterance:
    def __init__(self, home: Trouble) -> None:
        self.home = home
        self.size = 0

    async def feed(self, pcm: bytes) -> None:
        await self.home.work(pcm)
        self.size += len(pcm)
        self.home.fed += len(pcm)

    async def hypothesis(self) -> Transcript:
        return Transcript(f"{self.size // 2} so far", f"{self.size // 2}")

    async def pause(self) -> Transcript:
        return Transcript(f"{self.size // 2} at the pause", confidence=0.5)

    async def finish(self) -> Transcript:
        said: Transcript | None = await self.home.trick()
        return said or Transcript(f"{self.size // 2} samples")


class Sticking(Trouble):
    """Hangs where no call is made: in the first utterance's beginning, or at its end."""

    def __init__(self, at_begin: bool) -> None:
        super().__init__()
        self.at_begin = at_begin

    def open(self, options: RecognitionOptions) -> Recognition:  # type: ignore[override]
        self.opened.append(options)
        return _Sticking(self) if len(self.opened) == 1 else _Trouble(self)


class _Sticking(_Trouble):
    @asynccontextmanager
    async def utterance(self) -> AsyncIterator[_Utterance]:
        if isinstance(self.home, Sticking) and self.home.at_begin:
            await self._stick()
        yield _Utterance(self.home)
        await self._stick()

    async def _stick(self) -> None:
        for _ in range(2):  # swallows one cancellation
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(1000)


class Slow(Trouble):
    """Works at `speed` times real time."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self.speed = speed

    async def work(self, pcm: bytes) -> None:
        await asyncio.sleep(len(pcm) / 2 / INPUT_RATE / self.speed)


class Host:
    """Transcripts alone, an buffer to hear from, and what they post."""

    def __init__(self, recognizer: Recognizer, setup: SessionSetup) -> None:
        self.events: list[Event] = []
        self.buffer = AudioBuffer()
        self.engine_tasks = EngineTasks()
        self.transcripts = Transcripts(
            recognizer,
            recognition_options(setup),
            self.buffer,
            self.engine_tasks,
            self.events.append,
        )

    def hear(self, pcm: bytes) -> None:
        self.transcripts.advance_audio(self.buffer.add_chunk(AudioChunk(pcm)))


def hosted(
    recognizer: Recognizer,
    act: Callable[[Host], Awaitable[None]],
    setup: SessionSetup | None = None,
) -> Host:
    async def run() -> Host:
        host = Host(recognizer, setup or SessionSetup("m"))
        await act(host)
        host.transcripts.close()
        await host.engine_tasks.aclose()
        await host.transcripts.aclose()
        return host

    return run_virtually(run())


async def soon() -> None:
    await asyncio.sleep(0.01)
