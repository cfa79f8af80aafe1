"""The local index: what is found in it, what is read again, and what goes wrong with the file."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.pdfs import pdf
from vivavoce.engines import document_index
from vivavoce.engines.document_index import (
    FileStatus,
    Index,
    IndexedPassage,
    list_documents,
    split_passages,
    update_index,
)
from vivavoce.engines.document_search import create
from vivavoce.engines.pages import MAX_BYTES
from vivavoce.engines.ports import SearchEngine, SearchQuery
from vivavoce.engines.registry import EngineBuilder
from vivavoce.errors import ConfigError, EngineMissing, ToolError
from vivavoce.testing.engine_contracts import SearchEngineContract

SAMPLES = Path(__file__).parent / "data" / "documents"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLES, tmp_path / "documents"))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    opened = Index(tmp_path / "index" / "documents.sqlite3")
    yield opened
    opened.close()


def update(index: Index, folder: Path) -> dict[str, FileStatus]:
    """The files of one run, by name, with what became of each."""
    seen = update_index(index, folder, list_documents(folder))
    return {each.path.name: each.change for each in seen}


async def found(index: Index, question: str, **options: object) -> list[str]:
    """What is found, as addresses and passages in one line each."""
    engine = await create({"path": str(index.path)}, EngineBuilder())
    try:
        sources = await engine.search(SearchQuery(question, **options))  # type: ignore[arg-type]
        return [f"{source.uri} {source.text}" for source in sources]
    finally:
        await engine.aclose()


class TestLocalSearch(SearchEngineContract):
    question = "the volcano of Stromboli"

    @pytest.fixture(autouse=True)
    def _index(self, index: Index, folder: Path) -> None:
        update(index, folder)
        self.path = index.path

    def engine(self) -> SearchEngine:
        from vivavoce.engines.document_search import LocalSearch

        return LocalSearch(self.path)


async def test_a_source_is_named_as_its_document_names_itself(index: Index, folder: Path) -> None:
    update(index, folder)
    engine = await create({"path": index.path}, EngineBuilder())
    (bridge,) = await engine.search(SearchQuery("When was the bridge at Halden opened?"))
    assert (bridge.uri, bridge.title) == ("https://bridge.example/halden", "The bridge at Halden")
    assert "opened in 1931" in bridge.text
    (tomatoes,) = await engine.search(SearchQuery("Who serves tomatoes in Zurich? A cafe?"))
    assert tomatoes.uri == f"file:{folder.name}/notes/garden.txt"
    assert str(folder.parent) not in tomatoes.uri, "where the folder lies is nobody's business"
    assert tomatoes.title == "garden"
    await engine.aclose()


async def test_hosts_can_be_left_out(index: Index, folder: Path) -> None:
    update(index, folder)
    question = "When was the bridge at Halden opened?"
    assert await found(index, question, excluded=("other.example",))
    assert not await found(index, question, excluded=("bridge.example",))
    assert not await found(index, question, excluded=("Bridge.Example",)), "names have no case"


async def test_a_document_fills_no_more_than_two_places(index: Index, folder: Path) -> None:
    for number in range(3):
        text = "\n\n".join(f"# Part {part}\n\nThe owl hunts by night." for part in range(6))
        (folder / f"owl{number}.md").write_text(f"{text}\n\nCopy {number}.")
    update(index, folder)
    places = [line.split()[0] for line in await found(index, "When does the owl hunt?", count=20)]
    assert len(places) == 6
    assert len(set(places)) == 3


def test_only_what_changed_is_read_again(index: Index, folder: Path) -> None:
    assert set(update(index, folder).values()) == {FileStatus.READ}
    assert set(update(index, folder).values()) == {FileStatus.UNCHANGED}
    (folder / "volcano.md").write_text("It is quiet now.")
    os.utime(folder / "bridge.html", (1, 1))
    (folder / "notes" / "garden.txt").unlink()
    assert update(index, folder) == {
        "volcano.md": FileStatus.READ,
        "bridge.html": FileStatus.UNCHANGED,
        "garden.txt": FileStatus.DROPPED,
    }
    assert set(update(index, folder).values()) == {FileStatus.UNCHANGED}


async def test_what_changed_or_vanished_is_found_no_more(index: Index, folder: Path) -> None:
    update(index, folder)
    assert await found(index, "height of the summit of Stromboli")
    (folder / "volcano.md").write_text("The lighthouse is quiet now.")
    (folder / "bridge.html").unlink()
    update(index, folder)
    assert not await found(index, "summit of Stromboli")
    assert not await found(index, "bridge at Halden")
    assert await found(index, "Is the lighthouse quiet?")


def test_what_is_hidden_or_outside_is_left_alone(folder: Path, tmp_path: Path) -> None:
    before = document_index.list_documents(folder)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("The code is 1234.")
    (folder / "linked").symlink_to(outside)
    (folder / "secret.txt").symlink_to(outside / "secret.txt")
    (folder / ".hidden.txt").write_text("Hidden.")
    (folder / ".git").mkdir()
    (folder / ".git" / "notes.md").write_text("Hidden.")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    assert document_index.list_documents(folder) == before
    (folder / "again.txt").symlink_to(folder / "notes" / "garden.txt")
    assert len(document_index.list_documents(folder)) == len(before) + 1


def test_what_cannot_be_read_is_reported_each_time_and_stops_nothing(
    index: Index, folder: Path
) -> None:
    (folder / "broken.pdf").write_bytes(pdf("Hello")[:200])
    (folder / "empty.txt").write_bytes(b"")
    (folder / "dangling.txt").symlink_to(folder / "nowhere.txt")
    os.mkfifo(folder / "pipe.txt")
    with (folder / "huge.txt").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    for _ in range(2):
        seen = list(update_index(index, folder, list_documents(folder)))
        told = {each.path.name: each.problem for each in seen if each.problem}
        assert told == {
            "broken.pdf": told["broken.pdf"],
            "dangling.txt": "No such file or directory.",
            "empty.txt": "The document holds no text.",
            "huge.txt": "It is larger than 20 MB.",
            "pipe.txt": "It is not a file.",
        }
        assert "can't be read" in told["broken.pdf"]
        assert len([each for each in seen if not each.problem]) == 3


async def test_a_file_that_holds_halves_of_characters_stops_nothing(
    index: Index, folder: Path
) -> None:
    (folder / "half.pdf").write_bytes(pdf("The baby pump runs at night.", a_means="D83D"))
    assert set(update(index, folder).values()) == {FileStatus.READ}
    assert "b\ufffdby pump" in "".join(await found(index, "When does the pump run?"))


def test_whatever_becomes_of_reading_one_file_the_others_are_read(
    index: Index, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(text: str) -> list[IndexedPassage]:
        if "Halden" in text:
            raise RecursionError
        return split_passages(text)

    monkeypatch.setattr(document_index, "split_passages", failing)
    seen = list(update_index(index, folder, list_documents(folder)))
    told = {each.path.name: each.problem for each in seen}
    assert told == {
        "bridge.html": "It can't be read (RecursionError).", "garden.txt": "", "volcano.md": "",
    }  # fmt: skip


def test_a_folder_whose_name_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"odd\xff")
    odd.mkdir()
    with pytest.raises(ConfigError, match="not UTF-8") as caught:
        document_index.resolve_root(odd)
    str(caught.value).encode()


async def test_a_file_that_became_readable_is_read(index: Index, folder: Path) -> None:
    (folder / "manual.pdf").write_bytes(pdf("The pump")[:200])
    assert update(index, folder)["manual.pdf"] is FileStatus.UNREADABLE
    (folder / "manual.pdf").write_bytes(pdf("The pump runs at night."))
    assert update(index, folder)["manual.pdf"] is FileStatus.READ
    assert await found(index, "When does the pump run?")


async def test_a_folder_can_be_forgotten(index: Index, folder: Path) -> None:
    update(index, folder)
    assert index.folders() == [(str(folder), 3)]
    assert index.remove_folder(str(folder)) == 3
    assert index.folders() == []
    assert not await found(index, "bridge at Halden")


def test_a_folder_beside_it_is_another(index: Index, folder: Path) -> None:
    twin = Path(shutil.copytree(folder, folder.with_name("documents two")))
    update(index, folder)
    update(index, twin)
    index.remove_folder(str(folder))
    assert index.folders() == [(str(twin), 3)]


def test_what_lies_in_another_folder_too_is_not_forgotten(index: Index, folder: Path) -> None:
    within = folder / "notes"
    update(index, folder)
    update(index, within)
    assert index.remove_folder(str(within)) == 0
    assert index.folders() == [(str(folder), 3)]
    update(index, within)
    assert index.remove_folder(str(folder)) == 2
    assert index.folders() == [(str(within), 1)]
    assert index.remove_folder(str(within)) == 1


def test_a_hidden_folder_that_was_named_itself_stays(index: Index, folder: Path) -> None:
    hidden = folder / ".hidden"
    hidden.mkdir()
    (hidden / "one.txt").write_text("The owl hunts.")
    (hidden / "two.txt").write_text("The owl sleeps.")
    update(index, hidden)
    (hidden / "two.txt").unlink()
    assert update(index, folder)["two.txt"] is FileStatus.DROPPED
    assert list(index.rows(str(hidden))) == [str(hidden / "one.txt")]


async def test_building_stopped_midway_leaves_what_was_done(index: Index, folder: Path) -> None:
    begun = update_index(index, folder, list_documents(folder))
    next(begun)
    begun.close()
    assert len(index.rows(str(folder))) == 1
    assert list(update(index, folder).values()).count(FileStatus.READ) == 2


async def test_a_failure_within_a_document_leaves_it_as_it_was(index: Index, folder: Path) -> None:
    update(index, folder)
    other = sqlite3.connect(index.path)
    other.execute(
        "CREATE TRIGGER t BEFORE INSERT ON documents BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    other.close()
    (folder / "volcano.md").write_text("Changed.")
    with pytest.raises(ConfigError, match="can't be written"):
        update(index, folder)
    assert await found(index, "summit of Stromboli")


async def test_searching_goes_on_while_it_is_written(index: Index, folder: Path) -> None:
    update(index, folder)
    writer = sqlite3.connect(index.path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    writer.execute("DELETE FROM documents")
    assert await found(index, "bridge at Halden")
    writer.execute("ROLLBACK")
    writer.close()


async def test_a_search_has_a_deadline(
    index: Index, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = "\n\n".join(f"# Part {part}\n\nThe owl hunts." for part in range(5000))
    (folder / "owls.md").write_text(parts)
    update(index, folder)
    assert await found(index, "When does the owl hunt?")
    monkeypatch.setattr("vivavoce.engines.document_search.DEADLINE_S", 0.0)
    with pytest.raises(ToolError, match="took too long"):
        await found(index, "When does the owl hunt?")


async def test_without_an_index_the_fix_is_said(tmp_path: Path) -> None:
    with pytest.raises(EngineMissing, match="Run `vivavoce index DIR`"):
        await create({"path": str(tmp_path / "none.sqlite3")}, EngineBuilder())


@pytest.mark.parametrize("settings", [{"folder": "x"}, {"path": 3}])
async def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="set up wrongly"):
        await create(settings, EngineBuilder())


async def test_another_file_is_neither_read_nor_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite3"
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE mine (a)")
    foreign.close()
    for content in (path.read_bytes(), b"no database at all"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="no index of documents"):
            await create({"path": str(path)}, EngineBuilder())
        with pytest.raises(ConfigError, match="no index of documents"):
            Index(path)
        assert path.read_bytes() == content


async def test_an_index_of_another_version_is_made_anew(index: Index, folder: Path) -> None:
    update(index, folder)
    other = sqlite3.connect(index.path)
    other.execute(f"PRAGMA user_version = {document_index.VERSION + 1}")
    other.close()
    with pytest.raises(EngineMissing, match="another version"):
        await create({"path": str(index.path)}, EngineBuilder())
    anew = Index(index.path)
    assert set(update(anew, folder).values()) == {FileStatus.READ}
    anew.close()
    assert await found(index, "bridge at Halden")


async def test_an_index_that_goes_away_is_a_sentence(index: Index, folder: Path) -> None:
    update(index, folder)
    engine = await create({"path": str(index.path)}, EngineBuilder())
    index.close()
    index.path.unlink()
    with pytest.raises(ToolError) as caught:
        await engine.search(SearchQuery("bridge"))
    assert str(index.path) not in caught.value.problem
    await engine.aclose()


async def test_an_index_that_can_only_be_read_is_searched(index: Index, folder: Path) -> None:
    update(index, folder)
    index.close()
    index.path.parent.chmod(0o500)
    try:
        assert await found(index, "bridge at Halden")
    finally:
        index.path.parent.chmod(0o700)
