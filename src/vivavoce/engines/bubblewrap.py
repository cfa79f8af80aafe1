"""Run code in all of CPython, in namespaces of its own, by the program bubblewrap.

- Each run has a sandbox of its own, in a thread of the engine's worker pool.
- The code goes in by standard input, what it prints comes out by standard output. Standard error
  is for bubblewrap's own messages: the guest has closed it before any code runs.
- Whether it works on this machine is found out by trying: namespaces may be forbidden in half a
  dozen places.
"""

from __future__ import annotations

import logging
import shutil
import signal
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

from pydantic import Field

from vivavoce.domain.content import DEADLINE, FAILED, OK, CodeResult
from vivavoce.engines import bubblewrap_process
from vivavoce.engines.bubblewrap_process import (
    ENVIRONMENT,
    Interpreter,
    NamespacesForbidden,
    ProcessEnd,
    SandboxProcess,
    namespaces_forbidden,
    own_interpreter,
    query_interpreter,
    sandbox_command,
)
from vivavoce.engines.ports import EngineHost, Settings
from vivavoce.engines.sandbox_limits import (
    BUSY,
    CLOSED,
    MAX_MEMORY_MIB,
    NO_START,
    CodeOutput,
    SandboxLimits,
    deadline_message,
)
from vivavoce.engines.settings import read_settings
from vivavoce.engines.workers import CancelToken, WorkerPool
from vivavoce.errors import ConfigError, EngineMissing, ToolError

ENGINE = "sandbox.bubblewrap"
_CLOSE_S = 10.0
_START_S = 20.0
_INSTALL = "Install it with `apt-get install bubblewrap` (0.7 or newer; Linux only)."
_PERMIT = (
    "Let this user make user namespaces: in a container by its seccomp profile (Docker: "
    "`--security-opt seccomp=unconfined --security-opt systempaths=unconfined`), on Ubuntu by "
    "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`, on older Debian by "
    "`sysctl kernel.unprivileged_userns_clone=1`; or use the sandbox `monty`."
)
_ANOTHER = (
    "User namespaces may be made here, so it is something else: let `program` be bubblewrap 0.7 "
    "or newer; or use the sandbox `monty`."
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BubblewrapSettings(SandboxLimits):
    """`python` is the interpreter; empty for the server's own, without packages."""

    memory_mib: Annotated[int, Field(ge=64, le=MAX_MEMORY_MIB)] = 512
    program: str = "bwrap"
    python: str = ""


class BubblewrapSandbox:
    """Run code in fresh sandboxes, at most `workers` at once. See `engines.ports.Sandbox`."""

    name = "bubblewrap"

    def __init__(
        self, program: str, interpreter: Interpreter, limits: SandboxLimits, seccomp_filter: bytes
    ) -> None:
        self.abilities = interpreter.abilities
        self._program = program
        self._interpreter = interpreter
        self._limits = limits
        self._seccomp_filter = seccomp_filter
        # `run` refuses what exceeds the queue; one place more is for closing.
        self._workers = WorkerPool(ENGINE, limits.workers, limits.workers + limits.queue + 1)
        self._processes: set[SandboxProcess] = set()
        self._closed = False

    async def run(self, code: str) -> CodeResult:
        """Run `code`, see `Sandbox`. A value of the last line is shown if nothing was printed."""
        if self._closed:
            raise ToolError(ENGINE, CLOSED)
        if len(self._processes) >= self._limits.workers + self._limits.queue:
            raise ToolError(ENGINE, BUSY)
        output = CodeOutput(self._limits.output_bytes)
        try:
            ended = await self._execute(code, output, self._limits.time_s)
        except OSError as failure:
            raise ToolError(ENGINE, NO_START) from failure
        if self._closed:
            raise ToolError(ENGINE, CLOSED)
        if ended.status and ended.error_line:
            log.error("sandbox failed", extra={"engine": ENGINE, "reason": ended.error_line})
            raise ToolError(ENGINE, NO_START)
        return self._result(ended, output)

    async def aclose(self) -> None:
        """End all runs, and refuse those that wait."""
        if self._closed:
            return
        self._closed = True
        begun = [process for process in list(self._processes) if process.stop()]
        await self._workers.run(lambda _: [process.ended.wait(_CLOSE_S) for process in begun])
        self._workers.close()

    async def probe(self) -> str:
        """Run a program of one line. Returns why it failed, or nothing."""
        output = CodeOutput(self._limits.output_bytes)
        try:
            ended = await self._execute("1 + 1", output, _START_S)
        except OSError as failure:
            return str(failure)
        if ended.status == 0 and output.text == "2\n":
            return ""
        return ended.error_line or output.text.strip() or f"status {ended.status}"

    async def _execute(self, code: str, output: CodeOutput, time_s: float) -> ProcessEnd:
        process = SandboxProcess(self._seccomp_filter, ENVIRONMENT)
        setup = partial(sandbox_command, self._program, self._interpreter, self._limits)

        def perform(token: CancelToken) -> ProcessEnd:
            try:
                return process.run(setup, code.encode(errors="replace"), time_s, output.append)
            finally:
                self._processes.discard(process)

        self._processes.add(process)
        try:
            return await self._workers.run(perform)
        finally:
            # Its thread discards a process that has begun.
            if not process.stop():
                self._processes.discard(process)

    def _result(self, ended: ProcessEnd, output: CodeOutput) -> CodeResult:
        if ended.timed_out:
            return output.result(DEADLINE, deadline_message(self._limits))
        status = ended.status
        if not status:
            return output.result(OK)
        if status == 1:
            return output.result(FAILED)
        if status == 128 + signal.SIGXCPU:
            return output.result(DEADLINE, deadline_message(self._limits))
        if status - 128 in set(signal.Signals):
            name = signal.Signals(status - 128).name
            return output.result(FAILED, f"[The program was ended by the signal {name}.]")
        return output.result(FAILED, f"[The program ended with the status {status}.]")


async def create(settings: Settings, host: EngineHost) -> BubblewrapSandbox:
    """Build the engine. Raises `ConfigError`, and `EngineMissing` where it can't work.

    That is `NamespacesForbidden` where the kernel forbids the namespaces.
    """
    limits = read_settings(ENGINE, settings, BubblewrapSettings)
    chosen = limits.program
    program = shutil.which(chosen)
    if program is None:
        raise EngineMissing(ENGINE, f"There is no program {chosen} on this machine.", _INSTALL)
    seccomp_filter = bubblewrap_process.system_call_filter()
    if seccomp_filter is None:
        raise EngineMissing(
            ENGINE, "This machine is neither x86-64 nor ARM64.", "Use the sandbox `monty`."
        )
    interpreter = await _interpreter(limits.python)
    sandbox = BubblewrapSandbox(program, interpreter, limits, seccomp_filter)
    if reason := await sandbox.probe():
        await sandbox.aclose()
        problem = f"bubblewrap can't run Python here ({reason})."
        if await namespaces_forbidden():
            raise NamespacesForbidden(ENGINE, problem, _PERMIT)
        raise EngineMissing(ENGINE, problem, _ANOTHER)
    return sandbox


async def _interpreter(python: str) -> Interpreter:
    if not python:
        return own_interpreter()
    try:
        found = await query_interpreter(python)
    except (OSError, TimeoutError) as failure:
        raise ConfigError(
            f"{ENGINE} can't use python = {python!r} ({failure}).",
            "Name the program of a Python, such as /opt/numbers/bin/python.",
        ) from failure
    return replace(found, packages=tuple(path for path in found.packages if path.is_dir()))
