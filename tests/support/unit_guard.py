"""Fail unit tests that open sockets or start programs.

Python announces each of these acts to the interpreter's audit hooks, of which one is added here for
the life of the process. Acts of a library while it is imported are let pass: urllib3 binds a socket
then.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

import pytest

ACTS = frozenset({
    "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "socket.bind", "socket.connect",
    "socket.getaddrinfo", "subprocess.Popen",
})  # fmt: skip
"""Names of audit events. `socketpair`, of which each event loop has one, is none of them."""

_watched: list[set[str]] = []
"""The acts of the unit test that runs; empty while none does."""


def _on_audit(event: str, arguments: tuple[object, ...]) -> None:
    if _watched and event in ACTS and not _is_importing():
        _watched[-1].add(event)


def _is_importing() -> bool:
    frame = sys._getframe(1)
    while frame is not None and frame.f_back is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


sys.addaudithook(_on_audit)


@contextmanager
def refuse_integration() -> Generator[None]:
    """Fail the test that runs in this context if it opens a socket or starts a program."""
    acts: set[str] = set()
    _watched.append(acts)
    try:
        yield
    finally:
        _watched.pop()
    if acts:
        names = ", ".join(sorted(acts))
        pytest.fail(f"{names} in a unit test: mark it with pytest.mark.integration", pytrace=False)
