"""`vivavoce index`: a folder goes in, is listed, asked and forgotten; faults are named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vivavoce.cli.main import app
from vivavoce.engines import document_index

EXAMPLES = Path(__file__).parents[2] / "examples" / "documents"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "papers"
    made.mkdir()
    (made / "owls.md").write_text("# Owls\n\nThe owl hunts by night.\n")
    (made / "bees.txt").write_text("The bee dances to show where the flowers are.\n")
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite3"


def index(*arguments: str | Path, path: Path | None = None) -> Result:
    into = ["--into", str(path)] if path else []
    return CliRunner().invoke(app, ["index", *map(str, arguments), *into])


def test_what_was_read_is_said_and_the_second_time_nothing_is(folder: Path, path: Path) -> None:
    first = index(folder, path=path)
    assert first.exit_code == 0
    assert first.stdout.splitlines() == [
        "read\tbees.txt",
        "read\towls.md",
        f"2 read, 0 unchanged, 0 dropped, 0 unreadable; the index is {path}",
    ]
    (folder / "owls.md").unlink()
    second = index(folder, path=path).stdout.splitlines()
    assert second == [
        "dropped\towls.md",
        f"0 read, 1 unchanged, 1 dropped, 0 unreadable; the index is {path}",
    ]


def test_files_that_cannot_be_read_are_named_and_stop_nothing(folder: Path, path: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4")
    (folder / os.fsdecode(b"odd\xff.txt")).write_text("Text.")
    result = index(folder, path=path)
    assert result.exit_code == 0
    broken, odd = result.stderr.splitlines()
    assert broken.startswith("unreadable\tbroken.pdf\tThe PDF can't be read")
    assert odd == "unreadable\todd?.txt\tIts name is not UTF-8."
    assert "2 read, 0 unchanged, 0 dropped, 2 unreadable" in result.stdout


def test_files_of_other_kinds_are_counted(folder: Path, path: Path) -> None:
    (folder / "letter.docx").write_bytes(b"PK")
    one = index(folder, path=path).stdout.splitlines()[-1]
    assert one == (
        "2 read, 0 unchanged, 0 dropped, 0 unreadable, 1 of another kind passed over; "
        f"the index is {path}"
    )
    (folder / "more").mkdir()
    (folder / "more" / "table.xlsx").write_bytes(b"PK")
    (folder / ".hidden.docx").write_bytes(b"PK")
    two = index(folder, path=path).stdout.splitlines()[-1]
    assert "2 of other kinds passed over; " in two


def test_a_folder_is_listed_until_it_is_forgotten(folder: Path, path: Path) -> None:
    index(folder, path=path)
    assert index("--list", path=path).stdout == f"{folder}\t2\n"
    assert index("--forget", folder, path=path).stdout.startswith("2 dropped")
    assert index("--list", path=path).stdout == ""
    again = index("--forget", folder, path=path)
    assert again.exit_code == 1
    assert "is not in the index" in again.stderr


def test_a_question_shows_what_would_be_found(path: Path) -> None:
    index(EXAMPLES, path=path)
    question = "When did the last Brazil vs. Argentina soccer match happen?"
    found = index("--ask", question, path=path).stdout
    assert found.splitlines()[0] == "The last Brazil vs. Argentina soccer match"
    assert f"file:{EXAMPLES.name}/brazil-argentina.html" in found
    assert "25 March 2025" in found
    nothing = index("--ask", "Who wrote Hamlet?", path=path)
    assert (nothing.stdout, nothing.stderr) == ("", "Nothing was found.\n")


def test_the_index_lies_with_the_users_data(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert index(folder).exit_code == 0
    assert document_index.default_index_path().is_file()
    assert document_index.default_index_path().is_relative_to(tmp_path)


def test_a_folder_without_documents_is_said(tmp_path: Path, path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = index(tmp_path / "empty", path=path)
    assert result.exit_code == 0
    assert "No documents" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere-at-all"], "E-CONFIG: There is no folder"),
        (["--list"], "E-CONFIG: There is no index"),
        (["--forget", "x"], "E-CONFIG: There is no index"),
        (["--ask", "Who?"], "E-ENGINE-MISSING: search.local: There is no index"),
    ],
)
def test_faults_have_codes_and_fixes(path: Path, arguments: list[str], says: str) -> None:
    result = index(*arguments, path=path)
    assert result.exit_code == 1
    assert result.stderr.startswith(says)
    assert not path.exists()


def test_another_file_is_left_as_it_is(folder: Path, path: Path) -> None:
    path.write_text("My diary.")
    result = index(folder, path=path)
    assert result.exit_code == 1
    assert "is no index of documents" in result.stderr
    assert path.read_text() == "My diary."


@pytest.mark.parametrize("arguments", [[], ["--list", "--forget", "x"]])
def test_one_thing_at_a_time(arguments: list[str]) -> None:
    assert index(*arguments).exit_code == 2
