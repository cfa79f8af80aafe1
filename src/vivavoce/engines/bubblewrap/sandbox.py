"""The port: one process of bubblewrap a run, fed and read by the event loop.

- The code goes in by standard input, what it prints comes out by standard output. Standard error
  is for bubblewrap's own complaints: the guest has closed it before any code runs.
- A run is ended by killing the process that was started here. The kernel then kills all that is
  in the sandbox with it, since it is what holds the sandbox open.
- Whether it works on this machine is found out by trying: namespaces may be forbidden in half a
  dozen places.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass, replace

from vivavoce.domain.content import CodeResult
from vivavoce.engines.bubblewrap import seccomp
from vivavoce.engines.bubblewrap.command import ENVIRONMENT, command
from vivavoce.engines.bubblewrap.interpreter import Interpreter, ask, servers_own
from vivavoce.engines.ports import EngineHost, Settings
from vivavoce.engines.sandboxes import (
    BUSY,
    CLOSED,
    DEADLINE,
    FAILED,
    OK,
    Limits,
    Output,
    read_limits,
    too_late,
)
from vivavoce.errors import ConfigError, EngineMissing, ToolError

ENGINE = "sandbox.bubblewrap"
_LEAST_MIB, _DEFAULT_MIB = 64, 512
_PIECE = 4096
_FAREWELL_S = 2.0
_START_S = 20.0
_INSTALL = "Install it with `apt-get install bubblewrap` (0.7 or newer; Linux only)."
_PERMIT = (
    "Let this user make user namespaces: in a container by its seccomp profile (Docker: "
    "`--security-opt seccomp=unconfined --security-opt systempaths=unconfined`), on Ubuntu by "
    "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`, on older Debian by "
    "`sysctl kernel.unprivileged_userns_clone=1`; or use the sandbox `monty`."
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its status, unless it was killed here; what bubblewrap complained of."""

    status: int | None
    complaint: str = ""


class BubblewrapSandbox:
    """Runs code in fresh sandboxes, at most `workers` at once."""

    name = "bubblewrap"

    def __init__(
        self, program: str, interpreter: Interpreter, limits: Limits, calls: bytes
    ) -> None:
        self._program = program
        self._interpreter = interpreter
        self._limits = limits
        self._calls = calls
        self._places = asyncio.Semaphore(limits.workers)
        self._wanted = 0
        self._processes: set[Process] = set()
        self._closed = False

    async def run(self, code: str) -> CodeResult:
        """See `Sandbox`. A value of the last line is shown if nothing was printed."""
        if self._wanted >= self._limits.workers + self._limits.queue:
            raise ToolError(ENGINE, BUSY)
        self._wanted += 1
        try:
            async with self._places:
                return await self._run(code)
        finally:
            self._wanted -= 1

    async def aclose(self) -> None:
        """End everything that runs; who waits is refused."""
        self._closed = True
        for process in list(self._processes):
            _kill(process)
        for process in list(self._processes):
            await process.wait()

    async def probe(self) -> str:
        """Why it does not work here, in the words of who refused; empty if it does."""
        output = Output(self._limits.output_bytes)
        try:
            async with asyncio.timeout(_START_S):
                ended = await self._execute("1 + 1", output)
        except (OSError, TimeoutError) as failure:
            return str(failure) or "it does not start in time"
        if ended.status == 0 and output.text == "2\n":
            return ""
        return ended.complaint or output.text.strip() or f"status {ended.status}"

    async def _run(self, code: str) -> CodeResult:
        output = Output(self._limits.output_bytes)
        try:
            async with asyncio.timeout(self._limits.time_s):
                ended = await self._execute(code, output)
        except TimeoutError:
            return output.result(DEADLINE, too_late(self._limits))
        except OSError as failure:
            raise ToolError(ENGINE, "The sandbox can't be started.") from failure
        if ended.status and ended.complaint:
            log.error("sandbox failed: engine=%s reason=%s", ENGINE, ended.complaint)
            raise ToolError(ENGINE, "The sandbox can't be started.")
        return self._result(ended.status, output)

    def _result(self, status: int | None, output: Output) -> CodeResult:
        """`status` as a shell would tell it: above 128, the signal that ended the program."""
        if not status:
            return output.result(OK)
        if status == 1:
            return output.result(FAILED)
        if status == 128 + signal.SIGXCPU:
            return output.result(DEADLINE, too_late(self._limits))
        if status - 128 in set(signal.Signals):
            name = signal.Signals(status - 128).name
            return output.result(FAILED, f"[The program was ended by the signal {name}.]")
        return output.result(FAILED, f"[The program ended with the status {status}.]")

    async def _execute(self, code: str, output: Output) -> Ended:
        if self._closed:
            raise ToolError(ENGINE, CLOSED)
        process = await self._start()
        self._processes.add(process)
        source, sink, complaints = process.stdout, process.stdin, process.stderr
        assert source is not None
        assert sink is not None
        assert complaints is not None
        try:
            sink.write(code.encode(errors="replace"))
            sink.close()
            while piece := await source.read(_PIECE):
                if not output.add(piece):
                    return Ended(None)
            status = await process.wait()
            if self._closed:
                raise ToolError(ENGINE, CLOSED)
            complaint = (await complaints.read(_PIECE)).decode(errors="replace")
            return Ended(status, complaint.strip().partition("\n")[0])
        finally:
            self._processes.discard(process)
            await _end(process)

    async def _start(self) -> Process:
        filter_fd = _pipe(self._calls)
        try:
            return await asyncio.create_subprocess_exec(
                *command(self._program, self._interpreter, self._limits, filter_fd),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env=ENVIRONMENT,
                cwd="/",
                pass_fds=(filter_fd,),
                # The interrupt of a terminal is for the server.
                start_new_session=True,
            )
        finally:
            os.close(filter_fd)


def _pipe(content: bytes) -> int:
    """A descriptor from which `content` can be read; it has room in a pipe."""
    source, sink = os.pipe()
    try:
        os.write(sink, content)
    finally:
        os.close(sink)
    return source


def _kill(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def _end(process: Process) -> None:
    """Kill it if it still runs, and wait until its pipes are empty and closed."""
    _kill(process)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FAREWELL_S):
            await process.wait()
            for source in (process.stdout, process.stderr):
                while source is not None and await source.read(1 << 16):
                    pass


async def create(settings: Settings, host: EngineHost) -> BubblewrapSandbox:
    """The engine. Settings: see `Limits`; `program` is bubblewrap, `python` the interpreter.

    Without `python` it is the server's own, with no packages. Raises `ConfigError`,
    `EngineMissing` where it can't work.
    """
    limits = read_limits(
        ENGINE, settings, memory=(_LEAST_MIB, _DEFAULT_MIB), others=("program", "python")
    )
    chosen = str(settings.get("program") or "bwrap")
    program = shutil.which(chosen)
    if program is None:
        raise EngineMissing(ENGINE, f"There is no program {chosen} on this machine.", _INSTALL)
    calls = seccomp.program()
    if calls is None:
        raise EngineMissing(
            ENGINE, "This machine is neither x86-64 nor ARM64.", "Use the sandbox `monty`."
        )
    interpreter = await _interpreter(settings.get("python"))
    sandbox = BubblewrapSandbox(program, interpreter, limits, calls)
    if reason := await sandbox.probe():
        raise EngineMissing(ENGINE, f"bubblewrap can't run Python here ({reason}).", _PERMIT)
    return sandbox


async def _interpreter(python: object) -> Interpreter:
    if python is None or python == "":
        found = servers_own()
    elif isinstance(python, str):
        try:
            found = await ask(python)
        except (OSError, TimeoutError) as failure:
            raise ConfigError(
                f"{ENGINE} can't use python = {python!r} ({failure}).",
                "Name the program of a Python, such as /opt/numbers/bin/python.",
            ) from failure
    else:
        raise ConfigError(f"{ENGINE} can't use python = {python!r}.", "Give it a path.")
    return replace(found, packages=tuple(path for path in found.packages if path.is_dir()))
