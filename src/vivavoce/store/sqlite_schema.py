"""The tables of the SQLite store, its statements, and records as rows of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from vivavoce.domain.accounts import KeyRecord, Quota, Scope, TokenRecord
from vivavoce.store.port import SavedSession

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
"""Which version a file is of, and how much is in it; in one statement, so at one moment."""

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
INSERT OR REPLACE INTO keys SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
WHERE NOT EXISTS (SELECT 1 FROM keys WHERE name = ?2 AND id <> ?1)
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

Row = tuple[Any, ...]


def session_row(saved: SavedSession) -> Row:
    """All columns but the last."""
    return saved.session, saved.owner, saved.model, saved.lease


def token_row(token: TokenRecord) -> Row:
    """A token as a row."""
    mask = None if token.mask is None else json.dumps(token.mask)
    return (
        token.digest, token.owner, token.uses, token.expires, token.new_session_expires,
        token.setup, mask,
    )  # fmt: skip


def read_token(row: Any) -> TokenRecord:
    """A row as a token."""
    digest, owner, uses, expires, new_session_expires, setup, mask = row
    paths = None if mask is None else tuple(json.loads(mask))
    return TokenRecord(digest, owner, uses, expires, new_session_expires, setup, paths)


def key_row(key: KeyRecord) -> Row:
    """A key as a row."""
    scopes = json.dumps(sorted(scope.value for scope in key.scopes))
    return (
        key.id, key.name, key.digest, key.hint, key.created, key.expires, scopes,
        json.dumps(asdict(key.quota)),
    )  # fmt: skip


def read_key(row: Any) -> KeyRecord:
    """A row as a key."""
    id, name, digest, hint, created, expires, scopes, quota = row
    return KeyRecord(
        id, name, digest, hint, created, expires,
        frozenset(map(Scope, json.loads(scopes))), Quota(**json.loads(quota)),
    )  # fmt: skip
