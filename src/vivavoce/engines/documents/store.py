"""The index file: one row a document, one row a passage, in SQLite with full-text search.

Rules. A document and its passages change in one transaction, so a crash leaves each whole or as
it was. The journal is written ahead, so conversations go on searching while the index is built.
Passages of the document `d` have the row numbers from `d * STRIDE`, which makes dropping them one
range. A number is given once and never again, so that one from an older look names nothing else;
whatever changes a document names it by its path. What is in here was derived from files, so an
index of another version is made anew and never converted.

Several processes may build one index at once. What each has seen of the file is looked at again
within the transaction that changes it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import platformdirs

from vivavoce.engines.documents.passages import Passage
from vivavoce.errors import ConfigError, EngineMissing

VERSION = 3
STRIDE = 100_000
"""More passages than that one document never has; `passages` sees to it."""

PASSAGES = (
    "CREATE VIRTUAL TABLE passages USING fts5("
    "title, heading, text, tokenize = 'porter unicode61 remove_diacritics 2')"
)
_SCHEMA = (
    "CREATE TABLE folders (path TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE documents ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,"
    " mtime_ns INTEGER NOT NULL, digest BLOB NOT NULL, title TEXT NOT NULL, uri TEXT NOT NULL,"
    " problem TEXT NOT NULL)",
    PASSAGES,
    f"PRAGMA user_version = {VERSION}",
)
_APPLICATION = 0x76766F63
"""Marks our files among others of SQLite's."""
_ROOMLESS = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
"""What SQLite says where it can't put a journal beside the file."""
READ_WAIT_S = 5.0
WRITE_WAIT_S = 30.0
"""How long one waits for a file that is locked."""


class Version(Enum):
    """What a file is to us."""

    ABSENT = "absent"
    OURS = "ours"
    OLD = "old"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Row:
    """A document as it was when it was last looked at. `problem` says why it has no text."""

    path: str
    size: int
    mtime_ns: int
    digest: bytes
    problem: str


def default_path() -> Path:
    """Where the index lies unless it is told otherwise."""
    return Path(platformdirs.user_data_dir("vivavoce")) / "documents.sqlite3"


def version_of(path: Path) -> Version:
    """What lies at `path`. Creates nothing. Raises `ConfigError` if it can't be looked at."""
    try:
        if not path.is_file() or path.stat().st_size == 0:
            return Version.ABSENT
        with closing(reading(path)) as connection:
            connection.execute("BEGIN")  # or it may be half of one state and half of the next
            return _version(connection)
    except (OSError, sqlite3.Error) as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            return Version.FOREIGN
        raise ConfigError(
            f"The index {path} can't be opened: {error}.",
            "See that it may be read and that nothing keeps it locked, or name another file.",
        ) from error


def _version(connection: sqlite3.Connection) -> Version:
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if mark == _APPLICATION:
        return Version.OURS if version == VERSION else Version.OLD
    # A file that another process is about to begin is empty, and not of size 0.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return Version.FOREIGN if mark or version or tables else Version.ABSENT


def reading(path: Path) -> sqlite3.Connection:
    """A connection that can't change anything. Raises `sqlite3.Error`, also for a locked file."""
    address = path.absolute().as_uri()
    try:
        return _opened(f"{address}?mode=ro")
    except sqlite3.OperationalError as error:
        # Beside a file in a folder that can't be written to there is no room for a journal. If
        # there is one all the same, the file alone is not what was written last.
        journal = path.with_name(path.name + "-wal")
        roomless = (error.sqlite_errorcode & 0xFF) in _ROOMLESS
        if not roomless or (journal.exists() and journal.stat().st_size):
            raise
        return _opened(f"{address}?immutable=1")


def _opened(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=READ_WAIT_S)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def require_full_text() -> None:
    """Raises `EngineMissing` if this Python's SQLite was built without full-text search."""
    with closing(sqlite3.connect(":memory:")) as memory:
        try:
            memory.execute(PASSAGES)
        except sqlite3.OperationalError as error:
            problem = "This Python's SQLite lacks full-text search (FTS5)."
            raise EngineMissing("search.local", problem, "Use another Python.") from error


class Index:
    """The index file, opened to be changed. One thread at a time; several processes may."""

    def __init__(self, path: Path) -> None:
        """Open it, or begin it. Raises `ConfigError`, `EngineMissing`."""
        self.path = path
        require_full_text()
        # Before anything is written: opening another's file would already change it.
        if version_of(path) is Version.FOREIGN:
            raise _foreign(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=WRITE_WAIT_S, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise _unusable(path, error) from error
        try:
            self._begin()
        except BaseException:
            self._connection.close()
            raise

    def _begin(self) -> None:
        try:
            self._write_ahead()
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error
        with self._change() as connection:
            # Another process may have begun it since it was looked at.
            version = _version(connection)
            if version is Version.OURS:
                return
            if version is Version.FOREIGN:
                raise _foreign(self.path)
            for table in ("folders", "documents", "passages"):
                connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            for statement in _SCHEMA:
                connection.execute(statement)

    def _write_ahead(self) -> None:
        until = time.monotonic() + WRITE_WAIT_S
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                # When two change it at once, one is refused at the spot instead of waiting.
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > until:
                    raise
                time.sleep(0.02)
        self._connection.execute("PRAGMA synchronous = NORMAL")

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

    def roots(self) -> list[str]:
        """The folders that were indexed."""
        return [path for (path,) in self._connection.execute("SELECT path FROM folders ORDER BY 1")]

    def folders(self) -> list[tuple[str, int]]:
        """The folders that were indexed, each with the number of its readable documents."""
        counted = "SELECT count(*) FROM documents WHERE problem = '' AND substr(path, 1, ?) = ?"
        found = []
        for folder in self.roots():
            within = under(folder)
            (count,) = self._connection.execute(counted, (len(within), within)).fetchone()
            found.append((folder, count))
        return found

    def rows(self, folder: str) -> dict[str, Row]:
        """What is known of the documents under `folder`, by their paths."""
        within = under(folder)
        found = self._connection.execute(
            "SELECT path, size, mtime_ns, digest, problem FROM documents"
            " WHERE substr(path, 1, ?) = ?",
            (len(within), within),
        )
        return {row[0]: Row(*row) for row in found}

    def remember(self, folder: str) -> None:
        """`folder` is one of those that are indexed."""
        with self._change() as connection:
            connection.execute("INSERT OR IGNORE INTO folders VALUES (?)", (folder,))

    def forget(self, folder: str) -> int:
        """Drop `folder` and the documents under it; how many those were.

        A document that lies under another indexed folder too stays, as one of that folder.
        """
        with self._change() as connection:
            connection.execute("DELETE FROM folders WHERE path = ?", (folder,))
            others = tuple(map(under, self.roots()))
            gone = [path for path in self.rows(folder) if not path.startswith(others)]
            for path in gone:
                _drop(connection, path)
        return len(gone)

    def drop(self, path: str) -> None:
        """There is no document at `path` any more."""
        with self._change() as connection:
            _drop(connection, path)

    def touch(self, row: Row, size: int, mtime_ns: int) -> None:
        """The file of `row` has another date, and the same content."""
        with self._change() as connection:
            connection.execute(
                "UPDATE documents SET size = ?, mtime_ns = ? WHERE path = ? AND digest = ?",
                (size, mtime_ns, row.path, row.digest),
            )

    def put(self, row: Row, title: str, uri: str, passages: Sequence[Passage]) -> None:
        """The document as it is now, in place of what was known of its path."""
        with self._change() as connection:
            _drop(connection, row.path)
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


def _drop(connection: sqlite3.Connection, path: str) -> None:
    for (number,) in connection.execute("SELECT id FROM documents WHERE path = ?", (path,)):
        first = number * STRIDE
        connection.execute(
            "DELETE FROM passages WHERE rowid BETWEEN ? AND ?", (first, first + STRIDE - 1)
        )
    connection.execute("DELETE FROM documents WHERE path = ?", (path,))


def under(folder: str) -> str:
    """How the paths under `folder` begin."""
    return folder if folder.endswith("/") else folder + "/"


def _foreign(path: Path) -> ConfigError:
    return ConfigError(f"{path} is no index of documents.", "Name another file.")


def _unusable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"The index {path} can't be written: {error}.",
        "Free the disk, end what else writes to it, or name another file.",
    )
