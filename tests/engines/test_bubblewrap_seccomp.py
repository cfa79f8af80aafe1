"""The filter of system calls, for every machine: interpreted here as the kernel would."""

from __future__ import annotations

import errno
import struct

import pytest

from vivavoce.engines.bubblewrap.seccomp import MACHINES, program

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


@pytest.mark.parametrize("machine", MACHINES)
def test_what_a_program_needs_is_allowed_and_the_rest_is_refused(machine: str) -> None:
    known, filter_ = MACHINES[machine], program(machine)
    assert filter_ is not None
    assert [verdict(filter_, known.audit, n) for n in COMMON[machine]] == [ALLOW] * 10
    assert [verdict(filter_, known.audit, n) for n in REFUSED[machine]] == [EPERM] * 10
    assert set(REFUSED[machine]) <= set(known.refused)


@pytest.mark.parametrize("machine", MACHINES)
def test_threads_may_be_started_and_processes_may_not(machine: str) -> None:
    known, filter_ = MACHINES[machine], program(machine)
    assert filter_ is not None
    assert verdict(filter_, known.audit, known.clone, THREAD) == ALLOW
    assert verdict(filter_, known.audit, known.clone, 17) == EPERM
    assert verdict(filter_, known.audit, 435) == ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_in_the_manner_of_another_machine_end_the_program(machine: str) -> None:
    known, filter_ = MACHINES[machine], program(machine)
    assert filter_ is not None
    assert verdict(filter_, 0x40000003, 1) == KILL
    assert verdict(filter_, known.audit, 0x40000000 | 41) == ENOSYS


def test_an_unknown_machine_has_no_filter() -> None:
    assert program("riscv64") is None


def test_the_filter_fits_into_the_kernels_limit() -> None:
    assert all(len(program(machine) or b"") < 8 * 4096 for machine in MACHINES)
