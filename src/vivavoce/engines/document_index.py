"""Index the user's documents as passages, in one SQLite file with full-text search.

- A passage is some sentences of one section, about `WORDS` words: enough to answer from, short
  enough to be read aloud. A heading begins a new one. When a section continues in the next passage,
  the last sentence is in both, so that an answer across the border is whole in one of them.
- A document and its passages change in one transaction. The journal is written ahead, so
  conversations can search while the index is built. Several processes may build one index: state
  read before is checked again within the transaction that changes it.
- Passages of the document `d` have the row numbers from `d * STRIDE`, so they are one range. A
  number is used once, so that an older query finds no other document under it; changes name a
  document by its path.
- The content is derived from files, so an index of another version is rebuilt, not converted.
- A file is unchanged if its size and time are; else its content decides. Files that are gone from
  the folder are removed. Hidden files and folders are skipped, and so are links to folders, and
  links to files outside the folder: naming a folder gives access to that folder only. A file that
  can't be read is reported and stops nothing. Folders may be nested; a document is in the index
  once, and stays until none of its folders has it.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import stat
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import quote

import platformdirs

from vivavoce.engines.pages import MAX_BYTES, extract_text
from vivavoce.errors import ConfigError, EngineMissing, ToolError

# --- passages ----------------------------------------------------------------------------

WORDS = 110
MAX_SENTENCE_WORDS = 80
"""Text without full stops (tables, lists of names) is cut after so many words."""
MAX_WORD_CHARS = 200
MAX_PASSAGES = 50_000

_HEADING = re.compile(r"#{1,6}[ \t](.{1,300})")
_UNDERLINE = re.compile(r"={3,}|-{3,}")
_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]{0,2}\s+(?=[\"'“‘(\[]{0,2}[^\W_a-z])")
_ABBREVIATED = re.compile(r"\b(?:vs|mr|mrs|ms|dr|st|no|e\.g|i\.e|[A-Z])\.$", re.I)


LINE = "\n"


@dataclass(frozen=True, slots=True)
class IndexedPassage:
    """Some sentences; `heading` is that of their section, or empty."""

    heading: str
    text: str


def split_passages(text: str) -> list[IndexedPassage]:
    """Split `text` into passages, in order."""
    found: list[IndexedPassage] = []
    for heading, section in _sections(text):
        for words in _join_sentences(section):
            found.append(IndexedPassage(heading, words))
            if len(found) >= MAX_PASSAGES:
                return found
    return found


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each heading with the sentences under it. A section without any is left out."""
    heading, sentences = "", list[str]()
    block: list[str] = []
    fenced = False
    for line in [*text.split("\n"), ""]:
        stripped = line.strip()
        if stripped.startswith("```"):
            fenced = not fenced
            continue
        marked = None if fenced else _HEADING.match(stripped)
        underlined = len(block) == 1 and _UNDERLINE.fullmatch(stripped)
        if stripped and not marked and not underlined:
            block.append(stripped)
            continue
        if not underlined:
            sentences += _block(" ".join(block))
        if marked or underlined:
            if sentences:
                yield heading, sentences
            heading, sentences = (marked[1] if marked else block[0]).strip(" #"), []
        block = []
    if sentences:
        yield heading, sentences


def _block(block: str) -> Iterator[str]:
    """Yield the sentences of a paragraph or a title; the first begins a line in its passage.

    The line keeps a title apart from the sentence below it.
    """
    for number, sentence in enumerate(_sentences(block)):
        yield sentence if number else f"{LINE}{sentence}"


def _sentences(block: str) -> Iterator[str]:
    """Yield the sentences of a paragraph; very long ones in pieces."""
    start = 0
    for end in [*(found.end() for found in _END.finditer(block)), len(block)]:
        sentence = block[start:end].strip()
        if end < len(block) and _ABBREVIATED.search(sentence[-8:]):
            continue
        start = end
        words = [word[:MAX_WORD_CHARS] for word in sentence.split()]
        for at in range(0, len(words), MAX_SENTENCE_WORDS):
            yield " ".join(words[at : at + MAX_SENTENCE_WORDS])


def _join_sentences(sentences: list[str]) -> Iterator[str]:
    """Join sentences up to `WORDS` words; the last of each passage also opens the next."""
    held: list[str] = []
    fresh = 0
    for sentence in sentences:
        if fresh and _length(held) + _length([sentence]) > WORDS:
            yield _joined(held)
            held, fresh = held[-1:] if _length(held[-1:]) < WORDS // 3 else [], 0
        held.append(sentence)
        fresh += 1
    if fresh:
        yield _joined(held)


def _joined(sentences: list[str]) -> str:
    return " ".join(sentences).replace(f" {LINE}", LINE).strip()


def _length(sentences: list[str]) -> int:
    return sum(sentence.count(" ") + 1 for sentence in sentences)


# --- the index file ----------------------------------------------------------------------

VERSION = 3
STRIDE = 100_000
"""Row numbers of one document; `passages` yields fewer."""

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
"""Marks these files among others of SQLite's."""
_NO_JOURNAL = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
"""Errors of SQLite where no journal can be made beside the file."""
READ_WAIT_S = 5.0
WRITE_WAIT_S = 30.0
"""Time limits of waiting for a locked file."""


class IndexVersion(Enum):
    """Kinds of files at the path of an index."""

    ABSENT = "absent"
    OURS = "ours"
    OLD = "old"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A document as it was last read. `problem` says why it has no text."""

    path: str
    size: int
    mtime_ns: int
    digest: bytes
    problem: str


def default_index_path() -> Path:
    """Return the default path of the index."""
    return Path(platformdirs.user_data_dir("vivavoce")) / "documents.sqlite3"


def index_version(path: Path) -> IndexVersion:
    """Return the kind of the file at `path`. Creates nothing. Raises `ConfigError`."""
    try:
        if not path.is_file() or path.stat().st_size == 0:
            return IndexVersion.ABSENT
        with closing(open_read_only(path)) as connection:
            connection.execute("BEGIN")  # or the two pragmas may read two states
            return _version(connection)
    except (OSError, sqlite3.Error) as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            return IndexVersion.FOREIGN
        raise ConfigError(
            f"The index {path} can't be opened: {error}.",
            "See that it may be read and that nothing keeps it locked, or name another file.",
        ) from error


def _version(connection: sqlite3.Connection) -> IndexVersion:
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if mark == _APPLICATION:
        return IndexVersion.OURS if version == VERSION else IndexVersion.OLD
    # A file that another process is about to begin is empty, and not of size 0.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return IndexVersion.FOREIGN if mark or version or tables else IndexVersion.ABSENT


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open a read-only connection. Raises `sqlite3.Error`, also for a locked file."""
    uri = path.absolute().as_uri()
    try:
        return _connect(f"{uri}?mode=ro")
    except sqlite3.OperationalError as error:
        # In a folder that can't be written to no journal can be made. If there is one all the
        # same, the file alone is not the last state.
        journal = path.with_name(path.name + "-wal")
        no_journal = (error.sqlite_errorcode & 0xFF) in _NO_JOURNAL
        if not no_journal or (journal.exists() and journal.stat().st_size):
            raise
        return _connect(f"{uri}?immutable=1")


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=READ_WAIT_S)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def require_full_text() -> None:
    """Raise `EngineMissing` if this Python's SQLite was built without full-text search."""
    with closing(sqlite3.connect(":memory:")) as memory:
        try:
            memory.execute(PASSAGES)
        except sqlite3.OperationalError as error:
            problem = "This Python's SQLite lacks full-text search (FTS5)."
            raise EngineMissing("search.local", problem, "Use another Python.") from error


class Index:
    """The index file, opened to be changed. One thread at a time; several processes may."""

    def __init__(self, path: Path) -> None:
        """Open or create it. Raises `ConfigError`, `EngineMissing`."""
        self.path = path
        require_full_text()
        # Before anything is written: opening a foreign file would already change it.
        if index_version(path) is IndexVersion.FOREIGN:
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
            if version is IndexVersion.OURS:
                return
            if version is IndexVersion.FOREIGN:
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
                # When two change it at once, one is refused without waiting.
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > until:
                    raise
                time.sleep(0.02)
        self._connection.execute("PRAGMA synchronous = NORMAL")

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Run the block in a transaction. Raises `ConfigError` if it can't be written."""
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
        """Return the indexed folders."""
        return [path for (path,) in self._connection.execute("SELECT path FROM folders ORDER BY 1")]

    def folders(self) -> list[tuple[str, int]]:
        """Return the indexed folders, each with the number of its readable documents."""
        counted = "SELECT count(*) FROM documents WHERE problem = '' AND substr(path, 1, ?) = ?"
        found = []
        for folder in self.roots():
            within = path_prefix(folder)
            (count,) = self._connection.execute(counted, (len(within), within)).fetchone()
            found.append((folder, count))
        return found

    def rows(self, folder: str) -> dict[str, DocumentRow]:
        """Return the known documents under `folder` by their paths."""
        within = path_prefix(folder)
        found = self._connection.execute(
            "SELECT path, size, mtime_ns, digest, problem FROM documents"
            " WHERE substr(path, 1, ?) = ?",
            (len(within), within),
        )
        return {row[0]: DocumentRow(*row) for row in found}

    def add_folder(self, folder: str) -> None:
        """Add `folder` to the indexed ones."""
        with self._change() as connection:
            connection.execute("INSERT OR IGNORE INTO folders VALUES (?)", (folder,))

    def remove_folder(self, folder: str) -> int:
        """Remove `folder` and the documents under it; returns their number.

        A document that is under another indexed folder too stays, as one of that folder.
        """
        with self._change() as connection:
            connection.execute("DELETE FROM folders WHERE path = ?", (folder,))
            others = tuple(map(path_prefix, self.roots()))
            gone = [path for path in self.rows(folder) if not path.startswith(others)]
            for path in gone:
                _drop(connection, path)
        return len(gone)

    def remove_document(self, path: str) -> None:
        """Remove the document at `path`."""
        with self._change() as connection:
            _drop(connection, path)

    def update_time(self, row: DocumentRow, size: int, mtime_ns: int) -> None:
        """Store the new time of a file with the same content."""
        with self._change() as connection:
            connection.execute(
                "UPDATE documents SET size = ?, mtime_ns = ? WHERE path = ? AND digest = ?",
                (size, mtime_ns, row.path, row.digest),
            )

    def replace_document(
        self, row: DocumentRow, title: str, uri: str, passages: Sequence[IndexedPassage]
    ) -> None:
        """Store a document in place of the former one at its path."""
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


def path_prefix(folder: str) -> str:
    """Return the prefix of all paths under `folder`."""
    return folder if folder.endswith("/") else folder + "/"


def _foreign(path: Path) -> ConfigError:
    return ConfigError(f"{path} is no index of documents.", "Name another file.")


def _unusable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"The index {path} can't be written: {error}.",
        "Free the disk, end what else writes to it, or name another file.",
    )


# --- folders -----------------------------------------------------------------------------

KINDS = {
    ".txt": "text/plain", ".md": "text/markdown", ".markdown": "text/markdown",
    ".html": "text/html", ".htm": "text/html", ".pdf": "application/pdf",
}  # fmt: skip


class FileStatus(Enum):
    """Results of updating one file."""

    READ = "read"
    UNCHANGED = "unchanged"
    DROPPED = "dropped"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class FileResult:
    """The result for one file. `problem` says why it is unreadable."""

    path: Path
    change: FileStatus
    problem: str = ""


def resolve_root(folder: Path) -> Path:
    """Return `folder` as the index names it. Raises `ConfigError` if there is none."""
    root = folder.expanduser().resolve()
    if not root.is_dir():
        raise ConfigError(f"There is no folder {folder}.", "Name a folder of documents.")
    try:
        str(root).encode()
    except UnicodeEncodeError:
        shown = str(root).encode(errors="replace").decode()
        raise ConfigError(f"The name of {shown} is not UTF-8.", "Give it another name.") from None
    return root


def list_documents(root: Path) -> list[Path]:
    """Return the documents under `root`, in order."""
    return [
        path
        for path in _visible(root)
        if path.suffix.lower() in KINDS
        and (not path.is_symlink() or path.resolve().is_relative_to(root))
    ]


def count_other_files(root: Path) -> int:
    """Count the files under `root` of kinds that are not read, such as `.docx`."""
    return sum(path.suffix.lower() not in KINDS for path in _visible(root))


def _visible(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def update_index(index: Index, root: Path, files: list[Path]) -> Generator[FileResult, None, None]:
    """Bring the index up to date with `files`, those of `root`; yields each result.

    Raises `ConfigError` if the index can't be written. Stopping midway keeps what was done.
    """
    known = index.rows(str(root))
    index.add_folder(str(root))
    for path in files:
        yield _update_file(index, root, path, known.pop(str(path), None))
    prefix = path_prefix(str(root))
    inner = tuple(path_prefix(each) for each in index.roots() if each.startswith(prefix))
    for gone in known:
        if gone.startswith(inner) and os.path.exists(gone):
            continue  # hidden here, and indexed as a folder of its own
        index.remove_document(gone)
        yield FileResult(Path(gone), FileStatus.DROPPED)


def citation_address(root: Path, path: Path) -> str:
    """Return the address for citing a file: its place in the folder.

    It reaches clients, so it does not contain the path of the folder itself.
    """
    return f"file:{quote((Path(root.name) / path.relative_to(root)).as_posix())}"


def _update_file(index: Index, root: Path, path: Path, known: DocumentRow | None) -> FileResult:
    try:
        str(path).encode()
        state = path.stat()
        if known and (known.size, known.mtime_ns) == (state.st_size, state.st_mtime_ns):
            return _unchanged(path, known)
        data, problem = _content(path, state)
    except UnicodeEncodeError:
        return FileResult(path, FileStatus.UNREADABLE, "Its name is not UTF-8.")
    except OSError as error:
        return _remove_unreadable(index, path, known, error)
    digest = hashlib.sha256(data or problem.encode()).digest()
    if known and known.digest == digest:
        index.update_time(known, state.st_size, state.st_mtime_ns)
        return _unchanged(path, known)
    title, uri, cut = path.stem, citation_address(root, path), list[IndexedPassage]()
    if not problem:
        try:
            extracted = extract_text(data, KINDS[path.suffix.lower()], uri)
            title, uri = extracted.title or title.replace("_", " "), extracted.link or uri
            cut = split_passages(extracted.text)
        except ToolError as error:
            problem = error.problem
        except Exception as error:  # one file must not keep the others from being read
            problem = f"It can't be read ({type(error).__name__})."
    row = DocumentRow(str(path), state.st_size, state.st_mtime_ns, digest, problem)
    index.replace_document(row, title, uri, cut)
    return FileResult(path, FileStatus.UNREADABLE if problem else FileStatus.READ, problem)


def _content(path: Path, state: os.stat_result) -> tuple[bytes, str]:
    """Return the content of the file, or why it is not read. Raises `OSError`."""
    if not stat.S_ISREG(state.st_mode):
        return b"", "It is not a file."  # a pipe would be waited for
    if state.st_size > MAX_BYTES:
        return b"", f"It is larger than {MAX_BYTES // 1_000_000} MB."
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1), ""


def _unchanged(path: Path, known: DocumentRow) -> FileResult:
    change = FileStatus.UNREADABLE if known.problem else FileStatus.UNCHANGED
    return FileResult(path, change, known.problem)


def _remove_unreadable(
    index: Index, path: Path, known: DocumentRow | None, error: OSError
) -> FileResult:
    """Remove a file that can't be opened: its former content may be outdated."""
    if known:
        index.remove_document(known.path)
    return FileResult(path, FileStatus.UNREADABLE, f"{error.strerror or 'It cannot be opened'}.")
