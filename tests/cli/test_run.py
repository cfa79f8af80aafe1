"""`vivavoce run`: the program's surroundings, its exit status, and a server that is not there."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vivavoce.cli.main import app

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Hangup(socketserver.BaseRequestHandler):
    """Closes every connection: a server that is there and no vivavoce."""

    def handle(self) -> None:
        pass


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    with socketserver.TCPServer(("127.0.0.1", 0), Hangup) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.socket
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with listening() as server:
        monkeypatch.setenv("VIVAVOCE_SERVER__PORT", str(server.getsockname()[1]))
        yield server


def run(*command: str) -> Result:
    return CliRunner().invoke(app, ["run", *command])


@pytest.mark.parametrize("status", [0, 1, 42])
def test_the_programs_status_is_passed_on(listener: socket.socket, status: int) -> None:
    assert run("--", sys.executable, "-c", f"raise SystemExit({status})").exit_code == status


def test_a_program_ended_by_a_signal_has_the_status_of_a_shell(listener: socket.socket) -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"

    assert run("--", sys.executable, "-c", program).exit_code == 128 + 15


def test_the_program_is_given_the_variables(listener: socket.socket, at_home: Path) -> None:
    port = listener.getsockname()[1]
    program = (
        "import os, pathlib; pathlib.Path('seen').write_text(os.environ['GOOGLE_GEMINI_BASE_URL']"
        " + ' ' + os.environ['SSL_CERT_FILE'])"
    )

    assert run("--", sys.executable, "-c", program).exit_code == 0
    url, bundle = (at_home / "seen").read_text().split()
    assert url == f"https://127.0.0.1:{port}"
    assert Path(bundle).is_file()


@pytest.mark.parametrize("way", ["--port={port}", "--url=http://127.0.0.1:{port}"])
def test_a_server_elsewhere_is_named_and_python_gets_its_tls(at_home: Path, way: str) -> None:
    program = (
        "import os, pathlib; pathlib.Path('seen').write_text(os.environ['GOOGLE_GEMINI_BASE_URL'])"
    )
    with listening() as server:
        port = server.getsockname()[1]
        result = run(way.format(port=port), "--", sys.executable, "-c", program)

    assert (result.exit_code, result.stderr) == (0, "")
    assert (at_home / "seen").read_text() == f"https://127.0.0.1:{port}"


def test_an_address_that_is_none_is_refused() -> None:
    result = run("--url", "localhost", "--", sys.executable, "-c", "")

    assert result.exit_code == 1
    assert "E-CONFIG" in result.stderr


def test_the_programs_own_options_are_left_to_it(listener: socket.socket, at_home: Path) -> None:
    program = "import sys, pathlib; pathlib.Path('seen').write_text(' '.join(sys.argv[1:]))"

    assert run(sys.executable, "-c", program, "--config", "x", "-v").exit_code == 0
    assert (at_home / "seen").read_text() == "--config x -v"


def test_without_a_server_the_program_is_not_started(
    monkeypatch: pytest.MonkeyPatch, at_home: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("VIVAVOCE_SERVER__PORT", str(server.getsockname()[1]))

    result = run("--", sys.executable, "-c", "import pathlib; pathlib.Path('seen').touch()")

    assert result.exit_code == 3
    *_, problem, fix = result.stderr.splitlines()
    assert problem.startswith("E-NO-SERVER: No server answers at https://127.0.0.1:")
    assert "vivavoce serve" in fix
    assert not (at_home / "seen").exists()


def test_nothing_is_said_when_a_server_answers(listener: socket.socket) -> None:
    assert run("--", sys.executable, "-c", "").stderr == ""


def test_a_program_that_is_not_there(listener: socket.socket) -> None:
    result = run("--", "no-such-program-anywhere")

    assert result.exit_code == 127
    assert "E-COMMAND-MISSING" in result.stderr


def test_a_file_that_is_no_program(listener: socket.socket, at_home: Path) -> None:
    (at_home / "broken").write_bytes(b"\x7fELF")
    (at_home / "broken").chmod(0o755)

    assert run("--", str(at_home / "broken")).exit_code == 126


WAITS = """
import pathlib, signal, sys
pathlib.Path("ready").touch()
try:
    signal.pause()
except KeyboardInterrupt:
    sys.exit(7)
"""


@pytest.fixture
def waiting(listener: socket.socket, at_home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`vivavoce run` with a program that waits for a signal, in a process group of their own."""
    command = [sys.executable, "-m", "vivavoce", "run", "--", sys.executable, "-c", WAITS]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            while not (at_home / "ready").exists():
                assert process.poll() is None
                time.sleep(0.02)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_ctrl_c_interrupts_the_program(waiting: subprocess.Popen[bytes]) -> None:
    os.killpg(waiting.pid, signal.SIGINT)  # as a terminal does: to both

    assert waiting.wait(10) == 7


def test_an_end_asked_of_run_is_the_programs_too(waiting: subprocess.Popen[bytes]) -> None:
    waiting.terminate()

    assert waiting.wait(10) == 128 + signal.SIGTERM
