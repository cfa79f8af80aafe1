"""Download of a published file from a server that really breaks off, ignores ranges, and lies."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engines.range_server import FileServer, serving_file
from vivavoce.engines.weights import PublishedFile
from vivavoce.engines.weights.publisher import ATTEMPTS, PublisherError, fetch_published

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
