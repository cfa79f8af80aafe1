"""A session of Google's Python SDK that is listened to all the time, whatever is said meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any


class Listener:
    """Everything that came, and when, in the loop's time."""

    def __init__(self, session: Any) -> None:
        self.heard: list[tuple[float, Any]] = []
        self._session = session
        self._came = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:  # the SDK's iterator ends with every turn
            async for message in self._session.receive():
                self.heard.append((loop.time(), message))
                self._came.set()

    @property
    def messages(self) -> list[Any]:
        return [message for _, message in self.heard]

    async def until(
        self, met: Callable[[list[Any]], bool], since: int = 0, within_s: float = 15.0
    ) -> int:
        """Wait until what came from number `since` on meets something; how much has come then."""
        async with asyncio.timeout(within_s):
            while not met(self.messages[since:]):
                self._came.clear()
                await self._came.wait()
        return len(self.heard)


@asynccontextmanager
async def listening(session: Any) -> AsyncIterator[Listener]:
    listener = Listener(session)
    task = asyncio.create_task(listener.run())
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def flags(messages: list[Any], name: str) -> int:
    """How often a flag of `server_content` was set."""
    return sum(bool(m.server_content and getattr(m.server_content, name)) for m in messages)


def calls(messages: list[Any]) -> list[Any]:
    """The calls that were asked of the client."""
    return [call for m in messages if m.tool_call for call in m.tool_call.function_calls]
