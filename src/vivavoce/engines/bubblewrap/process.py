"""One running sandbox: its command line, two processes to end, and three pipes.

Everything is absent in a sandbox but what the command line names: the interpreter and the system's
libraries, read-only; three devices; an empty `/tmp` in memory, of a bounded size. There is no
`/proc` and no `/etc`. The folders that lead to what was mounted are read-only too, so that nothing
can be put into memory beside the limits.

bubblewrap starts a process that is the first of a new namespace, and waits for it. The kernel
kills all that is in a namespace with its first process, so that is the one to kill. Killing only
bubblewrap is not enough: `--die-with-parent` binds what it starts to it, but not from the first
moment on, and what was started in the meantime would run for ever. So nothing is killed before
bubblewrap has reported the number of that process, and then by a handle that can mean no other.

Everything here blocks, and belongs into a worker pool.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vivavoce.engines.bubblewrap.interpreter import PLACE, Interpreter
from vivavoce.engines.sandboxes import SandboxLimits

_GUEST = Path(__file__).with_name("guest.py")
_INSIDE = "/guest.py"
_LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
_HARMLESS = ("/etc/ld.so.cache", "/usr/share/zoneinfo")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_NOBODY = "65534"
_MIB = 1 << 20
_SCRATCH = 16 * _MIB
_THREADS = 64
_OPEN_FILES = 64

ENVIRONMENT = {
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "LD_LIBRARY_PATH": str(PLACE / "lib"),
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp",
    # A thread of these libraries takes address space, of which there is little.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}
"""All of the environment: of the server's, nothing is left."""


def command(
    program: str, interpreter: Interpreter, limits: SandboxLimits, filter_fd: int, report_fd: int
) -> list[str]:
    """The whole command line.

    The filter of system calls is read from `filter_fd`; to `report_fd` bubblewrap writes which
    process is the first of the sandbox.
    """
    return [
        program,
        "--unshare-all", "--unshare-user",
        "--die-with-parent", "--new-session",
        "--cap-drop", "ALL", "--uid", _NOBODY, "--gid", _NOBODY,
        "--hostname", "sandbox",
        *_system(),
        *(part for pair in interpreter.mounts() for part in ("--ro-bind", *map(str, pair))),
        *(part for device in _DEVICES for part in ("--dev-bind", device, device)),
        "--ro-bind", str(_GUEST), _INSIDE,
        "--size", str(_SCRATCH), "--tmpfs", "/tmp",
        "--remount-ro", "/",
        "--chdir", "/tmp",
        "--seccomp", str(filter_fd), "--info-fd", str(report_fd),
        "--", str(interpreter.inside), "-I", "-S", "-B", "-u", _INSIDE,
        _options(interpreter, limits),
    ]  # fmt: skip


def _system() -> Iterator[str]:
    """The system's libraries; on most systems some of their folders are links to others."""
    for name in _LIBRARIES:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.is_dir():
            yield from ("--ro-bind", name, name)
    for name in _HARMLESS:
        yield from ("--ro-bind-try", name, name)


def _options(interpreter: Interpreter, limits: SandboxLimits) -> str:
    """Arguments of the guest in JSON: soft and hard limits, and the folders of packages."""
    cpu_s = math.ceil(limits.time_s) + 1
    memory = limits.memory_mib * _MIB
    return json.dumps(
        {
            "limits": {
                "RLIMIT_AS": (memory, memory),
                "RLIMIT_CPU": (cpu_s, cpu_s + 1),
                "RLIMIT_FSIZE": (_SCRATCH, _SCRATCH),
                "RLIMIT_NPROC": (_THREADS, _THREADS),
                "RLIMIT_NOFILE": (_OPEN_FILES, _OPEN_FILES),
                "RLIMIT_CORE": (0, 0),
            },
            "packages": [str(path) for path in interpreter.packages_inside()],
        }
    )


# --- the process -------------------------------------------------------------------------

_PIECE = 4096
_START_S = 20.0
_FAREWELL_S = 5.0


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """The end of a sandbox.

    `status` is as a shell would tell it: above 128, the signal that ended the program; `None` if
    it was killed here. `late` says that it was killed because its time was up. `complaint` is the
    first line that bubblewrap itself had to say.
    """

    status: int | None
    late: bool = False
    complaint: str = ""


class SandboxProcess:
    """Started by `run`, in one thread; `stop` may be called from any other.

    `calls` is the filter of system calls, `environment` all that the code has of one.
    """

    def __init__(self, calls: bytes, environment: Mapping[str, str]) -> None:
        self._calls = calls
        self._environment = environment
        self._lock = threading.Lock()
        self._first: int | None = None
        self._begun = False
        self._stopped = False
        self.ended = threading.Event()

    def stop(self) -> bool:
        """End it, or keep it from beginning; whether it had begun."""
        with self._lock:
            self._stopped = True
            if self._first is not None:
                _kill(self._first)
            return self._begun

    def run(
        self,
        command: Callable[[int, int], Sequence[str]],
        code: bytes,
        time_s: float,
        take: Callable[[bytes], bool],
    ) -> ProcessEnd:
        """Run `code`, and hand what it prints to `take` until that returns false.

        `command` is told the descriptors of the filter and of bubblewrap's own report. Raises
        `OSError` if the program can't be started.
        """
        with self._lock:
            if self._stopped:
                return ProcessEnd(None)
            self._begun = True
        began = time.monotonic()
        try:
            with self._started(command, code) as (process, report):
                try:
                    self._begin(report)
                    return self._follow(process, began + time_s, take)
                finally:
                    self._finish(process)
        finally:
            self.ended.set()

    @contextlib.contextmanager
    def _started(
        self, command: Callable[[int, int], Sequence[str]], code: bytes
    ) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """bubblewrap with its input, and the descriptor of its report."""
        with contextlib.ExitStack() as kept, contextlib.ExitStack() as given:
            report, reporting = os.pipe()
            kept.callback(os.close, report)
            given.callback(os.close, reporting)
            filter_fd, code_fd = _file(self._calls), _file(code)
            given.callback(os.close, filter_fd)
            given.callback(os.close, code_fd)
            process = kept.enter_context(
                subprocess.Popen(
                    command(filter_fd, reporting),
                    stdin=code_fd,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=self._environment,
                    cwd="/",
                    pass_fds=(filter_fd, reporting),
                    # The interrupt of a terminal is for the server.
                    start_new_session=True,
                )
            )
            given.close()
            yield process, report

    def _begin(self, report: int) -> None:
        """Wait until the first process is known; there is none if bubblewrap gave up."""
        said = _all(report, time.monotonic() + _START_S)
        with self._lock, contextlib.suppress(ValueError, KeyError, ProcessLookupError):
            self._first = os.pidfd_open(json.loads(said)["child-pid"])
        if self._stopped:
            self.stop()

    def _follow(
        self, process: subprocess.Popen[bytes], end: float, take: Callable[[bytes], bool]
    ) -> ProcessEnd:
        assert process.stdout is not None
        assert process.stderr is not None
        for piece in _pieces(process.stdout.fileno(), end):
            if not take(piece):
                return ProcessEnd(None)
        try:
            status = process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            return ProcessEnd(None, late=True)
        said = _all(process.stderr.fileno(), time.monotonic() + _FAREWELL_S)
        complaint = said.decode(errors="replace").strip().partition("\n")[0]
        return ProcessEnd(128 - status if status < 0 else status, complaint=complaint)

    def _finish(self, process: subprocess.Popen[bytes]) -> None:
        """Kill what still runs, and wait until its output is closed."""
        with self._lock:
            first, self._first = self._first, None
        if first is not None:
            _kill(first)
            os.close(first)
        else:
            process.kill()
        assert process.stdout is not None
        for _ in _pieces(process.stdout.fileno(), time.monotonic() + _FAREWELL_S):
            pass
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_FAREWELL_S)
        process.kill()


def _kill(first: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(first, signal.SIGKILL)


def _file(content: bytes) -> int:
    """A descriptor of a file in memory, to be read from its beginning."""
    descriptor = os.memfd_create("vivavoce")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _pieces(descriptor: int, end: float) -> Iterator[bytes]:
    """Read until the descriptor is closed, or until the time is over."""
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    while (left := end - time.monotonic()) > 0:
        if ready.poll(left * 1000):
            if not (piece := os.read(descriptor, _PIECE)):
                return
            yield piece


def _all(descriptor: int, end: float) -> bytes:
    return b"".join(_pieces(descriptor, end))
