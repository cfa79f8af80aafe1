"""One connection to an SQLite file, in the state in which the store needs it.

A thread of its own makes every call from its first statement to its last, for the whole process,
so calls stand in line; a call whose turn does not come within the port's patience fails. Going to
the thread and back once a call, and not once a statement, is what keeps the line short where the
processor is busy with other work. A connection on which something failed is closed, and the next
call makes a new one.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from vivavoce.errors import StoreError
from vivavoce.store import sqlite_schema
from vivavoce.store.port import STORE_S

T = TypeVar("T")

BUSY_S = 2.0
"""How long another process's write may take; less than the port's patience."""

Work = Callable[[sqlite3.Connection], T]


class SqliteDatabase:
    """The file at `path`, which is made with its folder where it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: sqlite3.Connection | None = None
        self._inode = 0
        self._thread: ThreadPoolExecutor | None = None

    async def run_work(self, work: Work[T]) -> T:
        """Run `work` on the connection, alone, in the thread. Raises `StoreError`.

        What has begun is brought to its end also where the caller gives up: a transaction that was
        left open would lock all other processes out.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "state")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(STORE_S):
                return await loop.run_in_executor(self._thread, self._turn, work)
        except TimeoutError:
            raise StoreError("The state file is busy.") from None

    async def aclose(self) -> None:
        """Close it, after what is being done; what the disk does not answer is left behind."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(STORE_S):
                await loop.run_in_executor(thread, self._drop)
        except TimeoutError:
            self._opened = None
        thread.shutdown(wait=False, cancel_futures=True)  # it ends when the disk lets go of it

    # --- in the thread ------------------------------------------------------------------------

    def _turn(self, work: Work[T]) -> T:
        try:
            if self._opened is not None and not self._is_there():
                self._drop()  # the file was removed: a new one is made
            if self._opened is None:
                self._opened = self._open()
            return work(self._opened)
        except (sqlite3.Error, OSError, ValueError) as error:
            self._drop()
            raise StoreError(f"The state file cannot be used: {error}.") from error

    def _open(self) -> sqlite3.Connection:
        self._prepare()
        db = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
        try:
            ((version, tables),) = db.execute(sqlite_schema.ABOUT)
            if version not in (sqlite_schema.VERSION, *sqlite_schema.UPGRADABLE):
                raise sqlite3.DatabaseError(f"it is of another version ({version})")
            if version == 0 and tables:
                raise sqlite3.DatabaseError("it is a database of something else")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA foreign_keys = ON")
            if version != sqlite_schema.VERSION:
                db.executescript(sqlite_schema.SCHEMA)
        except BaseException:
            db.close()
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

    def _drop(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            with suppress(sqlite3.Error):
                opened.close()


@contextmanager
def write_transaction(db: sqlite3.Connection) -> Iterator[None]:
    """One transaction with the write lock from its beginning."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk has rolled it back already
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
