"""Running the drivers: each framework has a virtual environment of its own.

`VIVAVOCE_PARTNERS` names the folder of those environments; `scripts/partners.py` makes them.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conformance.servers import Running, clean_environment
from vivavoce.engines.scripted import hear, say

DRIVERS = Path(__file__).parent / "drivers"
MODEL_2_5 = "gemini-2.5-flash-native-audio-preview-12-2025"
MODEL_3_1 = "gemini-3.1-flash-live-preview"
MODEL_3_8 = "gemini-3.8-live"

Steps = list[list[Any]]


@dataclass(frozen=True, slots=True)
class Told:
    """What the framework told its application, in order: one kind and its value each."""

    events: list[tuple[str, Any]]

    def all(self, kind: str) -> list[Any]:
        return [value for name, value in self.events if name == kind]

    def words(self, kind: str) -> str:
        """All words of a kind. Frameworks differ in where they put spaces."""
        return squeezed("".join(self.all(kind)))

    def sound(self) -> bytes:
        return b"".join(base64.b64decode(piece) for piece in self.all("sound"))

    def heard(self) -> str:
        """The words in the sound that was played."""
        return squeezed(hear(self.sound(), 24_000))

    def after(self, kind: str) -> Told:
        """What came after the first event of a kind."""
        kinds = [name for name, _ in self.events]
        return Told(self.events[kinds.index(kind) + 1 :])


def squeezed(words: str) -> str:
    """Without spaces: a clause ends without one, and frameworks join pieces in their own ways."""
    return "".join(words.split())


def drive(
    server: Running | Switch,
    folder: Path,
    driver: str,
    model: str,
    steps: Steps,
    watch: Callable[[str], None] | None = None,
    **job: Any,
) -> Told:
    """Run a driver to its end; `watch` is told each kind of event as it comes.

    In steps, `speak` takes words, which travel as tones, or PCM.
    """
    command = [
        sys.executable, "-m", "vivavoce", "run", "--", interpreter(driver),
        str(DRIVERS / f"{driver}.py"),
        json.dumps({"model": model, "steps": _with_files(steps, folder), **job}),
    ]  # fmt: skip
    told, errors = Told([]), folder / "errors.log"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            command,
            env={**clean_environment(), "VIVAVOCE_SERVER__PORT": str(server.port)},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        for line in process.stdout or ():
            if line.startswith("{"):
                ((kind, value),) = json.loads(line).items()
                told.events.append((kind, value))
                if watch is not None:
                    watch(kind)
    assert process.returncode == 0, errors.read_text()[-4000:]
    assert not told.all("late"), (told.events, errors.read_text()[-4000:])
    assert not told.all("error"), told.all("error")
    return told


class Switch:
    """A port in front of servers, as a proxy is while they are replaced."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=ends, daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()


def interpreter(driver: str) -> str:
    """The Python of the framework that a driver is written for."""
    name = driver.partition("_")[0]
    folder = os.environ.get("VIVAVOCE_PARTNERS")
    if not folder:
        pytest.skip("VIVAVOCE_PARTNERS is not set: see scripts/partners.py")
    python = Path(folder) / name / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{name} is not in {folder}: run scripts/partners.py {name}")
    return str(python)


def _with_files(steps: Steps, folder: Path) -> Steps:
    written: Steps = []
    for number, (name, *arguments) in enumerate(steps):
        if name == "speak":
            words = arguments[0]
            file = folder / f"{number}.pcm"
            file.write_bytes(words if isinstance(words, bytes) else say(words, 16_000))
            arguments = [file.name]
        written.append([name, *arguments])
    return written
