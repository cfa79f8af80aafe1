"""What the sandbox consists of, as arguments of bubblewrap.

Everything is absent but what stands here: the interpreter and the system's libraries, read-only;
three devices; an empty `/tmp` in memory, of a bounded size. There is no `/proc` and no `/etc`.
The folders that lead to what was mounted are read-only too, so that nothing can be put into
memory beside the limits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from vivavoce.engines.bubblewrap.interpreter import PLACE, Interpreter
from vivavoce.engines.sandboxes import Limits

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
    program: str, interpreter: Interpreter, limits: Limits, filter_fd: int, report_fd: int
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


def _options(interpreter: Interpreter, limits: Limits) -> str:
    """What the guest is told: pairs of soft and hard limits, and where packages are."""
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
