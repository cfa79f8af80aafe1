"""SQLite store for sessions, tokens, API keys and quotas; shared by processes on one machine.

Write-ahead logging lets readers go on beside a writer. Every method that must be atomic is one
transaction that begins by taking the write lock (`BEGIN IMMEDIATE`), or one conditional statement.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any, TypeVar

from vivavoce.domain.accounts import KeyRecord, Quota, Scope, TokenRecord
from vivavoce.domain.ids import SessionId
from vivavoce.errors import ConfigError, StoreError
from vivavoce.store.port import (
    KEEP_EXPIRED_S,
    MAX_HANDLES,
    STORE_TIMEOUT_S,
    Refusal,
    SavedSession,
    token_refusal,
)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

WRITES_PER_SWEEP = 256
"""Number of writes between two sweeps of expired rows."""

BUSY_TIMEOUT_S = 2.0
"""Time limit for another process's write; less than `STORE_TIMEOUT_S`."""


class SqliteStore:
    """State store in SQLite. `path` is the file, created with its folder if absent."""

    shared = True
    max_handles = MAX_HANDLES

    def __init__(
        self,
        path: Path,
        timeout_s: float = STORE_TIMEOUT_S,
        busy_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        self.name = f"sqlite {path}"
        self._path = path
        self._file = SqliteDatabase(path, timeout_s, busy_s)
        self._writes = 0

    async def start(self) -> None:
        """Open the file. Raises `ConfigError` if it can't be opened or is no such store.

        A file that another process has locked is a `StoreError`.
        """
        try:
            await self.ping()
        except StoreError as error:
            if not isinstance(why := error.__cause__, (sqlite3.Error, OSError)) or _is_busy(why):
                raise
            raise ConfigError(
                f"The state file {self._path} cannot be used: {why}.",
                "Check store.path and who may write there.",
            ) from None

    async def ping(self) -> None:
        def work(db: sqlite3.Connection) -> None:
            with write_transaction(db):
                for statement in PROBE:
                    db.execute(statement)

        await self._file.run_work(work)

    async def aclose(self) -> None:
        await self._file.aclose()

    async def _change(self, statement: str, values: tuple[Any, ...] | dict[str, Any]) -> int:
        """Run one statement; return the number of rows it changed."""
        return await self._file.run_work(lambda db: db.execute(statement, values).rowcount)

    def _sweep_expired(self, db: sqlite3.Connection, now: float) -> None:
        """Delete expired rows, once in `WRITES_PER_SWEEP` writes."""
        self._writes += 1
        if self._writes % WRITES_PER_SWEEP == 1:
            db.execute("DELETE FROM sessions WHERE expires <= ?", (now,))
            db.execute("DELETE FROM tokens WHERE expires + ? <= ?", (KEEP_EXPIRED_S, now))
            db.execute("DELETE FROM places WHERE expires <= ?", (now,))
            db.execute("DELETE FROM counters WHERE expires <= ?", (now,))

    # --- sessions -------------------------------------------------------------------------

    async def save_session(
        self, saved: SavedSession, handle: str, now: float, expires: float
    ) -> bool:
        def work(db: sqlite3.Connection) -> bool:
            with write_transaction(db):
                self._sweep_expired(db, now)
                db.execute(
                    "DELETE FROM sessions WHERE session = ? AND expires <= ?", (saved.session, now)
                )
                cursor = db.execute(
                    SAVE, (saved.session, saved.owner, saved.model, saved.lease, expires)
                )
                if cursor.rowcount == 0:
                    return False
                row = (handle, saved.session, saved.data, saved.session)
                db.execute(SAVE_HANDLE, row)
                _save_media(db, saved, handle)
                bound = {"session": saved.session, "most": self.max_handles}
                for statement in (*DROP_OLDER, DROP_MEDIA):
                    db.execute(statement, bound)
            return True

        return await self._file.run_work(work)

    async def take_session(
        self, handle: str, owner: str, model: str, now: float, exact: bool
    ) -> SavedSession | Refusal:
        def work(db: sqlite3.Connection) -> SavedSession | Refusal:
            with write_transaction(db):
                found = db.execute(BY_HANDLE, (handle, now)).fetchall()
                if not found or found[0][1] != owner:
                    return Refusal.UNKNOWN
                session, _, its_model, lease = found[0]
                if its_model != model:
                    return Refusal.OTHER_MODEL
                ((newest,),) = db.execute(NEWEST, (session,))
                ((own,),) = db.execute(DATA, (handle,))
                row = {"session": session, "handle": handle, "newest": newest}
                keeps = newest == handle or (exact and own)
                for statement in TAKE if keeps else (*TAKE_OVER, *TAKE):
                    db.execute(statement, row)
                ((data,),) = db.execute(DATA, (handle,))
                media = dict(db.execute(MEDIA, (handle,)).fetchall())
                return SavedSession(SessionId(session), owner, model, lease + 1, data, media)

        return await self._file.run_work(work)

    async def renew_sessions(
        self, sessions: Mapping[SessionId, int], now: float, expires: float
    ) -> dict[SessionId, int]:
        def work(db: sqlite3.Connection) -> dict[SessionId, int]:
            present: dict[SessionId, int] = {}
            with write_transaction(db):
                for session, lease in sessions.items():
                    found = db.execute(
                        "SELECT lease FROM sessions WHERE session = ? AND expires > ?",
                        (session, now),
                    ).fetchall()
                    for (stored,) in found:
                        present[session] = stored
                        if stored == lease:
                            db.execute(
                                "UPDATE sessions SET expires = ? WHERE session = ?",
                                (expires, session),
                            )
            return present

        return await self._file.run_work(work)

    async def forget_session(self, session: SessionId, lease: int) -> None:
        drop = "DELETE FROM sessions WHERE session = ? AND lease <= ?"
        await self._change(drop, (session, lease))

    # --- tokens ---------------------------------------------------------------------------

    async def put_token(self, token: TokenRecord) -> None:
        await self._change(PUT_TOKEN, token_row(token))

    async def find_token(self, digest: str, now: float) -> TokenRecord | None:
        return await self._file.run_work(lambda db: self._token(db, digest, now))

    async def claim_token(self, digest: str, now: float, resuming: bool) -> TokenRecord | Refusal:
        def work(db: sqlite3.Connection) -> TokenRecord | Refusal:
            with write_transaction(db):
                self._sweep_expired(db, now)
                token = self._token(db, digest, now)
                if token is None:
                    return Refusal.UNKNOWN
                if refusal := token_refusal(token, now, resuming):
                    return refusal
                if resuming or token.uses is None:
                    return token
                db.execute("UPDATE tokens SET uses = uses - 1 WHERE digest = ?", (digest,))
                left = self._token(db, digest, now)
                assert left is not None, "it was there a moment ago, in this transaction"
                return left

        return await self._file.run_work(work)

    def _token(self, db: sqlite3.Connection, digest: str, now: float) -> TokenRecord | None:
        found = db.execute(
            "SELECT * FROM tokens WHERE digest = ? AND expires + ? > ?",
            (digest, KEEP_EXPIRED_S, now),
        ).fetchall()
        return next((read_token(row) for row in found), None)

    # --- keys -----------------------------------------------------------------------------

    async def put_key(self, key: KeyRecord) -> bool:
        return await self._change(PUT_KEY, key_row(key)) > 0

    async def list_keys(self) -> tuple[KeyRecord, ...]:
        every = "SELECT * FROM keys ORDER BY created, id"
        found = await self._file.run_work(lambda db: db.execute(every).fetchall())
        return tuple(read_key(row) for row in found)

    async def drop_key(self, id: str) -> bool:
        return await self._change("DELETE FROM keys WHERE id = ?", (id,)) > 0

    # --- quotas ---------------------------------------------------------------------------

    async def acquire_slot(
        self, owner: str, holder: str, limit: int, now: float, expires: float
    ) -> bool:
        row = {"owner": owner, "holder": holder, "limit": limit, "now": now, "expires": expires}
        return await self._change(HOLD, row) > 0

    async def release_slot(self, owner: str, holder: str) -> None:
        drop = "DELETE FROM places WHERE owner = ? AND holder = ?"
        await self._change(drop, (owner, holder))

    async def add_usage(
        self, owner: str, what: str, amount: float, now: float, expires: float
    ) -> float:
        row = {"owner": owner, "what": what, "amount": amount, "now": now, "expires": expires}

        def work(db: sqlite3.Connection) -> float:
            statement = COUNTED if amount == 0 else COUNT
            found = db.execute(statement, row).fetchall()
            return next((float(total) for (total,) in found), 0.0)

        return await self._file.run_work(work)


def _save_media(db: sqlite3.Connection, saved: SavedSession, handle: str) -> None:
    """Save new media, and the references of the handle's state to media."""
    db.execute(DROP_USES, (handle,))
    if not saved.media:
        return
    there = {name for (name,) in db.execute(MEDIA_OF, (saved.session,))}
    new = [(saved.session, *item) for item in saved.media.items() if item[0] not in there]
    db.executemany(ADD_MEDIA, new)
    db.executemany(ADD_USE, [(handle, name) for name in saved.media])


def _is_busy(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return bool(code & 0xFF == sqlite3.SQLITE_BUSY)


# --- the connection ---------------------------------------------------------------------------


class SqliteDatabase:
    """Connection to a SQLite file, on a thread of its own.

    The thread makes every call from its first statement to its last, for the whole process, so
    calls queue; one that waits longer than `timeout_s` fails. Going to the thread and back
    once a call, and not once a statement, keeps the queue short on a busy machine. A connection
    on which something failed is closed, and the next call makes a new one.
    """

    def __init__(self, path: Path, timeout_s: float, busy_s: float) -> None:
        self._path = path
        self._timeout_s, self._busy_s = timeout_s, busy_s
        self._opened: sqlite3.Connection | None = None
        self._inode = 0
        self._thread: ThreadPoolExecutor | None = None

    async def run_work(self, work: Work[T]) -> T:
        """Run `work` on the connection, alone, in the thread. Raises `StoreError`.

        What has begun is finished also where the caller gives up: an open transaction would lock
        all other processes out.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "state")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await loop.run_in_executor(self._thread, self._turn, work)
        except TimeoutError:
            raise StoreError("The state file is busy.") from None

    async def aclose(self) -> None:
        """Close the connection after the present call; abandon a call that hangs."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
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
        db = sqlite3.connect(self._path, timeout=self._busy_s, isolation_level=None)
        try:
            ((version, tables),) = db.execute(ABOUT)
            if version not in (VERSION, *UPGRADABLE):
                raise sqlite3.DatabaseError(f"it is of another version ({version})")
            if version == 0 and tables:
                raise sqlite3.DatabaseError("it is a database of something else")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA foreign_keys = ON")
            if version != VERSION:
                db.executescript(SCHEMA)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self) -> None:
        """Make the folder and the file, readable by this user only."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):  # and closing one that is there would take SQLite's locks
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        self._inode = self._path.stat().st_ino

    def _is_there(self) -> bool:
        """Return whether the path still names the open file."""
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
    """Run the block as one transaction that holds the write lock from its beginning."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk has rolled it back already
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


# --- tables and statements --------------------------------------------------------------------

VERSION = 2
UPGRADABLE = frozenset({0, 1})
"""Versions of files to which `SCHEMA` adds what is missing; 0 is an empty one."""

SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS sessions (
    session TEXT PRIMARY KEY, owner TEXT NOT NULL, model TEXT NOT NULL, lease INTEGER NOT NULL,
    expires REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS sessions_expire ON sessions (expires);
CREATE TABLE IF NOT EXISTS handles (
    handle TEXT PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    data BLOB NOT NULL, number INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS handles_of ON handles (session, number);
CREATE TABLE IF NOT EXISTS media (
    session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE, digest TEXT NOT NULL,
    data BLOB NOT NULL, PRIMARY KEY (session, digest)
) STRICT;
CREATE TABLE IF NOT EXISTS uses (
    handle TEXT NOT NULL REFERENCES handles ON DELETE CASCADE, digest TEXT NOT NULL,
    PRIMARY KEY (handle, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (
    digest TEXT PRIMARY KEY, owner TEXT NOT NULL, uses INTEGER, expires REAL NOT NULL,
    new_session_expires REAL NOT NULL, setup BLOB NOT NULL, mask TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, hint TEXT NOT NULL,
    created REAL NOT NULL, expires REAL NOT NULL, scopes TEXT NOT NULL, quota TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS places (
    owner TEXT NOT NULL, holder TEXT NOT NULL, expires REAL NOT NULL, PRIMARY KEY (owner, holder)
) STRICT;
CREATE TABLE IF NOT EXISTS counters (
    owner TEXT NOT NULL, what TEXT NOT NULL, total REAL NOT NULL, expires REAL NOT NULL,
    PRIMARY KEY (owner, what)
) STRICT;
PRAGMA user_version = {VERSION};
COMMIT;
"""

ABOUT = "SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version"
"""Version and number of tables of a file, read in one statement and so at one moment."""

PROBE = (
    "INSERT OR REPLACE INTO places VALUES ('', '', 0)",
    "DELETE FROM places WHERE owner = '' AND holder = ''",
)
"""Writes that leave nothing: a full disk can still be read."""

SAVE = """
INSERT INTO sessions VALUES (?, ?, ?, ?, ?)
ON CONFLICT (session) DO UPDATE SET owner = excluded.owner, model = excluded.model,
    lease = excluded.lease, expires = excluded.expires
WHERE sessions.lease <= excluded.lease
"""

SAVE_HANDLE = """
INSERT INTO handles VALUES
    (?, ?, ?, (SELECT coalesce(max(number), 0) + 1 FROM handles WHERE session = ?))
ON CONFLICT (handle) DO UPDATE SET data = excluded.data
"""

DROP_OLDER = (
    """
    DELETE FROM uses WHERE handle =
        (SELECT handle FROM handles WHERE session = :session ORDER BY number DESC LIMIT 1 OFFSET 2)
    """,
    """
    UPDATE handles SET data = x'' WHERE session = :session AND number =
        (SELECT number FROM handles WHERE session = :session ORDER BY number DESC LIMIT 1 OFFSET 2)
    """,
    """
    DELETE FROM handles WHERE session = :session AND number <=
        (SELECT number FROM handles WHERE session = :session ORDER BY number DESC
         LIMIT 1 OFFSET :most)
    """,
)
"""Of handles older than the last two only the name is kept, and of that no more than `most`."""

MEDIA_OF = "SELECT digest FROM media WHERE session = ?"
ADD_MEDIA = "INSERT INTO media VALUES (?, ?, ?)"
DROP_USES = "DELETE FROM uses WHERE handle = ?"
ADD_USE = "INSERT INTO uses VALUES (?, ?)"
DROP_MEDIA = """
DELETE FROM media WHERE session = :session AND digest NOT IN
    (SELECT digest FROM uses JOIN handles USING (handle) WHERE session = :session)
"""
"""Drops what no handle's state refers to."""

BY_HANDLE = """
SELECT session, owner, model, lease FROM handles JOIN sessions USING (session)
WHERE handle = ? AND expires > ?
"""

NEWEST = "SELECT handle FROM handles WHERE session = ? ORDER BY number DESC LIMIT 1"

TAKE_OVER = (
    """
    UPDATE handles SET data = (SELECT data FROM handles WHERE handle = :newest)
    WHERE handle = :handle
    """,
    "DELETE FROM uses WHERE handle = :handle",
    "INSERT INTO uses SELECT :handle, digest FROM uses WHERE handle = :newest",
)
"""Gives a handle the state of the newest."""

TAKE = (
    "UPDATE sessions SET lease = lease + 1 WHERE session = :session",
    """
    DELETE FROM uses WHERE handle <> :handle AND handle IN
        (SELECT handle FROM handles WHERE session = :session AND data <> x'')
    """,
    "UPDATE handles SET data = x'' WHERE session = :session AND handle <> :handle AND data <> x''",
    """
    UPDATE handles SET number = (SELECT max(number) + 1 FROM handles WHERE session = :session)
    WHERE handle = :handle
    """,
    DROP_MEDIA,
)

DATA = "SELECT data FROM handles WHERE handle = ?"
MEDIA = """
SELECT digest, media.data FROM uses JOIN handles USING (handle)
    JOIN media USING (session, digest) WHERE handle = ?
"""

PUT_TOKEN = "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?)"
PUT_KEY = """
INSERT OR REPLACE INTO keys
SELECT * FROM (SELECT ? AS id, ? AS name, ?, ?, ?, ?, ?, ?) AS new
WHERE NOT EXISTS (SELECT 1 FROM keys WHERE keys.name = new.name AND keys.id <> new.id)
"""

HOLD = """
INSERT INTO places SELECT :owner, :holder, :expires
WHERE :limit = 0
    OR EXISTS (SELECT 1 FROM places WHERE owner = :owner AND holder = :holder AND expires > :now)
    OR (SELECT count(*) FROM places WHERE owner = :owner AND expires > :now) < :limit
ON CONFLICT (owner, holder) DO UPDATE SET expires = excluded.expires
"""

COUNT = """
INSERT INTO counters VALUES (:owner, :what, :amount, :expires)
ON CONFLICT (owner, what) DO UPDATE SET
    total = CASE WHEN expires <= :now THEN 0 ELSE total END + excluded.total,
    expires = CASE WHEN expires <= :now THEN excluded.expires ELSE expires END
RETURNING total
"""

COUNTED = "SELECT total FROM counters WHERE owner = :owner AND what = :what AND expires > :now"

# --- records as rows --------------------------------------------------------------------------

Row = tuple[Any, ...]


def token_row(token: TokenRecord) -> Row:
    """Convert a token to a row."""
    *columns, mask = astuple(token)
    return (*columns, None if mask is None else json.dumps(mask))


def read_token(row: Row) -> TokenRecord:
    """Convert a row to a token."""
    digest, owner, uses, expires, new_session_expires, setup, mask = row
    paths = None if mask is None else tuple(json.loads(mask))
    return TokenRecord(digest, owner, uses, expires, new_session_expires, setup, paths)


def key_row(key: KeyRecord) -> Row:
    """Convert a key to a row."""
    scopes = json.dumps(sorted(scope.value for scope in key.scopes))
    quota = json.dumps(asdict(key.quota))
    return (key.id, key.name, key.digest, key.hint, key.created, key.expires, scopes, quota)


def read_key(row: Row) -> KeyRecord:
    """Convert a row to a key."""
    id, name, digest, hint, created, expires, scopes, quota = row
    allowed, limits = frozenset(map(Scope, json.loads(scopes))), Quota(**json.loads(quota))
    return KeyRecord(id, name, digest, hint, created, expires, allowed, limits)
