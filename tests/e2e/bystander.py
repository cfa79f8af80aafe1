"""Another client, whose ordinary conversation shows that a server is whole and holds nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from serving import connected, spoken, until
from vivavoce.engines.scripted import hear
from vivavoce.server import Server

MIB = 1024 * 1024
INVALID, POLICY, TOO_BIG, INTERNAL = 1007, 1008, 1009, 1011


@contextlib.asynccontextmanager
async def unharmed(server: Server) -> AsyncIterator[None]:
    """Whatever the block does, the server serves others during and after it, and forgets it."""
    await converse(server)
    await until(lambda: server.listener.connections == 0 and len(server.sessions) == 0)
    before = len(asyncio.all_tasks())
    yield
    await converse(server)
    await until(lambda: server.listener.connections == 0 and server.listener.tasks == 0, 15)
    assert len(server.sessions) == 0
    await until(lambda: len(asyncio.all_tasks()) <= before)


async def converse(server: Server) -> None:
    async with connected(server) as client:
        assert "setupComplete" in await client.set_up()
        await client.say("hi")
        assert hear(spoken(await client.turn()), 24_000) == "hi"
