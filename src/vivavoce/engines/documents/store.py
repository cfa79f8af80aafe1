"""The index file: one row a document, one row a passage, in SQLite with full-text search.

Rules. A document and its passages change in one transaction, so a crash leaves each whole or as
it was. The journal is written ahead, so conversations go on searching while the index is built.
Passages of the document `d` have the row numbers from `d * STRIDE`, which makes dropping them one
range. What is in here was derived from files, so an index of another version is made anew and
never converted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import platformdirs

from vivavoce.engines.documents.passages import Passage
from vivavoce.errors import ConfigError, EngineMissing

VERSION = 2
STRIDE = 100_000
"""More passages than that one document never has; `passages` sees to it."""

PASSAGES = (
    "CREATE VIRTUAL TABLE passages USING fts5("
    "title, heading, text, tokenize = 'porter unicode61 remove_diacritics 2')"
)
_SCHEMA = f"""
CREATE TABLE folders (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, digest BLOB NOT NULL, title TEXT NOT NULL, uri TEXT NOT NULL,
    problem TEXT NOT NULL
);
{PASSAGES};
PRAGMA user_version = {VERSION};
"""
_APPLICATION = 0x76766F63
"""Marks our files among others of SQLite's."""


class Version(Enum):
    """What a file is to us."""

    ABSENT = "absent"
    OURS = "ours"
    OLD = "old"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Row:
    """A document as it was when it was last looked at. `problem` says why it has no text."""

    id: int
    path: str
    size: int
    mtime_ns: int
    digest: bytes
    problem: str


def default_path() -> Path:
    """Where the index lies unless it is told otherwise."""
    return Path(platformdirs.user_data_dir("vivavoce")) / "documents.sqlite3"


def version_of(path: Path) -> Version:
    """What lies at `path`. Creates nothing."""
    if not path.is_file() or path.stat().st_size == 0:
        return Version.ABSENT
    try:
        with closing(reading(path)) as connection:
            (mark,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error:
        return Version.FOREIGN
    if mark != _APPLICATION:
        return Version.FOREIGN
    return Version.OURS if version == VERSION else Version.OLD


def reading(path: Path) -> sqlite3.Connection:
    """A connection that can't change anything. Raises `sqlite3.Error`."""
    address = path.absolute().as_uri()
    connection = sqlite3.connect(f"{address}?mode=ro", uri=True, timeout=5.0)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # Beside a file in a folder that can't be written to there is no room for a journal.
        connection.close()
        connection = sqlite3.connect(f"{address}?immutable=1", uri=True)
    return connection


class Index:
    """The index file, opened to be changed. One thread at a time; several processes may."""

    def __init__(self, path: Path) -> None:
        """Open it, or begin it. Raises `ConfigError`, `EngineMissing`."""
        self.path = path
        version = version_of(path)
        if version is Version.FOREIGN:
            raise ConfigError(f"{path} is no index of documents.", "Name another file.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=30.0, isolation_level=None)
            self._begin(version)
        except (OSError, sqlite3.Error) as error:
            raise _unusable(path, error) from error

    def _begin(self, version: Version) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        if version is Version.OURS:
            return
        tables = "DROP TABLE IF EXISTS folders; DROP TABLE IF EXISTS documents;"
        mark = f"PRAGMA application_id = {_APPLICATION};"
        try:
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {tables} DROP TABLE IF EXISTS passages; {mark} {_SCHEMA} COMMIT"
            )
        except sqlite3.OperationalError as error:
            if "fts5" not in str(error):
                raise
            problem = "This Python's SQLite lacks full-text search (FTS5)."
            raise EngineMissing("search.local", problem, "Use another Python.") from error

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing of it. Raises `ConfigError` if the disk won't have it."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error

    def folders(self) -> list[tuple[str, int]]:
        """The folders that were indexed, each with the number of its readable documents."""
        counted = "SELECT count(*) FROM documents WHERE problem = '' AND substr(path, 1, ?) = ?"
        found = []
        for (folder,) in self._connection.execute("SELECT path FROM folders ORDER BY path"):
            within = _within(folder)
            (count,) = self._connection.execute(counted, (len(within), within)).fetchone()
            found.append((folder, count))
        return found

    def rows(self, folder: str) -> dict[str, Row]:
        """What is known of the documents under `folder`, by their paths."""
        within = _within(folder)
        found = self._connection.execute(
            "SELECT id, path, size, mtime_ns, digest, problem FROM documents"
            " WHERE substr(path, 1, ?) = ?",
            (len(within), within),
        )
        return {row[1]: Row(*row) for row in found}

    def remember(self, folder: str) -> None:
        """`folder` is one of those that are indexed."""
        with self._change() as connection:
            connection.execute("INSERT OR IGNORE INTO folders VALUES (?)", (folder,))

    def forget(self, folder: str) -> int:
        """Drop `folder` and all documents under it; how many those were."""
        rows = self.rows(folder)
        with self._change() as connection:
            connection.execute("DELETE FROM folders WHERE path = ?", (folder,))
            for row in rows.values():
                _drop(connection, row.id)
        return len(rows)

    def drop(self, row: Row) -> None:
        with self._change() as connection:
            _drop(connection, row.id)

    def touch(self, row: Row, size: int, mtime_ns: int) -> None:
        """The file has another date, and the same content."""
        with self._change() as connection:
            connection.execute(
                "UPDATE documents SET size = ?, mtime_ns = ? WHERE id = ?", (size, mtime_ns, row.id)
            )

    def put(self, row: Row, title: str, uri: str, passages: Sequence[Passage]) -> None:
        """`row` as it is now, in place of what was known of its path; its `id` is not looked at."""
        with self._change() as connection:
            known = connection.execute("SELECT id FROM documents WHERE path = ?", (row.path,))
            for (old,) in known.fetchall():
                _drop(connection, old)
            number = connection.execute(
                "INSERT INTO documents (path, size, mtime_ns, digest, title, uri, problem)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (row.path, row.size, row.mtime_ns, row.digest, title, uri, row.problem),
            ).lastrowid
            assert number is not None
            connection.executemany(
                "INSERT INTO passages (rowid, title, heading, text) VALUES (?, ?, ?, ?)",
                [
                    (number * STRIDE + at, title, each.heading, each.text)
                    for at, each in enumerate(passages[:STRIDE])
                ],
            )


def _drop(connection: sqlite3.Connection, number: int) -> None:
    first = number * STRIDE
    connection.execute(
        "DELETE FROM passages WHERE rowid BETWEEN ? AND ?", (first, first + STRIDE - 1)
    )
    connection.execute("DELETE FROM documents WHERE id = ?", (number,))


def _within(folder: str) -> str:
    """How the paths under `folder` begin."""
    return folder if folder.endswith("/") else folder + "/"


def _unusable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"The index {path} can't be written: {error}.",
        "Free the disk, end what else writes to it, or name another file.",
    )
