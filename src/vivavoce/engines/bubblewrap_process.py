"""Run code once under bubblewrap: interpreter, seccomp filter, command line, process.

Everything is absent in a sandbox but what the command line names: the interpreter and the system's
libraries, read-only; three devices; an empty `/tmp` in memory, of a bounded size. There is no
`/proc` and no `/etc`. The folders that lead to what was mounted are read-only too, so that code
cannot use memory outside the limits.

Namespaces take the network and the files away. What is left is the kernel itself, and memory that
no limit of a process counts. So these system calls fail with EPERM:

- new processes (threads are allowed): one process is what the memory limit is about;
- memory that is held by something else than an address space: memfd, System V, message queues;
- sockets, namespaces, mounts, tracing, keys, BPF, io_uring, modules: model-written code needs
  none of them, and most holes of the kernel were found there.

Everything else is allowed. This is a denylist of unneeded calls, not an allowlist.

bubblewrap starts a process that is the first of a new namespace, and waits for it. The kernel
kills all that is in a namespace with its first process, so that is the one to kill. Killing only
bubblewrap is not enough: `--die-with-parent` binds what it starts to it, but not from the first
moment on, and what was started in the meantime would run for ever. So nothing is killed before
bubblewrap has reported the number of that process, and then by a handle that can mean no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import math
import os
import platform
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivavoce.engines.sandbox_limits import SandboxLimits
from vivavoce.errors import EngineMissing

# --- the interpreter ---------------------------------------------------------------------

SYSTEM = Path("/usr")
PYTHON_MOUNT = Path("/python")
PACKAGES = Path("/packages")

_PROBE_S = 30.0
_MAX_LISTED_PACKAGES = 40
_INTERPRETER_QUERY = """
import importlib.metadata, json, os, site, sys
program = getattr(sys, "_base_executable", None) or sys.executable
print(json.dumps({
    "program": os.path.realpath(program),
    "base": sys.base_prefix,
    "version": "%d.%d" % sys.version_info[:2],
    "packages": site.getsitepackages(),
    "names": sorted({each.metadata["Name"] or "" for each in importlib.metadata.distributions()}),
}))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`program` without links, the folder that it was installed into, folders of packages.

    `version` is like `3.11`, `names` are the packages as their distributors call them.
    """

    program: Path
    base: Path
    version: str
    packages: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def abilities(self) -> str:
        """Description for a model."""
        text = f"It is Python {self.version} with its standard library, in one process"
        if self.names:
            some = ", ".join(self.names[:_MAX_LISTED_PACKAGES])
            more = " and others" * (len(self.names) > _MAX_LISTED_PACKAGES)
            text += f", and with the packages {some}{more}"
        return f"{text}."

    @property
    def inside(self) -> Path:
        """Path of the program in the sandbox."""
        return self.program if self.base == SYSTEM else PYTHON_MOUNT / "bin" / "python3"

    def mounts(self) -> list[tuple[Path, Path]]:
        """Return pairs of path and place in the sandbox: the program, its library, the packages.

        A Python of the system stays where it is. Another one is mounted at `PYTHON_MOUNT`, since
        tracebacks would show its path, and so whose machine this is.
        """
        found = [(self.program, self.inside)]
        if self.base != SYSTEM:
            for name in ("lib", "lib64"):
                if (self.base / name).is_dir():
                    found.append((self.base / name, PYTHON_MOUNT / name))
        return found + list(zip(self.packages, self.packages_inside(), strict=True))

    def packages_inside(self) -> list[Path]:
        """Return the paths of the package folders in the sandbox."""
        return [PACKAGES / str(number) for number, _ in enumerate(self.packages)]


def own_interpreter() -> Interpreter:
    """Return the Python of the server, without any package."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    version = "{}.{}".format(*sys.version_info)
    return Interpreter(Path(os.path.realpath(base)), Path(sys.base_prefix), version)


async def query_interpreter(python: str) -> Interpreter:
    """Ask the program `python` for its files and packages. Raises `OSError`."""
    _, output = await _run(python, "-I", "-c", _INTERPRETER_QUERY)
    try:
        found: dict[str, Any] = json.loads(output)
        return Interpreter(
            Path(found["program"]),
            Path(found["base"]),
            found["version"],
            tuple(map(Path, found["packages"])),
            tuple(name for name in found["names"] if name not in ("", "pip", "setuptools")),
        )
    except (ValueError, KeyError, TypeError) as failure:
        raise OSError("it does not answer like a Python") from failure


# --- namespaces --------------------------------------------------------------------------

# bubblewrap reports a failure in one of many sentences, and they change. So after a failure a
# process tries the same: to make the namespaces, to map its user there, and to mount something. It
# is a process of its own, since it can't leave the namespaces.
_REFUSED_STATUS = 77
_NAMESPACE_PROBE = f"""
import ctypes, os, sys

NEW = 0x10000000 | 0x00020000 | 0x08000000 | 0x04000000 | 0x20000000 | 0x40000000
SLAVE = 0x80000 | 0x4000
user, group = os.getuid(), os.getgid()
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(NEW):
    sys.exit({_REFUSED_STATUS})
try:
    for name, text in (
        ("setgroups", "deny"), ("uid_map", f"65534 {{user}} 1"), ("gid_map", f"65534 {{group}} 1")
    ):
        with open("/proc/self/" + name, "w") as file:
            file.write(text)
except OSError:
    sys.exit({_REFUSED_STATUS})
if libc.mount(None, b"/", None, SLAVE, None) or libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None):
    sys.exit({_REFUSED_STATUS})
"""


class NamespacesForbidden(EngineMissing):
    """The kernel or its security module refuses this user the namespaces of a sandbox."""


async def namespaces_forbidden() -> bool:
    """Return whether the kernel refuses namespaces to this user; false if not known."""
    try:
        status, _ = await _run(sys.executable, "-I", "-S", "-c", _NAMESPACE_PROBE)
    except TimeoutError:
        return False
    return status == _REFUSED_STATUS


async def _run(*command: str) -> tuple[int | None, bytes]:
    """Return exit status and standard output of a program. Raises `OSError`, `TimeoutError`."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(_PROBE_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode, output


# --- system calls ------------------------------------------------------------------------

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_THREAD = 0x10000
_X32 = 0x40000000


@dataclass(frozen=True, slots=True)
class SyscallTable:
    """System call numbers of one architecture: audit number, `clone`, refused calls."""

    audit: int
    clone: int
    refused: tuple[int, ...]


_CLONE3 = 435
_EVERYWHERE = (
    424, 425, 426, 427,  # pidfd_send_signal, io_uring_setup, _enter, _register
    428, 429, 430, 431, 432, 433, 442,  # open_tree, move_mount, fsopen and so on
    434, 438, 440, 447,  # pidfd_open, pidfd_getfd, process_madvise, memfd_secret
)  # fmt: skip

SYSCALL_TABLES = {
    "x86_64": SyscallTable(
        audit=0xC000003E,
        clone=56,
        refused=(
            57, 58,  # fork, vfork
            41,  # socket; a pair of connected ones is harmless, and asyncio needs it
            101, 310, 311, 312,  # ptrace, process_vm_readv, process_vm_writev, kcmp
            272, 308, 165, 166, 155, 161,  # unshare, setns, mount, umount2, pivot_root, chroot
            29, 30, 31, 64, 68, 240, 319,  # shm*, semget, msgget, mq_open, memfd_create
            248, 249, 250,  # keys
            321, 298, 323,  # bpf, perf_event_open, userfaultfd
            175, 313, 176, 246, 320,  # modules, kexec
            303, 304, 103, 163, 167, 179, 154, 135,  # handles, syslog, acct, swap, quota, ldt
            *_EVERYWHERE,
        ),
    ),
    "aarch64": SyscallTable(
        audit=0xC00000B7,
        clone=220,
        refused=(
            198,
            117, 270, 271, 272,
            97, 268, 40, 39, 41, 51,
            194, 195, 196, 190, 186, 180, 279,
            217, 218, 219,
            280, 241, 282,
            105, 273, 106, 104, 294,
            264, 265, 116, 89, 224, 60, 92,
            *_EVERYWHERE,
        ),
    ),
}  # fmt: skip
"""By the names of `platform.machine`. The rows of the second are those of the first."""


def system_call_filter(machine: str = "") -> bytes | None:
    """Return the filter for `bwrap --seccomp`; `None` for an unknown machine."""
    known = SYSCALL_TABLES.get(machine or platform.machine())
    if known is None:
        return None
    refuse = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    absent = (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, known.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        # Another way into the same calls, with numbers of its own.
        (_AT_LEAST, 0, 1, _X32),
        absent,
        # The arguments of clone3 are in memory, which a filter can't read; without it the C library
        # uses clone.
        (_EQUAL, 0, 1, _CLONE3),
        absent,
    ]
    for number in known.refused:
        steps += [(_EQUAL, 0, 1, number), refuse]
    steps += [
        (_EQUAL, 1, 0, known.clone),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_ANY_BIT, 0, 1, _THREAD),
        (_RETURN, 0, 0, _ALLOW),
        refuse,
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


# --- the command line --------------------------------------------------------------------

_GUEST = Path(__file__).with_name("bubblewrap_guest.py")
_INSIDE = "/guest.py"
_LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
_HARMLESS = ("/etc/ld.so.cache", "/usr/share/zoneinfo")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_UNPRIVILEGED_ID = "65534"
_MIB = 1 << 20
_SCRATCH = 16 * _MIB
_THREADS = 64
_OPEN_FILES = 64

ENVIRONMENT = {
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "LD_LIBRARY_PATH": str(PYTHON_MOUNT / "lib"),
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp",
    # A thread of these libraries takes address space, of which there is little.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}
"""All of the environment: of the server's, nothing is left."""


def sandbox_command(
    program: str, interpreter: Interpreter, limits: SandboxLimits, filter_fd: int, report_fd: int
) -> list[str]:
    """Return the whole command line.

    The filter of system calls is read from `filter_fd`; bubblewrap writes the number of the first
    process of the sandbox to `report_fd`.
    """
    return [
        program,
        "--unshare-all", "--unshare-user",
        "--die-with-parent", "--new-session",
        "--cap-drop", "ALL", "--uid", _UNPRIVILEGED_ID, "--gid", _UNPRIVILEGED_ID,
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
    """Yield options for the system's libraries, whose folders may be links to others."""
    for name in _LIBRARIES:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.is_dir():
            yield from ("--ro-bind", name, name)
    for name in _HARMLESS:
        yield from ("--ro-bind-try", name, name)


def _options(interpreter: Interpreter, limits: SandboxLimits) -> str:
    """Return the argument of the guest in JSON: soft and hard limits, and folders of packages."""
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
_EXIT_S = 5.0


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """The end of a sandbox.

    `status` is as in a shell: above 128, the signal that ended the program; `None` if it was killed
    here. `timed_out` says that it was killed at its time limit. `error_line` is the first line of
    bubblewrap's own messages.
    """

    status: int | None
    timed_out: bool = False
    error_line: str = ""


class SandboxProcess:
    """One sandbox. `run`, in one thread, starts it and blocks; any other thread may call `stop`.

    `seccomp_filter` is the filter of system calls, `environment` the whole environment.
    """

    def __init__(self, seccomp_filter: bytes, environment: Mapping[str, str]) -> None:
        self._seccomp_filter = seccomp_filter
        self._environment = environment
        self._lock = threading.Lock()
        self._first: int | None = None
        self._begun = False
        self._stopped = False
        self.ended = threading.Event()

    def stop(self) -> bool:
        """End it, or keep it from beginning. Returns whether it had begun."""
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
        on_output: Callable[[bytes], bool],
    ) -> ProcessEnd:
        """Run `code`, and pass its output to `on_output` until that returns false.

        `command` gets the descriptors of the filter and of bubblewrap's report. Raises `OSError`
        if the program can't be started.
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
                    return self._follow(process, began + time_s, on_output)
                finally:
                    self._finish(process)
        finally:
            self.ended.set()

    @contextlib.contextmanager
    def _started(
        self, command: Callable[[int, int], Sequence[str]], code: bytes
    ) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """Start bubblewrap with its input; yields it and the descriptor of its report."""
        with contextlib.ExitStack() as kept, contextlib.ExitStack() as given:
            report, reporting = os.pipe()
            kept.callback(os.close, report)
            given.callback(os.close, reporting)
            filter_fd, code_fd = _memory_file(self._seccomp_filter), _memory_file(code)
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
        """Wait for the number of the first process; there is none if bubblewrap failed."""
        output = _read_all(report, time.monotonic() + _START_S)
        with self._lock, contextlib.suppress(ValueError, KeyError, ProcessLookupError):
            self._first = os.pidfd_open(json.loads(output)["child-pid"])
        if self._stopped:
            self.stop()

    def _follow(
        self, process: subprocess.Popen[bytes], end: float, on_output: Callable[[bytes], bool]
    ) -> ProcessEnd:
        assert process.stdout is not None
        assert process.stderr is not None
        for piece in _pieces(process.stdout.fileno(), end):
            if not on_output(piece):
                return ProcessEnd(None)
        try:
            status = process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            return ProcessEnd(None, timed_out=True)
        output = _read_all(process.stderr.fileno(), time.monotonic() + _EXIT_S)
        error_line = output.decode(errors="replace").strip().partition("\n")[0]
        return ProcessEnd(128 - status if status < 0 else status, error_line=error_line)

    def _finish(self, process: subprocess.Popen[bytes]) -> None:
        """Kill the processes, and wait until their output is closed."""
        with self._lock:
            first, self._first = self._first, None
        if first is not None:
            _kill(first)
            os.close(first)
        else:
            process.kill()
        assert process.stdout is not None
        for _ in _pieces(process.stdout.fileno(), time.monotonic() + _EXIT_S):
            pass
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_EXIT_S)
        process.kill()


def _kill(first: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(first, signal.SIGKILL)


def _memory_file(content: bytes) -> int:
    """Return the descriptor of a file in memory, to be read from its beginning."""
    descriptor = os.memfd_create("vivavoce")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _pieces(descriptor: int, end: float) -> Iterator[bytes]:
    """Yield output until the descriptor is closed, or until the time `end`."""
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    while (left := end - time.monotonic()) > 0:
        if ready.poll(left * 1000):
            if not (piece := os.read(descriptor, _PIECE)):
                return
            yield piece


def _read_all(descriptor: int, end: float) -> bytes:
    return b"".join(_pieces(descriptor, end))
