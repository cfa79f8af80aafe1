"""Passages of a text, and the file that holds them."""

from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from vivavoce.engines import document_index
from vivavoce.engines.document_index import (
    MAX_SENTENCE_WORDS,
    WORDS,
    DocumentRow,
    Index,
    IndexedPassage,
    IndexVersion,
    index_version,
    open_read_only,
    split_passages,
)
from vivavoce.engines.document_search import QuestionTerm, create, question_terms
from vivavoce.engines.registry import EngineBuilder
from vivavoce.errors import ConfigError, EngineMissing


def row(path: str, digest: bytes = b"digest") -> DocumentRow:
    return DocumentRow(path, 1, 1, digest, "")


def put(index: Index, path: str, *texts: str) -> None:
    index.replace_document(
        row(path), "Title", f"file:{path}", [IndexedPassage("", text) for text in texts]
    )


def documents(path: Path) -> list[tuple[str, int]]:
    """The paths in the index, each with the number of its passages."""
    counted = (
        "SELECT d.path, (SELECT count(*) FROM passages p WHERE p.rowid / ? = d.id)"
        " FROM documents d ORDER BY d.path"
    )
    with closing(open_read_only(path)) as connection:
        return connection.execute(counted, (document_index.STRIDE,)).fetchall()


BUILDER = """
import sys
import tempfile
from pathlib import Path
from vivavoce.engines import document_index

looked = document_index.index_version
def version_of(path):
    found = looked(path)
    print(found.value, flush=True)
    sys.stdin.readline()
    return found
document_index.index_version = version_of

index = document_index.Index(Path(sys.argv[1]))
row = document_index.DocumentRow(sys.argv[2], 1, 1, b"digest", "")
index.replace_document(row, "Title", "file:it", [])
index.close()
"""
"""Begins an index and puts a document into it; waits for a line after its first look at it."""


@pytest.mark.integration
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
    assert index_version(path) is IndexVersion.ABSENT
    Index(path).close()
    assert index_version(path) is IndexVersion.OURS


def test_a_number_is_never_given_twice(tmp_path: Path) -> None:
    with closing(Index(tmp_path / "index.sqlite3")) as index:
        numbers = []
        for path in ("/a", "/b", "/b"):
            index.remove_document(path)
            put(index, path, "Text.")
            with closing(open_read_only(index.path)) as connection:
                numbers += connection.execute("SELECT max(id) FROM documents").fetchone()
            index.remove_document(path)
        assert numbers == [1, 2, 3]


def test_an_older_look_changes_nothing_of_what_came_since(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    with closing(Index(path)) as one, closing(Index(path)) as other:
        put(one, "/a", "Text.")
        seen = one.rows("/")["/a"]
        other.remove_document("/a")
        put(other, "/b", "Text.", "More.")
        one.update_time(seen, 7, 7)
        one.remove_document("/a")
        assert documents(path) == [("/b", 2)]
        other.replace_document(row("/a", b"newer"), "Title", "file:/a", [])
        one.update_time(seen, 7, 7)
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
            open_read_only(path)
        assert caught.value.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
        with pytest.raises(ConfigError, match=r"can't be opened.*keeps it locked"):
            index_version(path)
    assert index_version(path) is IndexVersion.OURS


READER = """
import os, sqlite3, sys
from pathlib import Path
from vivavoce.engines import document_index
from vivavoce.errors import ConfigError

os.setuid(65534)
try:
    print(document_index.index_version(Path(sys.argv[1])).value)
except ConfigError as error:
    print(error.problem)
"""


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that others may look into, which those under `tmp_path` are not."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.mark.integration
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_not_write_may_read_and_who_may_not_read_gets_an_error(common: Path) -> None:
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


async def test_a_python_without_full_text_search_is_reported(
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


def test_a_short_text_is_one_passage() -> None:
    assert split_passages("One here.\n\nTwo there.") == [
        IndexedPassage("", "One here.\nTwo there.")
    ]


def test_a_title_without_a_mark_is_no_part_of_the_sentence_below_it() -> None:
    (only,) = split_passages("The tide\n\nIt comes twice a day. It goes\ntwice a day.")
    assert only.text == "The tide\nIt comes twice a day. It goes twice a day."


def test_a_heading_begins_another() -> None:
    text = (
        "Before.\n\n# First #\nUnder it.\n\nSecond\n------\n\nMore.\n\n## Empty\n\n## Third\nEnd."
    )
    assert split_passages(text) == [
        IndexedPassage("", "Before."),
        IndexedPassage("First", "Under it."),
        IndexedPassage("Second", "More."),
        IndexedPassage("Third", "End."),
    ]


def test_a_comment_in_code_is_no_heading() -> None:
    assert split_passages("```\n# not one\n```\nText.") == [IndexedPassage("", "# not one Text.")]


def test_long_sections_are_cut_at_sentences_and_overlap_by_one() -> None:
    sentences = [f"Sentence number {n} has a few words in it." for n in range(60)]
    found = [passage.text for passage in split_passages(" ".join(sentences))]
    assert len(found) > 3
    assert all(len(text.split()) <= WORDS for text in found)
    for before, after in itertools.pairwise(found):
        last = before.rpartition(". ")[2]
        assert after.startswith(last + " ")
    assert " ".join(sentences).split()[-1] in found[-1]
    assert all(any(sentence in text for text in found) for sentence in sentences)


def test_abbreviations_end_no_sentence() -> None:
    text = ("Dr. Miller met J. Smith in St. Gallen. " * 40).strip()
    assert all(passage.text.endswith("Gallen.") for passage in split_passages(text))


def test_words_without_an_end_are_cut_all_the_same() -> None:
    found = split_passages("word " * 5000 + "x" * 100_000)
    assert all(len(passage.text.split()) <= WORDS + MAX_SENTENCE_WORDS for passage in found)
    assert all(len(passage.text) < 20_000 for passage in found)


@pytest.mark.parametrize("text", ["", "\n\n", "# Only\n\n## Headings"])
def test_nothing_gives_nothing(text: str) -> None:
    assert split_passages(text) == []


@pytest.mark.parametrize("text", ["." * 300_000, "\"'" * 150_000, "A. " * 100_000, "#\n" * 150_000])
@pytest.mark.long
def test_odd_texts_end_in_time(text: str) -> None:
    began = time.thread_time()
    assert all(passage.text for passage in split_passages(text))
    assert time.thread_time() - began < 5


def test_content_words_remain_and_names_are_marked() -> None:
    assert question_terms("When did the last Brazil vs. Argentina soccer match happen?") == [
        QuestionTerm(("last",)),
        QuestionTerm(("brazil",), named=True),
        QuestionTerm(("argentina",), named=True),
        QuestionTerm(("soccer",)),
        QuestionTerm(("match",)),
    ]


def test_months_stand_for_their_short_forms() -> None:
    assert question_terms("earthquake of Dec 5")[1].forms == ("dec", "december")
    assert question_terms("earthquake of December 5")[1].forms == ("december", "dec")
    assert question_terms("What may I do?") == []
    assert question_terms("What happened in May?") == [
        QuestionTerm(("may",), named=True, dated=True)
    ]


def test_a_word_counts_once_and_capitals_alone_are_no_name() -> None:
    assert question_terms("OWL OWL OWL") == [QuestionTerm(("owl",))]


def test_a_term_has_no_meaning_to_the_index() -> None:
    assert question_terms('owl" OR NEAR(x)')[0].match == '("owl")'
    assert question_terms("U.S.A. e-mail")[0].forms == ("usa",)


def test_measure_words_are_not_searched_for() -> None:
    assert question_terms("How old is the volcano?") == [QuestionTerm(("volcano",))]
