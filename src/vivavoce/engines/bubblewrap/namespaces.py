"""Whether this user may make the namespaces of a sandbox, as the kernel says it.

bubblewrap says why it failed in a sentence, of which there are many, and they change. So where it
failed, a process of ours tries the same: to make the namespaces, to say who it is there, and to
mount something. It has to be a process of its own, since what it makes it can't leave again.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL

from vivavoce.errors import EngineMissing

_LIMIT_S = 20.0
_REFUSED = 77
_TRY = f"""
import ctypes, os, sys

NEW = 0x10000000 | 0x00020000 | 0x08000000 | 0x04000000 | 0x20000000 | 0x40000000
SLAVE = 0x80000 | 0x4000
user, group = os.getuid(), os.getgid()
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(NEW):
    sys.exit({_REFUSED})
try:
    for name, text in (
        ("setgroups", "deny"), ("uid_map", f"65534 {{user}} 1"), ("gid_map", f"65534 {{group}} 1")
    ):
        with open("/proc/self/" + name, "w") as file:
            file.write(text)
except OSError:
    sys.exit({_REFUSED})
if libc.mount(None, b"/", None, SLAVE, None) or libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None):
    sys.exit({_REFUSED})
"""


class NamespacesForbidden(EngineMissing):
    """The kernel, or who guards it, refuses this user the namespaces that a sandbox is made of."""


async def forbidden() -> bool:
    """Whether they are refused here; false too if that can't be found out."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", _TRY, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(_LIMIT_S):
            return await process.wait() == _REFUSED
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
