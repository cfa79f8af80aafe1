"""Parts of a sandbox: its end, each of its walls by itself, refused calls, forbidden namespaces."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import psutil
import pytest

from engines.bwrap import program
from vivavoce.engines import bubblewrap_process
from vivavoce.engines.bubblewrap_process import (
    ENVIRONMENT,
    SYSCALL_TABLES,
    ProcessEnd,
    SandboxProcess,
    namespaces_forbidden,
    own_interpreter,
    sandbox_command,
    system_call_filter,
)
from vivavoce.engines.sandbox_limits import CodeOutput, SandboxLimits

pytestmark = pytest.mark.integration

UNBOUND = """
import json, os, signal, sys
first = os.fork()
report = int(sys.argv[1])
if first:
    os.write(1, str(first).encode())
    os.write(report, json.dumps({"child-pid": first}).encode())
    os.close(report)
    os.waitpid(first, 0)
    os._exit(137)
os.close(report)
signal.pause()
"""


@dataclass
class Started:
    """A run in a thread, and the process that it tells of."""

    cell: SandboxProcess = field(default_factory=lambda: SandboxProcess(b"", {}))
    begun: threading.Event = field(default_factory=threading.Event)
    ended: list[ProcessEnd] = field(default_factory=list)
    printed: bytes = b""

    @property
    def first(self) -> int:
        return int(self.printed)

    def run(self, time_s: float, more: bool, early: bool) -> None:
        def sandbox_command(filter_: int, report: int) -> list[str]:
            if early:
                assert self.cell.stop()
            return [sys.executable, "-I", "-S", "-c", UNBOUND, str(report)]

        self.ended.append(
            self.cell.run(sandbox_command, b"", time_s, lambda piece: self._take(piece, more))
        )

    def _take(self, piece: bytes, more: bool) -> bool:
        self.printed += piece
        self.begun.set()
        return more


@contextlib.contextmanager
def started(time_s: float = 60, *, more: bool = True, early: bool = False) -> Iterator[Started]:
    """`more`: whether output is wanted after the first; `early`: stop it before it is known."""
    it = Started()
    thread = threading.Thread(target=it.run, args=(time_s, more, early), daemon=True)
    thread.start()
    try:
        yield it
        thread.join(20)
        assert not thread.is_alive()
    finally:
        it.cell.stop()
        if it.printed:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(it.first).kill()


def gone(process: int) -> bool:
    """Whether it has ended, even if nobody has asked how."""
    try:
        return bool(psutil.Process(process).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_one_that_is_stopped_ends() -> None:
    with started() as it:
        assert it.begun.wait(20)
        assert it.cell.stop()
        assert it.cell.ended.wait(20)
        assert gone(it.first)


def test_one_that_is_stopped_before_its_first_process_is_known_ends() -> None:
    with started(early=True) as it:
        assert it.cell.ended.wait(20)
        assert gone(it.first)


def test_one_that_took_too_long_ends() -> None:
    with started(0.3) as it:
        assert it.cell.ended.wait(20)
        assert gone(it.first)
    assert it.ended == [ProcessEnd(None, timed_out=True)]


def test_one_that_printed_too_much_ends() -> None:
    with started(more=False) as it:
        assert it.cell.ended.wait(20)
        assert gone(it.first)
    assert it.ended == [ProcessEnd(None)]


ALLOWS_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
"""A filter of one step: everything may be called."""

NOTHING: Mapping[str, Sequence[str]] = {}
SHARED = {"--unshare-user": ("--unshare-user", "--share-net")}
"""The network is the host's."""
RIGHTS = {"--cap-drop": ("--cap-add",)}
"""All that there are in a namespace of one's own."""

REACHING = """
import socket
for kind, address in ((socket.AF_INET, ("127.0.0.1", PORT)), (socket.AF_UNIX, NAME)):
    try:
        with socket.socket(kind) as end:
            end.settimeout(5)
            end.connect(address)
        print("reached")
    except OSError as error:
        print(type(error).__name__)
"""

RISING = """
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
tries = {
    "mount": lambda: libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None),
    "unshare": lambda: libc.unshare(0x20000),
    "sethostname": lambda: libc.sethostname(b"x", 1),
    "chroot": lambda: libc.chroot(b"/tmp"),
    "setuid": lambda: libc.setuid(0),
    "setgroups": lambda: libc.setgroups(1, (ctypes.c_uint * 1)(0)),
}
print([name for name, attempt in tries.items() if attempt() != -1])
print(socket.if_nameindex())
"""


def output(code: str, *, filtered: bool, instead: Mapping[str, Sequence[str]] = NOTHING) -> str:
    """What `code` prints in a sandbox with or without the filter, and with other arguments."""
    filter_ = bubblewrap_process.system_call_filter() if filtered else ALLOWS_ALL
    assert filter_ is not None
    printed = CodeOutput(1 << 16)

    def setup(filter_fd: int, report_fd: int) -> list[str]:
        limits = SandboxLimits(memory_mib=512)
        arguments = sandbox_command(program(), own_interpreter(), limits, filter_fd, report_fd)
        assert set(instead) < set(arguments)
        return [part for each in arguments for part in instead.get(each, (each,))]

    ended = SandboxProcess(filter_, ENVIRONMENT).run(setup, code.encode(), 60, printed.append)
    assert not ended.error_line
    return printed.text


@pytest.fixture
def reaching() -> Iterator[str]:
    """Code that goes to two servers of the host: one at its loopback, one that has only a name."""
    name = f"\0vivavoce-{uuid.uuid4().hex}"
    with contextlib.ExitStack() as stack:
        by_port = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        by_name = stack.enter_context(socket.socket(socket.AF_UNIX))
        by_name.bind(name)
        by_name.listen()
        yield REACHING.replace("PORT", str(by_port.getsockname()[1])).replace("NAME", repr(name))


def test_with_both_walls_down_the_host_is_reached(reaching: str) -> None:
    assert output(reaching, filtered=False, instead=SHARED) == "reached\nreached\n"


def test_the_namespace_of_the_network_keeps_the_host_away_without_the_filter(reaching: str) -> None:
    refused = "ConnectionRefusedError\n"
    assert output(reaching, filtered=False) == refused * 2


def test_the_filter_keeps_the_host_away_in_its_own_network(reaching: str) -> None:
    refused = "PermissionError\n"
    assert output(reaching, filtered=True, instead=SHARED) == refused * 2


def test_without_the_filter_the_code_still_has_no_rights_and_one_interface() -> None:
    rights, interfaces = output(RISING, filtered=False).splitlines()
    assert rights == "[]"
    assert interfaces == "[(1, 'lo')]"


def test_with_rights_it_would_have_them() -> None:
    rights, _ = output(RISING, filtered=False, instead=RIGHTS).splitlines()
    assert "mount" in rights
    assert "sethostname" in rights


ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
THREAD = 0x3D0F00
"""The flags with which the C library starts a thread."""

COMMON = {
    # read, write, openat, mmap, futex, exit_group, execve, socketpair, getrandom, wait4
    "x86_64": (0, 1, 257, 9, 202, 231, 59, 53, 318, 61),
    "aarch64": (63, 64, 56, 222, 98, 94, 221, 199, 278, 260),
}
REFUSED = {
    # socket, ptrace, unshare, setns, mount, memfd_create, shmget, bpf, keyctl, io_uring_setup
    "x86_64": (41, 101, 272, 308, 165, 319, 29, 321, 250, 425),
    "aarch64": (198, 117, 97, 268, 40, 279, 194, 280, 219, 425),
}


def verdict(filter_: bytes, audit: int, number: int, first: int = 0) -> int:
    """What the filter says to a call."""
    data = struct.pack("=IIQ6Q", number, audit, 0, first, 0, 0, 0, 0, 0)
    steps = list(struct.iter_unpack("=HBBI", filter_))
    at = loaded = 0
    while True:
        code, yes, no, k = steps[at]
        at += 1
        if code == 0x06:
            return int(k)
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", data, k)
        else:
            holds = {0x15: loaded == k, 0x35: loaded >= k, 0x45: bool(loaded & k)}[code]
            at += yes if holds else no


@pytest.mark.parametrize("machine", SYSCALL_TABLES)
def test_what_a_program_needs_is_allowed_and_the_rest_is_refused(machine: str) -> None:
    known, filter_ = SYSCALL_TABLES[machine], system_call_filter(machine)
    assert filter_ is not None
    assert [verdict(filter_, known.audit, n) for n in COMMON[machine]] == [ALLOW] * 10
    assert [verdict(filter_, known.audit, n) for n in REFUSED[machine]] == [EPERM] * 10
    assert set(REFUSED[machine]) <= set(known.refused)


@pytest.mark.parametrize("machine", SYSCALL_TABLES)
def test_threads_may_be_started_and_processes_may_not(machine: str) -> None:
    known, filter_ = SYSCALL_TABLES[machine], system_call_filter(machine)
    assert filter_ is not None
    assert verdict(filter_, known.audit, known.clone, THREAD) == ALLOW
    assert verdict(filter_, known.audit, known.clone, 17) == EPERM
    assert verdict(filter_, known.audit, 435) == ENOSYS


@pytest.mark.parametrize("machine", SYSCALL_TABLES)
def test_calls_in_the_manner_of_another_machine_end_the_program(machine: str) -> None:
    known, filter_ = SYSCALL_TABLES[machine], system_call_filter(machine)
    assert filter_ is not None
    assert verdict(filter_, 0x40000003, 1) == KILL
    assert verdict(filter_, known.audit, 0x40000000 | 41) == ENOSYS


def test_an_unknown_machine_has_no_filter() -> None:
    assert system_call_filter("riscv64") is None


def test_the_filter_fits_into_the_kernels_limit() -> None:
    assert all(len(system_call_filter(machine) or b"") < 8 * 4096 for machine in SYSCALL_TABLES)


ASKING = """
import asyncio, sys
from vivavoce.engines.bubblewrap import create
from vivavoce.engines.bubblewrap_process import NamespacesForbidden, namespaces_forbidden

async def main():
    print(await namespaces_forbidden())
    try:
        await create({"program": sys.argv[1]}, None)
    except NamespacesForbidden as missing:
        print(missing.fix)

asyncio.run(main())
"""


def answer_with_rights(*without: str) -> str:
    """Answer of a Python that bubblewrap has started, with more or less rights."""
    outside = [program(), "--unshare-user", "--die-with-parent", *without, "--dev-bind", "/", "/"]
    inside = [sys.executable, "-c", ASKING, program()]
    done = subprocess.run([*outside, *inside], capture_output=True, text=True, timeout=60)
    assert not done.returncode, done.stderr
    return done.stdout


async def test_they_are_permitted_where_a_sandbox_works() -> None:
    assert program()
    assert not await namespaces_forbidden()


def test_where_they_are_forbidden_that_is_found_out_and_the_fix_is_said() -> None:
    answer, _, fix = answer_with_rights("--disable-userns").partition("\n")
    assert answer == "True"
    assert "seccomp profile" in fix
    assert "monty" in fix
