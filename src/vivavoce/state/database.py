"""One connection to an SQLite file, in the state in which the store needs it.

It has a thread of its own (aiosqlite) and serves the whole process, so calls stand in line; a call
whose turn does not come within the port's patience fails. A connection on which something failed
is closed, and the next call makes a new one.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from vivavoce.errors import StoreError
from vivavoce.state import rows
from vivavoce.state.port import STORE_S

T = TypeVar("T")

BUSY_S = 2.0
"""How long another process's write may take; less than the port's patience."""

Work = Callable[[aiosqlite.Connection], Awaitable[T]]


class Database:
    """The file at `path`, which is made with its folder where it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: aiosqlite.Connection | None = None
        self._inode = 0
        self._line = asyncio.Lock()

    async def do(self, work: Work[T]) -> T:
        """Run `work` on the connection, alone. Raises `StoreError`.

        What has begun is brought to its end also where the caller gives up: a transaction that was
        left open would lock everybody else out.
        """
        try:
            async with asyncio.timeout(STORE_S):
                await self._line.acquire()
                turn = asyncio.ensure_future(self._turn(work))
                turn.add_done_callback(self._next)
                return await asyncio.shield(turn)
        except TimeoutError:
            raise StoreError("The state file is busy.") from None

    async def aclose(self) -> None:
        """Close it, after what is being done; what the disk does not answer is left behind."""
        try:
            async with asyncio.timeout(STORE_S), self._line:
                await self._drop()
        except TimeoutError:
            opened, self._opened = self._opened, None
            if opened is not None:
                opened.stop()  # its thread ends when the disk lets go of it

    async def _turn(self, work: Work[T]) -> T:
        try:
            if self._opened is not None and not await asyncio.to_thread(self._is_there):
                await self._drop()  # somebody took the file away: a new one is made
            if self._opened is None:
                self._opened = await self._open()
            return await work(self._opened)
        except (sqlite3.Error, OSError, ValueError) as error:
            await self._drop()
            raise StoreError(f"The state file cannot be used: {error}.") from error

    def _next(self, turn: asyncio.Future[Any]) -> None:
        self._line.release()
        if not turn.cancelled():
            turn.exception()  # nobody may be left to hear of it

    async def _open(self) -> aiosqlite.Connection:
        await asyncio.to_thread(self._prepare)
        db = await aiosqlite.connect(self._path, timeout=BUSY_S, isolation_level=None)
        try:
            ((version, tables),) = await db.execute_fetchall(rows.ABOUT)
            if version not in (rows.VERSION, *rows.UPGRADABLE):
                raise sqlite3.DatabaseError(f"it is of another version ({version})")
            if version == 0 and tables:
                raise sqlite3.DatabaseError("it is a database of something else")
            await db.execute("PRAGMA journal_mode = WAL")
            await db.execute("PRAGMA synchronous = NORMAL")
            await db.execute("PRAGMA foreign_keys = ON")
            if version != rows.VERSION:
                await db.executescript(rows.SCHEMA)
        except asyncio.CancelledError:
            db.stop()  # the process ends, and does not wait for its disk
            raise
        except BaseException:
            await db.close()
            raise
        return db

    def _prepare(self) -> None:
        """The folder and the file, for this user's eyes only."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):  # and closing one that is there would take SQLite's locks
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        self._inode = self._path.stat().st_ino

    def _is_there(self) -> bool:
        """Whether the path still leads to the file that is open."""
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    async def _drop(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            with suppress(sqlite3.Error, ValueError):
                await opened.close()


@asynccontextmanager
async def writing(db: aiosqlite.Connection) -> AsyncIterator[None]:
    """One transaction with the write lock from its beginning."""
    await db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk has rolled it back already
            await db.execute("ROLLBACK")
        raise
    await db.execute("COMMIT")
