"""One sandbox that runs: two processes of ours to end, and three pipes.

bubblewrap starts a process that is the first of a new namespace, and waits for it. The kernel
kills all that is in a namespace with its first process, so that is the one to kill. Killing only
bubblewrap is not enough: `--die-with-parent` binds what it starts to it, but not from the first
moment on, and what was started in the meantime would run for ever. So nothing is killed before
bubblewrap has told the number of that process, and then by a handle that can mean no other.

Everything here blocks, and belongs into a worker pool.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_PIECE = 4096
_START_S = 20.0
_FAREWELL_S = 5.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended.

    `status` is as a shell would tell it: above 128, the signal that ended the program; `None` if
    it was killed here. `late` says that it was killed because its time was up. `complaint` is the
    first line that bubblewrap itself had to say.
    """

    status: int | None
    late: bool = False
    complaint: str = ""


class Cell:
    """Started by `run`, in one thread; `stop` may be called from any other.

    `calls` is the filter of system calls, `environment` all that the code has of one.
    """

    def __init__(self, calls: bytes, environment: Mapping[str, str]) -> None:
        self._calls = calls
        self._environment = environment
        self._lock = threading.Lock()
        self._first: int | None = None
        self._begun = False
        self._stopped = False
        self.ended = threading.Event()

    def stop(self) -> bool:
        """End it, or keep it from beginning; whether it had begun."""
        with self._lock:
            self._stopped = True
            if self._first is not None:
                _kill(self._first)
            return self._begun

    def run(
        self,
        command: Callable[[int, int], Sequence[str]],
        code: bytes,
        time_s: float,
        take: Callable[[bytes], bool],
    ) -> Ended:
        """Run `code`, and hand what it prints to `take` until that returns false.

        `command` is told the descriptors of the filter and of bubblewrap's own report. Raises
        `OSError` if the program can't be started.
        """
        with self._lock:
            if self._stopped:
                return Ended(None)
            self._begun = True
        began = time.monotonic()
        try:
            with self._started(command, code) as (process, report):
                try:
                    self._begin(report)
                    return self._follow(process, began + time_s, take)
                finally:
                    self._finish(process)
        finally:
            self.ended.set()

    @contextlib.contextmanager
    def _started(
        self, command: Callable[[int, int], Sequence[str]], code: bytes
    ) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """bubblewrap with its input, and the descriptor of its report."""
        with contextlib.ExitStack() as kept, contextlib.ExitStack() as given:
            report, reporting = os.pipe()
            kept.callback(os.close, report)
            given.callback(os.close, reporting)
            filter_fd, code_fd = _file(self._calls), _file(code)
            given.callback(os.close, filter_fd)
            given.callback(os.close, code_fd)
            process = kept.enter_context(
                subprocess.Popen(
                    command(filter_fd, reporting),
                    stdin=code_fd,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=self._environment,
                    cwd="/",
                    pass_fds=(filter_fd, reporting),
                    # The interrupt of a terminal is for the server.
                    start_new_session=True,
                )
            )
            given.close()
            yield process, report

    def _begin(self, report: int) -> None:
        """Wait until the first process is known; there is none if bubblewrap gave up."""
        said = _all(report, time.monotonic() + _START_S)
        with self._lock, contextlib.suppress(ValueError, KeyError, ProcessLookupError):
            self._first = os.pidfd_open(json.loads(said)["child-pid"])
        if self._stopped:
            self.stop()

    def _follow(
        self, process: subprocess.Popen[bytes], end: float, take: Callable[[bytes], bool]
    ) -> Ended:
        assert process.stdout is not None
        assert process.stderr is not None
        for piece in _pieces(process.stdout.fileno(), end):
            if not take(piece):
                return Ended(None)
        try:
            status = process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            return Ended(None, late=True)
        said = _all(process.stderr.fileno(), time.monotonic() + _FAREWELL_S)
        complaint = said.decode(errors="replace").strip().partition("\n")[0]
        return Ended(128 - status if status < 0 else status, complaint=complaint)

    def _finish(self, process: subprocess.Popen[bytes]) -> None:
        """Kill what still runs; when the pipe is closed, nobody is left who could write to it."""
        with self._lock:
            first, self._first = self._first, None
        if first is not None:
            _kill(first)
            os.close(first)
        else:
            process.kill()
        assert process.stdout is not None
        for _ in _pieces(process.stdout.fileno(), time.monotonic() + _FAREWELL_S):
            pass
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_FAREWELL_S)
        process.kill()


def _kill(first: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(first, signal.SIGKILL)


def _file(content: bytes) -> int:
    """A descriptor of a file in memory, to be read from its beginning."""
    descriptor = os.memfd_create("vivavoce")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _pieces(descriptor: int, end: float) -> Iterator[bytes]:
    """What can be read until it is closed, or until the time is over."""
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    while (left := end - time.monotonic()) > 0:
        if ready.poll(left * 1000):
            if not (piece := os.read(descriptor, _PIECE)):
                return
            yield piece


def _all(descriptor: int, end: float) -> bytes:
    return b"".join(_pieces(descriptor, end))
