"""Return of freed memory to the system, after connections that brought much.

glibc keeps freed blocks of less than 128 KiB for itself wherever a used one lies above them. Large
messages arrive in such blocks: of 160 MB in eight unfinished ones, 120 stayed with the process.
"""

from __future__ import annotations

import asyncio
import ctypes
from weakref import WeakSet

MUCH_BYTES = 1024 * 1024
"""What a connection has to have brought for it to matter."""

DELAY_S = 5.0
"""How long after such a connection: what its session held is freed by then, and many connections
are served by one call, which takes a fifth of a millisecond for each megabyte, in a thread."""

_expected: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def return_memory_later(loop: asyncio.AbstractEventLoop) -> None:
    """Have freed memory returned in `DELAY_S` seconds, unless that is expected already."""
    if loop not in _expected:
        _expected.add(loop)
        loop.call_later(DELAY_S, _return_memory, loop)


def _return_memory(loop: asyncio.AbstractEventLoop) -> None:
    _expected.discard(loop)
    loop.run_in_executor(None, trim_heap)


def trim_heap() -> bool:
    """Return free pages of the C library's heap to the system. False where it has no such call."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # no glibc
        return False
    return bool(trim(0))
