"""Download of a published file over HTTP, continued where an earlier attempt stopped.

The publisher is tried briefly: a machine that reaches nothing but a package index must not wait.
Whatever the server sends, the file counts only if its SHA-256 is the published one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from vivavoce.connection_errors import connection_failure
from vivavoce.engines.weights.catalog import PublishedFile

if TYPE_CHECKING:
    import httpx2

CONNECT_S = 4.0
"""Time for a connection; a machine that reaches an index alone loses no more than that."""

STALL_S = 15.0
"""A transfer without a byte for this long is cut and continued by another request."""

ATTEMPTS = 5
"""Requests in a row that may break off early; one that brings `FRUITFUL_BYTES` is no failure."""

FRUITFUL_BYTES = 1 << 20

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class PublisherError(Exception):
    """The publisher can't be reached, or serves something else; the text is a clause."""


def host_of(file: PublishedFile) -> str:
    """The publisher's host."""
    return urlsplit(file.url).hostname or file.url


def fetch_published(file: PublishedFile, part: Path, report: Callable[[int], None]) -> None:
    """Complete `part`, which may hold the beginning of the file, and verify it.

    `report` is called with the bytes that are there. Raises `PublisherError`; an incomplete
    `part` is kept for the next attempt, one with the wrong hash is deleted. Raises `OSError` when
    it can't be written.
    """
    import httpx2

    failures = 0
    timeout = httpx2.Timeout(STALL_S, connect=CONNECT_S)
    with httpx2.Client(timeout=timeout, follow_redirects=True) as client:
        while (before := _size(part)) < file.size_bytes:
            problem = "it ended the transfer early"
            try:
                _continue(client, file, part, report)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                reason = connection_failure(error)
                raise PublisherError(f"{host_of(file)} can't be reached ({reason})") from error
            except httpx2.HTTPError as error:
                problem = str(error) or type(error).__name__
            arrived = _size(part)
            failures = 0 if arrived - before >= FRUITFUL_BYTES else failures + 1
            if arrived < file.size_bytes and failures >= ATTEMPTS:
                raise PublisherError(f"{host_of(file)} fails again and again ({problem})")
    if (found := sha256_of(part)) != file.sha256:
        part.unlink()
        raise PublisherError(f"{host_of(file)} serves another {file.name}, with SHA-256 {found}")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _continue(
    client: httpx2.Client, file: PublishedFile, part: Path, report: Callable[[int], None]
) -> None:
    """Request what is missing and append it, or the whole file where the server knows no ranges."""
    arrived = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if arrived:
        headers["Range"] = f"bytes={arrived}-"
    with client.stream("GET", file.url, headers=headers) as response:
        length = response.headers.get("Content-Length", "")
        if response.status_code == 206:
            served = _RANGE.match(response.headers.get("Content-Range", ""))
            if served is None or served.groups() != (str(arrived), str(file.size_bytes)):
                raise PublisherError(f"{host_of(file)} serves another {file.name}, of another size")
        elif response.status_code != 200:
            raise PublisherError(f"{host_of(file)} answers with status {response.status_code}")
        elif length and int(length) != file.size_bytes:
            raise PublisherError(f"{host_of(file)} serves another {file.name}, of {length} bytes")
        else:
            arrived = 0
        with part.open("ab" if arrived else "wb") as sink:
            for chunk in response.iter_raw():
                arrived += len(chunk)
                if arrived > file.size_bytes:
                    raise PublisherError(
                        f"{host_of(file)} serves another {file.name}, a larger one"
                    )
                sink.write(chunk)
                report(arrived)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
