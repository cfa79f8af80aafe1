"""A folder of the user's documents into the index: only what has changed is read again.

Rules. A file is unchanged if its size and its time are; else its content decides. What has gone
from the folder goes from the index. Hidden files and folders are passed over, and so are links to
folders, and links to files that lie outside the folder: naming a folder gives away that folder
and nothing else. A file that can't be read is told of and stops nothing. Folders may lie within
one another; a document is in the index once, and it stays until none of its folders has it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import quote

from vivavoce.engines.documents.passages import Passage, passages
from vivavoce.engines.documents.store import Index, Row, under
from vivavoce.engines.pages import MAX_BYTES, readable
from vivavoce.errors import ConfigError, ToolError

KINDS = {
    ".txt": "text/plain", ".md": "text/markdown", ".markdown": "text/markdown",
    ".html": "text/html", ".htm": "text/html", ".pdf": "application/pdf",
}  # fmt: skip


class Change(Enum):
    """What became of a file."""

    READ = "read"
    UNCHANGED = "unchanged"
    DROPPED = "dropped"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Seen:
    """One file, and what became of it. `problem` says why it was unreadable."""

    path: Path
    change: Change
    problem: str = ""


def root_of(folder: Path) -> Path:
    """`folder` as the index names it. Raises `ConfigError` if there is none."""
    root = folder.expanduser().resolve()
    if not root.is_dir():
        raise ConfigError(f"There is no folder {folder}.", "Name a folder of documents.")
    try:
        str(root).encode()
    except UnicodeEncodeError:
        shown = str(root).encode(errors="replace").decode()
        raise ConfigError(f"The name of {shown} is not UTF-8.", "Give it another name.") from None
    return root


def files_of(root: Path) -> list[Path]:
    """The files under `root` that are documents, in order."""
    return [path for path in _visible(root) if path.suffix.lower() in KINDS and _ours(path, root)]


def others_of(root: Path) -> int:
    """How many files under `root` are of kinds that are not read, `.docx` for one."""
    return sum(path.suffix.lower() not in KINDS for path in _visible(root))


def _visible(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _ours(path: Path, root: Path) -> bool:
    return not path.is_symlink() or path.resolve().is_relative_to(root)


def update(index: Index, root: Path, files: list[Path]) -> Generator[Seen, None, None]:
    """Bring the index up to date with `files`, those of `root`; each as it is done.

    Raises `ConfigError` if the index can't be written. Stopping midway leaves what was done.
    """
    known = index.rows(str(root))
    index.remember(str(root))
    for path in files:
        yield _look(index, root, path, known.pop(str(path), None))
    inner = tuple(map(under, (each for each in index.roots() if each.startswith(under(str(root))))))
    for gone in known:
        if gone.startswith(inner) and os.path.exists(gone):
            continue  # passed over here, as hidden, and indexed as a folder of its own
        index.drop(gone)
        yield Seen(Path(gone), Change.DROPPED)


def address(root: Path, path: Path) -> str:
    """How a file is cited: by its place in the folder, and not by where the folder lies.

    What is cited reaches clients, and whose home it lies in is nobody's business there.
    """
    return f"file:{quote((Path(root.name) / path.relative_to(root)).as_posix())}"


def _look(index: Index, root: Path, path: Path, known: Row | None) -> Seen:
    try:
        str(path).encode()
        state = path.stat()
        if known and (known.size, known.mtime_ns) == (state.st_size, state.st_mtime_ns):
            return _as_known(path, known)
        data, problem = _content(path, state)
    except UnicodeEncodeError:
        return Seen(path, Change.UNREADABLE, "Its name is not UTF-8.")
    except OSError as error:
        return _lost(index, path, known, error)
    digest = hashlib.sha256(data or problem.encode()).digest()
    if known and known.digest == digest:
        index.touch(known, state.st_size, state.st_mtime_ns)
        return _as_known(path, known)
    title, uri, cut = path.stem, address(root, path), list[Passage]()
    if not problem:
        try:
            reading = readable(data, KINDS[path.suffix.lower()], uri)
            title, uri = reading.title or title.replace("_", " "), reading.link or uri
            cut = passages(reading.text)
        except ToolError as error:
            problem = error.problem
        except Exception as error:  # whatever it is, the other files shall not wait for it
            problem = f"It can't be read ({type(error).__name__})."
    row = Row(str(path), state.st_size, state.st_mtime_ns, digest, problem)
    index.put(row, title, uri, cut)
    return Seen(path, Change.UNREADABLE if problem else Change.READ, problem)


def _content(path: Path, state: os.stat_result) -> tuple[bytes, str]:
    """What is in the file, or why it is not looked at. Raises `OSError`."""
    if not stat.S_ISREG(state.st_mode):
        return b"", "It is not a file."  # a pipe would be waited for
    if state.st_size > MAX_BYTES:
        return b"", f"It is larger than {MAX_BYTES // 1_000_000} MB."
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1), ""


def _as_known(path: Path, known: Row) -> Seen:
    change = Change.UNREADABLE if known.problem else Change.UNCHANGED
    return Seen(path, change, known.problem)


def _lost(index: Index, path: Path, known: Row | None, error: OSError) -> Seen:
    """A file that can't be opened; what was known of it may not be true any more."""
    if known:
        index.drop(known.path)
    return Seen(path, Change.UNREADABLE, f"{error.strerror or 'It cannot be opened'}.")
