"""Waiting for a server that still starts."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from vivavoce.cli.session import wait_until_ready
from vivavoce.client.session import ServerEndpoint

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


def test_a_server_that_starts_is_waited_for_with_one_sentence() -> None:
    with answering((503, STARTING), (503, STARTING), (200, READY)) as (url, asked):
        assert reports(url) == ["The server is still starting (profile a); waiting for it."]
    assert asked == ["/readyz"] * 3


@pytest.mark.parametrize(
    "answer",
    [(200, READY), (503, FAILED), (404, b"not here"), (503, b"<html>"), (503, []), (503, {})],
)
def test_nothing_else_is_waited_for(answer: tuple[int, object]) -> None:
    with answering(answer) as (url, asked):
        assert reports(url) == []
    assert asked == ["/readyz"]


def test_no_server_is_left_to_the_session_to_report() -> None:
    (line,) = reports("http://127.0.0.1:9")
    assert line.startswith("No server answers at http://127.0.0.1:9 yet; waiting ")


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


def test_waiting_ends() -> None:
    with answering((503, STARTING)) as (url, _):
        assert reports(url, timeout_s=0.0) == []


def test_a_server_too_busy_to_answer_is_waited_for_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vivavoce.cli.session.ANSWER_S", 0.05)
    monkeypatch.setattr("vivavoce.cli.session.UNANSWERED_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = reports(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert said == ["The server is still starting (no answer yet); waiting for it."]
