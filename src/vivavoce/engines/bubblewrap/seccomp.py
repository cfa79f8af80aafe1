"""The system calls that are refused inside the sandbox, as a program for the kernel.

Namespaces take the network and the files away. What is left is the kernel itself, and memory
that no limit of a process counts. So these calls fail with EPERM:

- new processes (threads are allowed): one process is what the memory limit is about;
- memory that is held by something else than an address space: memfd, System V, message queues;
- sockets, namespaces, mounts, tracing, keys, BPF, io_uring, modules: a program of a model's needs
  none of them, and most holes of the kernel were found there.

Everything else is allowed. It is a list of what is known to be of no use, not of what is safe.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_THREAD = 0x10000
_X32 = 0x40000000


@dataclass(frozen=True, slots=True)
class Machine:
    """One architecture: its number in the kernel's audit, its calls that need a look, the refused.

    A call that the machine does not have has no entry.
    """

    audit: int
    clone: int
    refused: tuple[int, ...]


_CLONE3 = 435
_EVERYWHERE = (
    424, 425, 426, 427,  # pidfd_send_signal, io_uring_setup, _enter, _register
    428, 429, 430, 431, 432, 433, 442,  # open_tree, move_mount, fsopen and so on
    434, 438, 440, 447,  # pidfd_open, pidfd_getfd, process_madvise, memfd_secret
)  # fmt: skip

MACHINES = {
    "x86_64": Machine(
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
    "aarch64": Machine(
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


def program(machine: str = "") -> bytes | None:
    """The filter for this machine, as `bwrap --seccomp` reads it; `None` if it isn't known."""
    known = MACHINES.get(machine or platform.machine())
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
        # What clone3 is asked for lies in memory, where a filter can't look; without it the C
        # library takes clone.
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
