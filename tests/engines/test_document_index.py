"""The index file: several processes at once, files that are locked or unreadable, old numbers."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from vivavoce.engines import document_index
from vivavoce.engines.document_index import Index, IndexedPassage, Row, Version, reading, version_of
from vivavoce.engines.documents import create
from vivavoce.engines.registry import EngineBuilder
from vivavoce.errors import ConfigError, EngineMissing


def row(path: str, digest: bytes = b"digest") -> Row:
    return Row(path, 1, 1, digest, "")


def put(index: Index, path: str, *texts: str) -> None:
    index.put(row(path), "Title", f"file:{path}", [IndexedPassage("", text) for text in texts])


def documents(path: Path) -> list[tuple[str, int]]:
    """The paths in the index, each with the number of its passages."""
    counted = (
        "SELECT d.path, (SELECT count(*) FROM passages p WHERE p.rowid / ? = d.id)"
        " FROM documents d ORDER BY d.path"
    )
    with closing(reading(path)) as connection:
        return connection.execute(counted, (document_index.STRIDE,)).fetchall()


BUILDER = """
import sys
import tempfile
from pathlib import Path
from vivavoce.engines import document_index

looked = document_index.version_of
def version_of(path):
    found = looked(path)
    print(found.value, flush=True)
    sys.stdin.readline()
    return found
document_index.version_of = version_of

index = document_index.Index(Path(sys.argv[1]))
index.put(document_index.Row(sys.argv[2], 1, 1, b"digest", ""), "Title", "file:it", [])
index.close()
"""
"""Begins an index and puts a document into it; waits for a line after its first look at it."""


def test_two_processes_that_begin_one_index_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    with ExitStack() as running:
        builders = [running.enter_context(_builder(path, name)) for name in ("/a", "/b")]
        for each in builders:
            assert each.stdout
            assert each.stdout.readline() == "absent\n"
        for each in builders:
            each.communicate("go on\n", timeout=60)
            assert each.returncode == 0
    assert documents(path) == [("/a", 0), ("/b", 0)]


def _builder(path: Path, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILDER, str(path), name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_an_empty_file_of_sqlites_may_become_an_index(tmp_path: Path) -> None:
    """Another process that begins one leaves it so for a moment."""
    path = tmp_path / "index.sqlite3"
    with closing(sqlite3.connect(path)) as empty:
        empty.execute("PRAGMA journal_mode = WAL")
    assert path.stat().st_size > 0
    assert version_of(path) is Version.ABSENT
    Index(path).close()
    assert version_of(path) is Version.OURS


def test_a_number_is_never_given_twice(tmp_path: Path) -> None:
    with closing(Index(tmp_path / "index.sqlite3")) as index:
        numbers = []
        for path in ("/a", "/b", "/b"):
            index.drop(path)
            put(index, path, "Text.")
            with closing(reading(index.path)) as connection:
                numbers += connection.execute("SELECT max(id) FROM documents").fetchone()
            index.drop(path)
        assert numbers == [1, 2, 3]


def test_an_older_look_changes_nothing_of_what_came_since(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    with closing(Index(path)) as one, closing(Index(path)) as other:
        put(one, "/a", "Text.")
        seen = one.rows("/")["/a"]
        other.drop("/a")
        put(other, "/b", "Text.", "More.")
        one.touch(seen, 7, 7)
        one.drop("/a")
        assert documents(path) == [("/b", 2)]
        other.put(row("/a", b"newer"), "Title", "file:/a", [])
        one.touch(seen, 7, 7)
        assert one.rows("/")["/a"].size == 1


def test_a_locked_file_is_neither_foreign_nor_read_without_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "index.sqlite3"
    Index(path).close()
    monkeypatch.setattr(document_index, "READ_WAIT_S", 0.0)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("INSERT INTO folders VALUES ('/only/in/the/journal')")
        with pytest.raises(sqlite3.OperationalError) as caught:
            reading(path)
        assert caught.value.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
        with pytest.raises(ConfigError, match=r"can't be opened.*keeps it locked"):
            version_of(path)
    assert version_of(path) is Version.OURS


READER = """
import os, sqlite3, sys
from pathlib import Path
from vivavoce.engines import document_index
from vivavoce.errors import ConfigError

os.setuid(65534)
try:
    print(document_index.version_of(Path(sys.argv[1])).value)
except ConfigError as error:
    print(error.problem)
"""


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that others may look into, which those under `tmp_path` are not."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_not_write_may_read_and_who_may_not_read_is_told(common: Path) -> None:
    def told(path: Path) -> str:
        done = subprocess.run(
            [sys.executable, "-c", READER, str(path)], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    path = common / "index.sqlite3"
    with closing(Index(path)) as index:
        put(index, "/a", "Text.")
    assert told(path) == "ours"
    with closing(Index(path)) as index:
        put(index, "/b", "Text.")
        # Without the other's help the journal can't be read, and without the journal "/b" lacks.
        copy = common / "copy.sqlite3"
        for end in ("", "-wal"):
            Path(f"{copy}{end}").write_bytes(Path(f"{path}{end}").read_bytes())
        assert "can't be opened" in told(copy)
    path.chmod(0)
    assert "can't be opened" in told(path)


async def test_a_python_without_full_text_search_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Index(tmp_path / "there.sqlite3").close()
    monkeypatch.setattr(
        document_index, "PASSAGES", "CREATE VIRTUAL TABLE passages USING fts9(text)"
    )
    with pytest.raises(EngineMissing, match="full-text search"):
        Index(tmp_path / "index.sqlite3")
    assert not (tmp_path / "index.sqlite3").exists()
    with pytest.raises(EngineMissing, match="full-text search"):
        await create({"path": str(tmp_path / "there.sqlite3")}, EngineBuilder())
