"""Recognition workers: started, shared, watched, replaced.

- `workers` of them are kept ready; when all are taken more are started, up to `most`, and
  ended again after they had nothing to do for a while.
- Beyond `most`, who wants one stands in line; after `wait_s` that ends with `EngineBusy`.
- A worker that ends, answers that it failed, or does not answer in `deadline_s` costs the
  utterance that it was at, and is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from vivavoce.engines.pocketsphinx.pipes import HEADER, MAX_PAYLOAD, Reply, Request, frame
from vivavoce.errors import EngineBusy, EngineError

ENGINE = "recognizer.pocketsphinx"

IDLE_S = 30.0
"""How long a worker beyond those kept ready may have nothing to do."""

_LOADING_S = 60.0
"""A cold disk and a crowded machine may make the first start slow."""

_FAREWELL_S = 2.0


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """See the module. `command` is the program of a worker, `options` its first request."""

    command: Sequence[str]
    options: bytes
    workers: int = 2
    most: int = 6
    wait_s: float = 8.0
    deadline_s: float = 8.0
    idle_s: float = IDLE_S


class Worker:
    """One process. Calls are made one at a time."""

    def __init__(self, process: Process, deadline_s: float) -> None:
        self._process = process
        self._deadline_s = deadline_s

    @classmethod
    async def start(cls, settings: PoolSettings) -> Worker:
        """A process that has loaded its decoder. Raises `EngineError`."""
        try:
            process = await asyncio.create_subprocess_exec(
                # A session of its own: the interrupt of a terminal is for the server, which
                # ends its workers when it has finished with them.
                *settings.command,
                stdin=PIPE,
                stdout=PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(ENGINE, f"a worker can't be started: {error}.") from error
        worker = cls(process, settings.deadline_s)
        try:
            await worker.call(Request.LOAD, settings.options, _LOADING_S)
        except BaseException:
            await worker.end()
            raise
        return worker

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.returncode is None

    async def call(
        self, request: Request, payload: bytes = b"", deadline_s: float | None = None
    ) -> bytes:
        """The reply. Raises `EngineError`, after which the worker is of no more use."""
        deadline_s = deadline_s or self._deadline_s
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None
        assert sink is not None
        try:
            async with asyncio.timeout(deadline_s):
                sink.write(frame(request, payload))
                await sink.drain()
                length, kind = HEADER.unpack(await source.readexactly(HEADER.size))
                if length > MAX_PAYLOAD:
                    raise EngineError(ENGINE, "the worker wrote what is no frame.")
                reply = await source.readexactly(length)
        except TimeoutError as error:
            problem = f"the worker did not answer within {deadline_s:g} s."
            raise EngineError(ENGINE, problem) from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise EngineError(ENGINE, "the worker process ended in mid-work.") from error
        if kind != Reply.DONE.value:
            raise EngineError(ENGINE, f"the worker failed: {reply.decode(errors='replace')}.")
        return reply

    async def end(self) -> None:
        """Kill the process, and wait until it is gone."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._process.wait()


class Pool:
    """The workers of one engine."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._hired = 0
        self._idle: list[Worker] = []
        self._line: deque[asyncio.Future[Worker]] = deque()
        self._chores: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def open(self) -> None:
        """Start the workers that are kept ready. Raises `EngineError`."""
        starting = [self._keep_ready() for _ in range(self._settings.workers)]
        try:
            for failure in await asyncio.gather(*starting, return_exceptions=True):
                if failure is not None:
                    raise failure
        except BaseException:
            await self.aclose()
            raise

    @property
    def workers(self) -> int:
        """How many there are, busy ones and those that are starting included."""
        return self._hired

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """A worker of one's own. Leaving with any exception gives it up for lost."""
        worker = await self._take()
        try:
            yield worker
        except BaseException:
            self._lose(worker)
            raise
        self._give_back(worker)

    async def aclose(self) -> None:
        """End all workers that are idle; the busy ones end when they come back."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for waiting in self._line:
            waiting.cancel()
        while self._idle:
            await self._idle.pop().end()
        while self._chores:
            await asyncio.wait(self._chores)

    # --- taking and giving back ----------------------------------------------------------

    async def _take(self) -> Worker:
        if self._closed:
            raise EngineError(ENGINE, "the recognizer is closed.")
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            self._dismiss(worker)
        if self._hired < self._settings.most:
            return await self._hire()
        place: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._line.append(place)
        try:
            async with asyncio.timeout(self._settings.wait_s):
                return await place
        except TimeoutError:
            problem = f"all {self._hired} workers were busy for {self._settings.wait_s:g} s."
            raise EngineBusy(ENGINE, problem) from None
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._give_back(place.result())
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._line.remove(place)

    def _give_back(self, worker: Worker) -> None:
        if self._closed or not worker.alive:
            self._lose(worker)
            return
        while self._line:
            place = self._line.popleft()
            if not place.done():
                place.set_result(worker)
                return
        self._idle.append(worker)
        if self._hired > self._settings.workers and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._settings.idle_s, self._shrink)

    def _lose(self, worker: Worker) -> None:
        self._dismiss(worker)
        if not self._closed and (self._line or self._hired < self._settings.workers):
            self._chore(self._replace())

    # --- hiring and dismissing -----------------------------------------------------------

    async def _hire(self) -> Worker:
        self._hired += 1
        try:
            return await Worker.start(self._settings)
        except BaseException:
            self._hired -= 1
            raise

    async def _keep_ready(self) -> None:
        self._idle.append(await self._hire())

    async def _replace(self) -> None:
        """Best effort: if no worker can be started, the next who wants one is told why."""
        with contextlib.suppress(EngineError):
            self._give_back(await self._hire())

    def _dismiss(self, worker: Worker) -> None:
        self._hired -= 1
        self._chore(worker.end())

    def _shrink(self) -> None:
        self._timer = None
        while self._idle and self._hired > self._settings.workers:
            self._dismiss(self._idle.pop(0))

    def _chore(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
