"""Run code in Monty, a small Python written in Rust, in a process of its own: the default sandbox.

- The interpreter is no CPython: it has no files, no network, no processes and no way to them. It
  runs in a worker process without an environment, so that even a fault in it is outside the
  server. Each run has a fresh worker.
- No value comes back into the server, only printed text: a value of a few bytes can be a text of
  gigabytes (`x = [x, x]`, thirty times). The value of the last line is printed in the sandbox.
- A run blocks a thread of the engine's worker pool, and is ended by killing its worker: when it is
  cancelled, prints too much, or does not end at its time limit, as it does not while it makes one
  long text. The library's asynchronous pool isn't used: there, a cancelled run goes on, and its
  canceller waits until the code has ended.
- `time.sleep` returns at once: a sleeping run would hold a worker for nothing.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import threading
import time
import tokenize
from functools import partial
from typing import Literal

import pydantic_monty as library

from vivavoce.domain.content import DEADLINE, FAILED, OK, CodeResult
from vivavoce.engines.ports import EngineHost, Settings
from vivavoce.engines.sandbox_limits import (
    BUSY,
    CLOSED,
    NO_START,
    CodeOutput,
    SandboxLimits,
    deadline_message,
)
from vivavoce.engines.settings import read_settings
from vivavoce.engines.workers import CancelToken, WorkerPool
from vivavoce.errors import EngineMissing, ToolError
from vivavoce.install_hints import install_command

ENGINE = "sandbox.monty"
_GRACE_S = 0.25
"""Time after the limit for a worker to end by itself, with a traceback."""

_SHOW = "if _ is not None:\n    print(repr(_))\nNone"


ABILITIES = (
    "It is a small Python. It has only these modules: asyncio, base64, bisect, collections, copy,"
    " csv, dataclasses, datetime, decimal, functools, hashlib, itertools, json, math, random, re,"
    " time, typing, unicodedata. There is no `yield` and no `del`; classes cannot inherit."
)


def _reinstall() -> str:
    return f"Run `{install_command('pydantic-monty', '--force-reinstall')}`."


class MontyRun:
    """One run, in a thread; any other thread may call `stop`."""

    def __init__(self, code: str, limits: SandboxLimits) -> None:
        self._code = code.encode(errors="replace").decode()
        self._limits = limits
        self._output = CodeOutput(limits.output_bytes)
        self._lock = threading.Lock()
        self._worker: int | None = None
        self._stopped = False
        self._late = False

    def stop(self) -> None:
        """End it, whether it has begun or not."""
        with self._lock:
            self._stopped = True
            if self._worker is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._worker, signal.SIGKILL)

    def perform(self, pool: library.Monty, token: CancelToken) -> CodeResult:
        """Run it in a worker of the pool. Raises `ToolError` if there is none."""
        if self._stopped:
            raise ToolError(ENGINE, CLOSED)
        try:
            with pool.checkout(
                limits=_limits(self._limits), os_policy={"sleep": "zero"}
            ) as session:
                self._set_worker(session.worker_pid)
                try:
                    return self._run(session)
                finally:
                    self._set_worker(None)
        except (library.MontyError, OSError, RuntimeError) as failure:
            raise ToolError(ENGINE, NO_START) from failure

    def _set_worker(self, worker: int | None) -> None:
        with self._lock:
            self._worker = worker
        if self._stopped:
            self.stop()

    def _run(self, session: library.MontySession) -> CodeResult:
        began = time.monotonic()
        watchdog = threading.Timer(self._limits.time_s + _GRACE_S, self._on_timeout)
        watchdog.daemon = True
        watchdog.start()
        try:
            shows = self._feed_all(session)
            if shows and self._output.empty:
                self._feed(session, _SHOW)
        except library.MontyCrashedError:
            return self._crashed()
        except (library.MontyRuntimeError, library.MontySyntaxError) as failure:
            return self._failed(failure, time.monotonic() - began)
        finally:
            watchdog.cancel()
        return self._output.result(OK)

    def _on_timeout(self) -> None:
        self._late = True
        self.stop()

    def _crashed(self) -> CodeResult:
        """Return the result of a run whose worker is gone, mostly because it was killed."""
        if self._late:
            return self._output.result(DEADLINE, deadline_message(self._limits))
        if self._stopped and not self._output.full:
            raise ToolError(ENGINE, CLOSED)
        return self._output.result(FAILED, "[The program broke the interpreter.]")

    def _feed_all(self, session: library.MontySession) -> bool:
        """Run the code. Returns whether `_` holds the value of its last line."""
        if (assigned := keeping_last_value(self._code)) is not None:
            # If it can't be compiled, nothing has run: the last line was no expression.
            with contextlib.suppress(library.MontySyntaxError):
                self._feed(session, assigned)
                return True
        self._feed(session, f"{self._code}\nNone")
        return False

    def _feed(self, session: library.MontySession, code: str) -> None:
        session.feed_run(code, print_callback=self._printed)

    def _printed(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        if not self._output.append(text.encode(errors="replace")):
            self.stop()

    def _failed(
        self, failure: library.MontyRuntimeError | library.MontySyntaxError, took_s: float
    ) -> CodeResult:
        error = failure.exception()
        if isinstance(error, SystemExit) and not error.code:
            return self._output.result(OK)
        if isinstance(error, TimeoutError) and took_s >= self._limits.time_s:
            return self._output.result(DEADLINE, deadline_message(self._limits))
        text, room = failure.display(), self._limits.output_bytes
        # The name of the error is at the end of its text.
        return self._output.result(FAILED, text if len(text) <= room else f"[...]{text[-room:]}")


class MontySandbox:
    """Runs code in Monty's workers, at most `workers` at once."""

    name = "monty"
    abilities = ABILITIES

    def __init__(self, limits: SandboxLimits) -> None:
        self._limits = limits
        # `run` refuses what exceeds the queue; one place more is for closing.
        self._workers = WorkerPool(ENGINE, limits.workers, limits.workers + limits.queue + 1)
        self._runs: set[MontyRun] = set()
        self._closed = False
        self._pool = library.Monty(
            min_processes=1,
            max_processes=limits.workers,
            checkout_timeout=limits.time_s + 10,
            max_checkouts_per_worker=1,
        )

    async def open(self) -> None:
        """Start the first worker. Raises `EngineMissing`."""
        try:
            await self._workers.run(lambda _: self._pool.__enter__())
            result = await self.run("1 + 1")
        except (library.MontyError, OSError, RuntimeError, ToolError) as failure:
            problem = f"Monty can't be started: {failure}."
            raise EngineMissing(ENGINE, problem, _reinstall()) from failure
        if result.output != "2\n":
            raise EngineMissing(ENGINE, "Monty can't add one and one here.", _reinstall())

    async def run(self, code: str) -> CodeResult:
        """Run `code`, see `Sandbox`. A value of the last line is shown if nothing was printed."""
        if self._closed:
            raise ToolError(ENGINE, CLOSED)
        if len(self._runs) >= self._limits.workers + self._limits.queue:
            raise ToolError(ENGINE, BUSY)
        run = MontyRun(code, self._limits)
        self._runs.add(run)
        try:
            return await self._workers.run(partial(run.perform, self._pool))
        finally:
            run.stop()
            self._runs.discard(run)

    async def aclose(self) -> None:
        """End everything that runs, and the workers."""
        if self._closed:
            return
        self._closed = True
        for run in self._runs:
            run.stop()
        await self._workers.run(lambda _: self._pool.__exit__(None, None, None))
        self._workers.close()


async def create(settings: Settings, host: EngineHost) -> MontySandbox:
    """Build the engine. Raises `ConfigError`, `EngineMissing`."""
    sandbox = MontySandbox(read_settings(ENGINE, settings, SandboxLimits))
    try:
        await sandbox.open()
    except BaseException:
        await sandbox.aclose()
        raise
    return sandbox


def keeping_last_value(code: str) -> str | None:
    """Return `code` with `_ = ` before its last statement, or `None` if that can't be right.

    Only the tokens are read: a statement that is neither an assignment nor inside a block may
    still be no expression (`import x`), and then the result can't be compiled.
    """
    depth = level = lambdas = 0
    start: tuple[int, int] | None = None
    fresh, assigns = True, False
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER)
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type in (tokenize.INDENT, tokenize.DEDENT):
                level += 1 if token.type == tokenize.INDENT else -1
            elif token.type == tokenize.NEWLINE or (token.string == ";" and not depth):
                fresh = True
            elif token.type not in skipped:
                if fresh:
                    start, fresh, assigns = (None if level else token.start), False, False
                    lambdas = 0
                if token.type == tokenize.OP:
                    depth += (token.string in "([{") - (token.string in ")]}")
                if not depth:
                    # Until its colon comes, `=` gives a parameter of a lambda its default.
                    lambdas += (token.string == "lambda") - (token.string == ":" and lambdas > 0)
                    assigns = assigns or (token.string == "=" and not lambdas)
    except (tokenize.TokenError, SyntaxError):
        return None
    if start is None or assigns:
        return None
    lines = code.split("\n")
    line = lines[start[0] - 1]
    lines[start[0] - 1] = f"{line[: start[1]]}_ = {line[start[1] :]}"
    return "\n".join(lines)


def _limits(limits: SandboxLimits) -> library.ResourceLimits:
    return library.ResourceLimits(
        max_feed_duration_secs=limits.time_s,
        max_memory=limits.memory_mib << 20,
        max_total_sleep_secs=limits.time_s,
    )
