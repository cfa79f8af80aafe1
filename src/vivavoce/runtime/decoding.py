"""The thread in which messages are read that would take longer than an event loop can wait.

There is one for all connections: messages that are not light wait for each other, and hold
nothing else up. Reading them is Python, so the thread gives way to the event loop as it goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_WORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decoding")


async def run_in_decoder(work: Callable[[], T]) -> T:
    """The result of `work`, done in the thread."""
    return await asyncio.get_running_loop().run_in_executor(_WORKER, work)
