"""A store in one SQLite file: for one machine, with any number of processes.

Write-ahead logging lets readers go on while somebody writes. Every verb that must be atomic is one
transaction that begins by taking the write lock (`BEGIN IMMEDIATE`), or one conditional statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiosqlite

from vivavoce.domain.accounts import KeyRecord, TokenRecord
from vivavoce.domain.ids import SessionId
from vivavoce.errors import ConfigError, StoreError
from vivavoce.state import rows
from vivavoce.state.claims import token_refusal
from vivavoce.state.database import Database, writing
from vivavoce.state.port import MAX_HANDLES, TOLD_S, Refusal, SavedSession

SWEEP_EVERY = 256


class SqliteStore:
    """See the port. `path` is the file, which is made with its folder where it is not there."""

    shared = True
    max_handles = MAX_HANDLES

    def __init__(self, path: Path) -> None:
        self.name = f"sqlite {path}"
        self._path = path
        self._file = Database(path)
        self._writes = 0

    async def start(self) -> None:
        """Open the file. Raises `ConfigError` where it cannot be, or is something else.

        A file that somebody holds locked is out of reach, and no mistake.
        """
        try:
            await self.ping()
        except StoreError as error:
            if not isinstance(why := error.__cause__, (sqlite3.Error, OSError)) or _busy(why):
                raise
            raise ConfigError(
                f"The state file {self._path} cannot be used: {why}.",
                "Check store.path and who may write there.",
            ) from None

    async def ping(self) -> None:
        async def work(db: aiosqlite.Connection) -> None:
            async with writing(db):
                for statement in rows.PROBE:
                    await db.execute(statement)

        await self._file.do(work)

    async def aclose(self) -> None:
        await self._file.aclose()

    async def _swept(self, db: aiosqlite.Connection, now: float) -> None:
        """Now and then, delete what has expired."""
        self._writes += 1
        if self._writes % SWEEP_EVERY == 1:
            await db.execute("DELETE FROM sessions WHERE expires <= ?", (now,))
            await db.execute("DELETE FROM tokens WHERE expires + ? <= ?", (TOLD_S, now))
            await db.execute("DELETE FROM places WHERE expires <= ?", (now,))
            await db.execute("DELETE FROM counters WHERE expires <= ?", (now,))

    # --- sessions -------------------------------------------------------------------------

    async def save(self, saved: SavedSession, handle: str, now: float, expires: float) -> bool:
        async def work(db: aiosqlite.Connection) -> bool:
            async with writing(db):
                await self._swept(db, now)
                await db.execute(
                    "DELETE FROM sessions WHERE session = ? AND expires <= ?", (saved.session, now)
                )
                cursor = await db.execute(rows.SAVE, (*rows.session_row(saved), expires))
                if cursor.rowcount == 0:
                    return False
                row = (handle, saved.session, saved.data, saved.session)
                await db.execute(rows.SAVE_HANDLE, row)
                await _save_media(db, saved, handle)
                bound = {"session": saved.session, "most": self.max_handles}
                for statement in (*rows.DROP_OLDER, rows.DROP_MEDIA):
                    await db.execute(statement, bound)
            return True

        return await self._file.do(work)

    async def take(
        self, handle: str, owner: str, model: str, now: float, exact: bool
    ) -> SavedSession | Refusal:
        async def work(db: aiosqlite.Connection) -> SavedSession | Refusal:
            async with writing(db):
                found = list(await db.execute_fetchall(rows.BY_HANDLE, (handle, now)))
                if not found or found[0][1] != owner:
                    return Refusal.UNKNOWN
                session, _, its_model, lease = found[0]
                if its_model != model:
                    return Refusal.OTHER_MODEL
                ((newest,),) = await db.execute_fetchall(rows.NEWEST, (session,))
                ((own,),) = await db.execute_fetchall(rows.DATA, (handle,))
                row = {"session": session, "handle": handle, "newest": newest}
                keeps = newest == handle or (exact and own)
                for statement in rows.TAKE if keeps else (*rows.TAKE_OVER, *rows.TAKE):
                    await db.execute(statement, row)
                ((data,),) = await db.execute_fetchall(rows.DATA, (handle,))
                blobs: Any = await db.execute_fetchall(rows.MEDIA, (handle,))
                media: dict[str, bytes] = dict(blobs)
                return SavedSession(SessionId(session), owner, model, lease + 1, data, media)

        return await self._file.do(work)

    async def renew(
        self, sessions: Mapping[SessionId, int], now: float, expires: float
    ) -> dict[SessionId, int]:
        async def work(db: aiosqlite.Connection) -> dict[SessionId, int]:
            present: dict[SessionId, int] = {}
            async with writing(db):
                for session, lease in sessions.items():
                    found = await db.execute_fetchall(
                        "SELECT lease FROM sessions WHERE session = ? AND expires > ?",
                        (session, now),
                    )
                    for (stored,) in found:
                        present[session] = stored
                        if stored == lease:
                            await db.execute(
                                "UPDATE sessions SET expires = ? WHERE session = ?",
                                (expires, session),
                            )
            return present

        return await self._file.do(work)

    async def forget(self, session: SessionId, lease: int) -> None:
        await self._file.do(
            lambda db: db.execute(
                "DELETE FROM sessions WHERE session = ? AND lease <= ?", (session, lease)
            )
        )

    # --- tokens ---------------------------------------------------------------------------

    async def put_token(self, token: TokenRecord) -> None:
        await self._file.do(lambda db: db.execute(rows.PUT_TOKEN, rows.token_row(token)))

    async def find_token(self, digest: str, now: float) -> TokenRecord | None:
        return await self._file.do(lambda db: self._token(db, digest, now))

    async def claim_token(self, digest: str, now: float, resuming: bool) -> TokenRecord | Refusal:
        async def work(db: aiosqlite.Connection) -> TokenRecord | Refusal:
            async with writing(db):
                await self._swept(db, now)
                token = await self._token(db, digest, now)
                if token is None:
                    return Refusal.UNKNOWN
                if refusal := token_refusal(token, now, resuming):
                    return refusal
                if resuming or token.uses is None:
                    return token
                await db.execute("UPDATE tokens SET uses = uses - 1 WHERE digest = ?", (digest,))
                left = await self._token(db, digest, now)
                assert left is not None, "it was there a moment ago, in this transaction"
                return left

        return await self._file.do(work)

    async def _token(self, db: aiosqlite.Connection, digest: str, now: float) -> TokenRecord | None:
        found = await db.execute_fetchall(
            "SELECT * FROM tokens WHERE digest = ? AND expires + ? > ?", (digest, TOLD_S, now)
        )
        return next((rows.token(row) for row in found), None)

    # --- keys -----------------------------------------------------------------------------

    async def put_key(self, key: KeyRecord) -> bool:
        cursor = await self._file.do(lambda db: db.execute(rows.PUT_KEY, rows.key_row(key)))
        return cursor.rowcount > 0

    async def keys(self) -> tuple[KeyRecord, ...]:
        found: Any = await self._file.do(
            lambda db: db.execute_fetchall("SELECT * FROM keys ORDER BY created, id")
        )
        return tuple(rows.key(row) for row in found)

    async def drop_key(self, id: str) -> bool:
        cursor = await self._file.do(lambda db: db.execute("DELETE FROM keys WHERE id = ?", (id,)))
        return cursor.rowcount > 0

    # --- quotas ---------------------------------------------------------------------------

    async def hold(self, owner: str, holder: str, limit: int, now: float, expires: float) -> bool:
        row = {"owner": owner, "holder": holder, "limit": limit, "now": now, "expires": expires}
        cursor = await self._file.do(lambda db: db.execute(rows.HOLD, row))
        return cursor.rowcount > 0

    async def let_go(self, owner: str, holder: str) -> None:
        await self._file.do(
            lambda db: db.execute(
                "DELETE FROM places WHERE owner = ? AND holder = ?", (owner, holder)
            )
        )

    async def count(
        self, owner: str, what: str, amount: float, now: float, expires: float
    ) -> float:
        row = {"owner": owner, "what": what, "amount": amount, "now": now, "expires": expires}

        async def work(db: aiosqlite.Connection) -> float:
            if amount == 0:
                found = await db.execute_fetchall(rows.COUNTED, row)
            else:
                found = await db.execute_fetchall(rows.COUNT, row)
            return next((float(total) for (total,) in found), 0.0)

        return await self._file.do(work)


async def _save_media(db: aiosqlite.Connection, saved: SavedSession, handle: str) -> None:
    """Write the media that is not there yet, and what the handle's state refers to."""
    await db.execute(rows.DROP_USES, (handle,))
    if not saved.media:
        return
    there = {name for (name,) in await db.execute_fetchall(rows.MEDIA_OF, (saved.session,))}
    new = [(saved.session, *item) for item in saved.media.items() if item[0] not in there]
    await db.executemany(rows.ADD_MEDIA, new)
    await db.executemany(rows.ADD_USE, [(handle, name) for name in saved.media])


def _busy(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return bool(code & 0xFF == sqlite3.SQLITE_BUSY)
