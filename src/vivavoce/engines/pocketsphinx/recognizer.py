"""The recognizer port on pooled workers.

An utterance is a task of the recognizer's that brings sound from a buffer to a worker and
answers back; leaving an utterance only tells that task, so nobody waits for a worker that
is deep in its search, and the worker is never left in the middle of an exchange.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from pathlib import Path

from vivavoce.domain.audio import BYTES_PER_SAMPLE, samples
from vivavoce.engines.pocketsphinx.pipes import Request
from vivavoce.engines.pocketsphinx.pool import ENGINE, Pool, PoolSettings, Worker
from vivavoce.engines.ports import (
    RecognitionOptions,
    RecognizerCapabilities,
    Settings,
)
from vivavoce.errors import ConfigError, EngineError, EngineMissing

PIECE_BYTES = samples(0.5) * BYTES_PER_SAMPLE
"""The most sound that goes to a worker in one request: what an abandoned utterance still costs."""

BUFFER_BYTES = samples(60) * BYTES_PER_SAMPLE
"""Sound that an utterance holds while it waits for a worker; beyond it, `feed` waits too."""


class PocketsphinxUtterance:
    """One stretch of speech. See `engines.ports.Utterance`."""

    def __init__(self, recognition: PocketsphinxRecognition) -> None:
        self._recognition = recognition
        self._sound = bytearray()
        self._question: tuple[Request, asyncio.Future[bytes]] | None = None
        self._abandoned = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._error: EngineError | None = None

    async def feed(self, pcm: bytes) -> None:
        """More sound, whole samples. Waits while a minute of it is not understood yet."""
        if len(pcm) % BYTES_PER_SAMPLE:
            raise ValueError(f"{len(pcm)} bytes are no whole number of samples")
        self._check()
        self._sound += pcm
        self._news.set()
        while len(self._sound) > BUFFER_BYTES:
            self._room.clear()
            await self._room.wait()
            self._check()

    async def hypothesis(self) -> str:
        """What is understood of all that was fed; waits until it was heard."""
        return (await self._ask(Request.HYPOTHESIS)).decode()

    async def finish(self) -> str:
        """The final text. The mean of this voice stays with the conversation."""
        result = json.loads(await self._ask(Request.FINISH))
        self._recognition.mean = result["mean"]
        text: str = result["text"]
        return text

    def abandon(self) -> None:
        """Nobody wants the rest."""
        self._abandoned = True
        self._news.set()

    async def run(self, pool: Pool) -> None:
        """Bring sound and questions to a worker until the utterance is over."""
        try:
            async with pool.worker() as worker:
                opening = json.dumps({"mean": self._recognition.mean})
                await worker.call(Request.BEGIN, opening.encode())
                while not await self._round(worker):
                    await self._news.wait()
        except EngineError as error:
            self._fail(error)
        except BaseException:
            self._fail(EngineError(ENGINE, "the recognizer was closed."))
            raise

    async def _round(self, worker: Worker) -> bool:
        """Do what is to be done now; whether the utterance is over."""
        self._news.clear()
        while self._sound and not self._abandoned:
            piece = bytes(self._sound[:PIECE_BYTES])
            await worker.call(Request.FEED, piece)
            del self._sound[: len(piece)]
            self._room.set()
        if self._abandoned:
            await worker.call(Request.ABANDON)
            return True
        if self._question is None or self._question[1].done():
            return False
        request, answer = self._question
        # Left in its place until it is answered, so that a failure reaches who asked.
        reply = await worker.call(request)
        if not answer.done():
            answer.set_result(reply)
        return request is Request.FINISH

    async def _ask(self, request: Request) -> bytes:
        self._check()
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._question = (request, answer)
        self._news.set()
        return await answer

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _fail(self, error: EngineError) -> None:
        self._error = error
        self._sound.clear()
        self._room.set()
        if self._question is not None and not self._question[1].done():
            self._question[1].set_exception(error)


class PocketsphinxRecognition:
    """One conversation: keeps the mean of its speaker's voice. See `engines.ports.Recognition`."""

    def __init__(self, recognizer: PocketsphinxRecognizer) -> None:
        self._recognizer = recognizer
        self.mean = ""

    @contextlib.asynccontextmanager
    async def utterance(self) -> AsyncIterator[PocketsphinxUtterance]:
        """Begin a stretch of speech; leaving early abandons it, and waits for nothing."""
        utterance = PocketsphinxUtterance(self)
        self._recognizer.attend(utterance)
        try:
            yield utterance
        finally:
            utterance.abandon()

    async def aclose(self) -> None:
        """Nothing to end: the workers belong to the recognizer."""


class PocketsphinxRecognizer:
    """English words from sound, anywhere. See `engines.ports.Recognizer`."""

    capabilities = RecognizerCapabilities(streaming=True, languages=("en",))

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._utterances: set[asyncio.Task[None]] = set()

    def open(self, options: RecognitionOptions) -> PocketsphinxRecognition:
        """A recognizer for one conversation. The options change nothing: English it is."""
        return PocketsphinxRecognition(self)

    def attend(self, utterance: PocketsphinxUtterance) -> None:
        """Have an utterance brought to a worker."""
        task = asyncio.get_running_loop().create_task(utterance.run(self._pool))
        self._utterances.add(task)
        task.add_done_callback(self._utterances.discard)

    async def aclose(self) -> None:
        """End all workers, whatever they are at."""
        for task in self._utterances:
            task.cancel()
        if self._utterances:
            await asyncio.wait(self._utterances)
        await self._pool.aclose()


# --- building ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PocketsphinxSettings:
    """The engine's table of the configuration.

    `workers` processes are kept ready (0: as many as cores, two at most) and up to
    `max_workers` run while many people speak at once (0: three for each core, since one
    decoder needs a quarter of one). The three paths replace parts of the bundled model.
    """

    workers: int = 0
    max_workers: int = 0
    wait_s: float = 8.0
    deadline_s: float = 8.0
    acoustic_model: str = ""
    language_model: str = ""
    dictionary: str = ""


async def create(settings: Settings) -> PocketsphinxRecognizer:
    """The recognizer, when the workers that are kept ready have loaded their models."""
    chosen = _checked(settings)
    if importlib.util.find_spec("pocketsphinx") is None:
        raise EngineMissing(
            ENGINE, "pocketsphinx is not installed.", "Run `pip install pocketsphinx`."
        )
    cores = os.cpu_count() or 1
    workers = chosen.workers or min(2, cores)
    options = {
        name: getattr(chosen, name) for name in ("acoustic_model", "language_model", "dictionary")
    }
    pool = Pool(
        PoolSettings(
            command=(sys.executable, "-m", "vivavoce.engines.pocketsphinx.worker"),
            options=json.dumps(options).encode(),
            workers=workers,
            most=max(workers, chosen.max_workers or 3 * cores),
            wait_s=chosen.wait_s,
            deadline_s=chosen.deadline_s,
        )
    )
    await pool.open()
    return PocketsphinxRecognizer(pool)


def _checked(settings: Settings) -> PocketsphinxSettings:
    known = {field.name: field for field in fields(PocketsphinxSettings)}
    for name, value in settings.items():
        if name not in known:
            raise ConfigError(
                f"{ENGINE} knows no setting {name!r}.", f"Known are: {', '.join(known)}."
            )
        if isinstance(known[name].default, str):
            if not isinstance(value, str) or not Path(value).exists():
                raise ConfigError(f"{ENGINE}: there is no {value!r}.", f"Correct {name}.")
        elif isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ConfigError(f"{ENGINE}: {name} is {value!r}.", "Give a number, 0 or more.")
    return PocketsphinxSettings(**settings)
