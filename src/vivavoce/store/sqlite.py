"""A store in one SQLite file: for one machine, with any number of processes.

Write-ahead logging lets readers go on beside a writer. Every verb that must be atomic is one
transaction that begins by taking the write lock (`BEGIN IMMEDIATE`), or one conditional statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vivavoce.domain.accounts import KeyRecord, TokenRecord
from vivavoce.domain.ids import SessionId
from vivavoce.errors import ConfigError, StoreError
from vivavoce.store import sqlite_schema
from vivavoce.store.port import KEEP_EXPIRED_S, MAX_HANDLES, Refusal, SavedSession
from vivavoce.store.sqlite_database import SqliteDatabase, write_transaction
from vivavoce.store.token_rules import token_refusal

SWEEP_EVERY = 256


class SqliteStore:
    """See the port. `path` is the file, which is made with its folder where it is not there."""

    shared = True
    max_handles = MAX_HANDLES

    def __init__(self, path: Path) -> None:
        self.name = f"sqlite {path}"
        self._path = path
        self._file = SqliteDatabase(path)
        self._writes = 0

    async def start(self) -> None:
        """Open the file. Raises `ConfigError` where it cannot be, or is something else.

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
                for statement in sqlite_schema.PROBE:
                    db.execute(statement)

        await self._file.run_work(work)

    async def aclose(self) -> None:
        await self._file.aclose()

    async def _change(self, statement: str, values: tuple[Any, ...] | dict[str, Any]) -> int:
        """Run one statement. Returns how many rows it changed."""
        return await self._file.run_work(lambda db: db.execute(statement, values).rowcount)

    def _swept(self, db: sqlite3.Connection, now: float) -> None:
        """Now and then, delete what has expired."""
        self._writes += 1
        if self._writes % SWEEP_EVERY == 1:
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
                self._swept(db, now)
                db.execute(
                    "DELETE FROM sessions WHERE session = ? AND expires <= ?", (saved.session, now)
                )
                cursor = db.execute(
                    sqlite_schema.SAVE, (*sqlite_schema.session_row(saved), expires)
                )
                if cursor.rowcount == 0:
                    return False
                row = (handle, saved.session, saved.data, saved.session)
                db.execute(sqlite_schema.SAVE_HANDLE, row)
                _save_media(db, saved, handle)
                bound = {"session": saved.session, "most": self.max_handles}
                for statement in (*sqlite_schema.DROP_OLDER, sqlite_schema.DROP_MEDIA):
                    db.execute(statement, bound)
            return True

        return await self._file.run_work(work)

    async def take_session(
        self, handle: str, owner: str, model: str, now: float, exact: bool
    ) -> SavedSession | Refusal:
        def work(db: sqlite3.Connection) -> SavedSession | Refusal:
            with write_transaction(db):
                found = db.execute(sqlite_schema.BY_HANDLE, (handle, now)).fetchall()
                if not found or found[0][1] != owner:
                    return Refusal.UNKNOWN
                session, _, its_model, lease = found[0]
                if its_model != model:
                    return Refusal.OTHER_MODEL
                ((newest,),) = db.execute(sqlite_schema.NEWEST, (session,))
                ((own,),) = db.execute(sqlite_schema.DATA, (handle,))
                row = {"session": session, "handle": handle, "newest": newest}
                keeps = newest == handle or (exact and own)
                for statement in (
                    sqlite_schema.TAKE if keeps else (*sqlite_schema.TAKE_OVER, *sqlite_schema.TAKE)
                ):
                    db.execute(statement, row)
                ((data,),) = db.execute(sqlite_schema.DATA, (handle,))
                media = dict(db.execute(sqlite_schema.MEDIA, (handle,)).fetchall())
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
        await self._change(sqlite_schema.PUT_TOKEN, sqlite_schema.token_row(token))

    async def find_token(self, digest: str, now: float) -> TokenRecord | None:
        return await self._file.run_work(lambda db: self._token(db, digest, now))

    async def claim_token(self, digest: str, now: float, resuming: bool) -> TokenRecord | Refusal:
        def work(db: sqlite3.Connection) -> TokenRecord | Refusal:
            with write_transaction(db):
                self._swept(db, now)
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
        return next((sqlite_schema.read_token(row) for row in found), None)

    # --- keys -----------------------------------------------------------------------------

    async def put_key(self, key: KeyRecord) -> bool:
        return await self._change(sqlite_schema.PUT_KEY, sqlite_schema.key_row(key)) > 0

    async def list_keys(self) -> tuple[KeyRecord, ...]:
        every = "SELECT * FROM keys ORDER BY created, id"
        found = await self._file.run_work(lambda db: db.execute(every).fetchall())
        return tuple(sqlite_schema.read_key(row) for row in found)

    async def drop_key(self, id: str) -> bool:
        return await self._change("DELETE FROM keys WHERE id = ?", (id,)) > 0

    # --- quotas ---------------------------------------------------------------------------

    async def hold_place(
        self, owner: str, holder: str, limit: int, now: float, expires: float
    ) -> bool:
        row = {"owner": owner, "holder": holder, "limit": limit, "now": now, "expires": expires}
        return await self._change(sqlite_schema.HOLD, row) > 0

    async def release_place(self, owner: str, holder: str) -> None:
        drop = "DELETE FROM places WHERE owner = ? AND holder = ?"
        await self._change(drop, (owner, holder))

    async def add_usage(
        self, owner: str, what: str, amount: float, now: float, expires: float
    ) -> float:
        row = {"owner": owner, "what": what, "amount": amount, "now": now, "expires": expires}

        def work(db: sqlite3.Connection) -> float:
            statement = sqlite_schema.COUNTED if amount == 0 else sqlite_schema.COUNT
            found = db.execute(statement, row).fetchall()
            return next((float(total) for (total,) in found), 0.0)

        return await self._file.run_work(work)


def _save_media(db: sqlite3.Connection, saved: SavedSession, handle: str) -> None:
    """Write the media that is not there yet, and what the handle's state refers to."""
    db.execute(sqlite_schema.DROP_USES, (handle,))
    if not saved.media:
        return
    there = {name for (name,) in db.execute(sqlite_schema.MEDIA_OF, (saved.session,))}
    new = [(saved.session, *item) for item in saved.media.items() if item[0] not in there]
    db.executemany(sqlite_schema.ADD_MEDIA, new)
    db.executemany(sqlite_schema.ADD_USE, [(handle, name) for name in saved.media])


def _is_busy(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return bool(code & 0xFF == sqlite3.SQLITE_BUSY)
