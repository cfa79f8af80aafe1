"""What ends a sandbox is its first process, whatever has become of bubblewrap.

The programs here do as bubblewrap does in its first moments, in which what it has started is not
yet bound to it: they tell of a process that outlives them.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil

from vivavoce.engines.bubblewrap.process import ProcessEnd, SandboxProcess

UNBOUND = """
import json, os, signal, sys
first = os.fork()
report = int(sys.argv[1])
if first:
    os.write(1, str(first).encode())
    os.write(report, json.dumps({"child-pid": first}).encode())
    os.close(report)
    os.waitpid(first, 0)
    os._exit(137)
os.close(report)
signal.pause()
"""


@dataclass
class Started:
    """A run in a thread, and the process that it tells of."""

    cell: SandboxProcess = field(default_factory=lambda: SandboxProcess(b"", {}))
    begun: threading.Event = field(default_factory=threading.Event)
    ended: list[ProcessEnd] = field(default_factory=list)
    printed: bytes = b""

    @property
    def first(self) -> int:
        return int(self.printed)

    def run(self, time_s: float, more: bool, early: bool) -> None:
        def command(filter_: int, report: int) -> list[str]:
            if early:
                assert self.cell.stop()
            return [sys.executable, "-I", "-S", "-c", UNBOUND, str(report)]

        self.ended.append(
            self.cell.run(command, b"", time_s, lambda piece: self._take(piece, more))
        )

    def _take(self, piece: bytes, more: bool) -> bool:
        self.printed += piece
        self.begun.set()
        return more


@contextlib.contextmanager
def started(time_s: float = 60, *, more: bool = True, early: bool = False) -> Iterator[Started]:
    """`more`: whether output is wanted after the first; `early`: stop it before it is known."""
    it = Started()
    thread = threading.Thread(target=it.run, args=(time_s, more, early), daemon=True)
    thread.start()
    try:
        yield it
        thread.join(20)
        assert not thread.is_alive()
    finally:
        it.cell.stop()
        if it.printed:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(it.first).kill()


def gone(process: int) -> bool:
    """Whether it has ended, even if nobody has asked how."""
    try:
        return bool(psutil.Process(process).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_one_that_is_stopped_ends() -> None:
    with started() as it:
        assert it.begun.wait(20)
        assert it.cell.stop()
        assert it.cell.ended.wait(20)
        assert gone(it.first)


def test_one_that_is_stopped_before_its_first_process_is_known_ends() -> None:
    with started(early=True) as it:
        assert it.cell.ended.wait(20)
        assert gone(it.first)


def test_one_that_took_too_long_ends() -> None:
    with started(0.3) as it:
        assert it.cell.ended.wait(20)
        assert gone(it.first)
    assert it.ended == [ProcessEnd(None, late=True)]


def test_one_that_printed_too_much_ends() -> None:
    with started(more=False) as it:
        assert it.cell.ended.wait(20)
        assert gone(it.first)
    assert it.ended == [ProcessEnd(None)]
