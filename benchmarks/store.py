"""Cost of saving and restoring a session, against a bare write of the same bytes.

    python benchmarks/store.py [redis://127.0.0.1:6379/0]

A checkpoint is that of a conversation of an hour; the floor of SQLite is one row replaced in a
transaction of its own, with the same pragmas, and that of Redis one SET.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.content import Content, Role, Text, Tools
from vivavoce.domain.ids import SessionId
from vivavoce.store import build_store
from vivavoce.store.checkpoints import CheckpointEncoder
from vivavoce.store.port import SavedSession, StateStore

Row = tuple[str, tuple[float, float], float | None]
"""A store, what it takes to save and to take, and its floor, in milliseconds."""

TIMES = 300
TURNS = 240
NOW = 1_800_000_000.0


def checkpoint() -> bytes:
    """An hour of talk, four turns a minute."""
    said = Text("A sentence of some fifteen words, as people say them when they talk to it. ")
    roles = (Role.USER, Role.MODEL)
    history = tuple(Content(roles[number % 2], (said,)) for number in range(2 * TURNS))
    return (
        CheckpointEncoder()
        .encode(Checkpoint(SessionId("s"), "m", "Be brief.", Tools(), history, 0))
        .data
    )


async def median_ms(work: Callable[[int], Awaitable[object]]) -> float:
    """The median of `TIMES` runs."""
    took = []
    for number in range(TIMES):
        began = time.perf_counter()
        await work(number)
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


async def measure(store: StateStore, data: bytes) -> tuple[float, float]:
    """Milliseconds to save, and to take."""
    saved = SavedSession(SessionId("s"), "owner", "m", 10**9, data)
    await store.start()

    async def save(number: int) -> None:
        assert await store.save_session(saved, f"h{number}", NOW, NOW + 7200)

    async def take(number: int) -> None:
        await store.take_session(f"h{TIMES - 1}", "owner", "m", NOW, exact=False)

    try:
        return await median_ms(save), await median_ms(take)
    finally:
        await store.forget_session(saved.session, 10**10)
        await store.aclose()


async def sqlite_floor(path: Path, data: bytes) -> float:
    """One row replaced, in this very thread."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("CREATE TABLE one (id INTEGER PRIMARY KEY, data BLOB)")

        async def write(number: int) -> None:
            db.execute("INSERT OR REPLACE INTO one VALUES (1, ?)", (data,))

        return await median_ms(write)


async def redis_floor(url: str, data: bytes) -> float:
    """One SET with a time to live."""
    from redis.asyncio import Redis

    async with Redis.from_url(url) as redis:
        return await median_ms(lambda number: redis.set("vivavoce-floor", data, ex=60))


async def main(url: str) -> None:
    data = checkpoint()
    print(f"a checkpoint of {len(data) / 1024:.0f} KiB, median of {TIMES}")
    with tempfile.TemporaryDirectory() as folder:
        rows: list[Row] = [("memory", await measure(build_store("memory"), data), None)]
        floor = await sqlite_floor(Path(folder) / "floor.sqlite3", data)
        store = build_store("sqlite", Path(folder) / "state.sqlite3")
        rows.append(("sqlite", await measure(store, data), floor))
        if url:
            floor = await redis_floor(url, data)
            store = build_store("redis", url=url, prefix="vivavoce-benchmark")
            rows.append(("redis", await measure(store, data), floor))
    for name, (save_ms, take_ms), floor_ms in rows:
        against = "" if floor_ms is None else f"   {save_ms / floor_ms:.1f} × {floor_ms:.2f} ms"
        print(f"{name:8} save {save_ms:6.2f} ms   take {take_ms:6.2f} ms{against}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else ""))
