"""Commands that open a session: where they go, whom they trust, how they wait for a server."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serving import serving
from vivavoce.cli.errors import open_console
from vivavoce.cli.main import app
from vivavoce.cli.session import server_endpoint, wait_until_ready
from vivavoce.client.audio import Recording
from vivavoce.client.session import ServerEndpoint
from vivavoce.engines.scripted import say
from vivavoce.http import certificates as authority


@pytest.fixture(autouse=True)
def a_shell_with_a_key_of_googles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_GEMINI_BASE_URL", raising=False)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.setenv("GEMINI_API_KEY", "googles")


def test_our_own_server_gets_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVAVOCE_SERVER__KEYS", "ours,second")
    assert server_endpoint("", "", None).key == "ours"


def test_our_own_server_is_not_shown_a_key_that_it_did_not_give() -> None:
    assert server_endpoint("", "", None).key == ""


def test_a_key_that_was_given_is_used() -> None:
    assert server_endpoint("", "given", None).key == "given"
    assert server_endpoint("http://127.0.0.1:1", "given", None).key == "given"


def test_a_server_that_was_named_gets_the_shells_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server_endpoint("http://127.0.0.1:1", "", None).key == "googles"
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:2")
    assert server_endpoint("", "", None).key == "googles"
    monkeypatch.setenv("GOOGLE_API_KEY", "first")
    assert server_endpoint("", "", None).key == "first"


def test_this_machines_own_authority_is_trusted_on_https_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert server_endpoint("https://127.0.0.1:1", "", None).local_ca is None
    made = authority.prepare_for_server("127.0.0.1")
    assert server_endpoint("https://127.0.0.1:1", "", None).local_ca == made.ca
    assert server_endpoint("wss://127.0.0.1:1", "", None).local_ca == made.ca
    assert server_endpoint("http://127.0.0.1:1", "", None).local_ca is None


def test_a_certificate_of_the_users_own_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = authority.prepare_authority(tmp_path).certificate
    monkeypatch.setenv("VIVAVOCE_SERVER__TLS__CERTIFICATE", str(own))
    monkeypatch.setenv(
        "VIVAVOCE_SERVER__TLS__KEY", str(authority.CertificateAuthority(tmp_path).key)
    )
    assert server_endpoint("https://127.0.0.1:1", "", None).local_ca == own


def test_without_styles_nothing_but_words_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    open_console(plain=True).print("word", style="bold red")
    assert capsys.readouterr().out == "word\n"


STARTING = {"status": "not ready", "parts": {"profile a": {"state": "starting"}}}
FAILED = {"parts": {"profile a": {"state": "failed"}, "profile b": {"state": "starting"}}}
READY = {"status": "ready", "parts": {"profile a": {"state": "ready"}}}


@contextmanager
def answering(*answers: tuple[int, object], port: int = 0) -> Iterator[tuple[str, list[str]]]:
    """A web server that gives these answers one after the other, and the paths asked for."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, body = left.pop(0)
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vivavoce.cli.session.PAUSE_S", 0.01)


def reports(url: str, timeout_s: float = 5.0) -> list[str]:
    said: list[str] = []
    wait_until_ready(ServerEndpoint(url), said.append, timeout_s)
    return said


@pytest.mark.integration
def test_a_server_that_starts_is_waited_for_with_one_sentence() -> None:
    with answering((503, STARTING), (503, STARTING), (200, READY)) as (url, asked):
        assert reports(url) == ["The server is still starting (profile a); waiting for it."]
    assert asked == ["/readyz"] * 3


@pytest.mark.integration
@pytest.mark.parametrize(
    "answer",
    [(200, READY), (503, FAILED), (404, b"not here"), (503, b"<html>"), (503, []), (503, {})],
)
def test_nothing_else_is_waited_for(answer: tuple[int, object]) -> None:
    with answering(answer) as (url, asked):
        assert reports(url) == []
    assert asked == ["/readyz"]


@pytest.mark.integration
def test_no_server_is_left_to_the_session_to_report() -> None:
    (line,) = reports("http://127.0.0.1:9")
    assert line.startswith("No server answers at http://127.0.0.1:9 yet; waiting ")


@pytest.mark.integration
def test_a_port_that_opens_later_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vivavoce.cli.session.LISTENER_S", 30.0)
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    opened = ExitStack()

    def report(line: str) -> None:
        said.append(line)
        if len(said) == 1:
            opened.enter_context(answering((503, STARTING), (200, READY), port=port))

    with opened:
        wait_until_ready(ServerEndpoint(f"http://127.0.0.1:{port}"), report)
    assert said[0].startswith("No server answers")
    assert said[1:] == ["The server is still starting (profile a); waiting for it."]


@pytest.mark.integration
def test_waiting_ends() -> None:
    with answering((503, STARTING)) as (url, _):
        assert reports(url, timeout_s=0.0) == []


@pytest.mark.integration
def test_a_server_too_busy_to_answer_is_waited_for_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vivavoce.cli.session.ANSWER_S", 0.05)
    monkeypatch.setattr("vivavoce.cli.session.UNANSWERED_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = reports(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert said == ["The server is still starting (no answer yet); waiting for it."]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's data folder, in which a server's authority is looked for."""
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vivavoce").mkdir()
    recording = Recording.empty(rate=16_000)
    recording.add_audio(bytes(8_000) + say("good day", 16_000))
    recording.save(tmp_path / "spoken.wav")
    return tmp_path


@pytest.mark.integration
@pytest.mark.parametrize(
    "command", [["say", "good day"], ["talk", "--in", "spoken.wav", "--fast", "--plain"], ["token"]]
)
async def test_a_command_trusts_the_local_authority(home: Path, command: list[str]) -> None:
    async with serving(home / "vivavoce") as server:
        options = [*command, "--url", server.url("https")]
        done = await asyncio.to_thread(CliRunner().invoke, app, options)
    assert done.exit_code == 0, done.output
    assert "E-TLS" not in done.stderr


@pytest.mark.integration
async def test_a_server_of_another_authority_is_not_trusted(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(home / "vivavoce") as server:
        monkeypatch.setenv("XDG_DATA_HOME", str(home / "another"))
        options = ["say", "good day", "--url", server.url("https")]
        done = await asyncio.to_thread(CliRunner().invoke, app, options)
    assert done.exit_code == 3
    assert done.stderr.startswith("E-TLS-TRUST: ")
