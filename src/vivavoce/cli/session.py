"""Options of the commands that open a session, its setup, and waiting for a server that starts."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Annotated
from urllib.parse import urlsplit

import httpx2
import typer

from vivavoce.cli.errors import FAILED, SILENT, CliError, ErrorCode
from vivavoce.client.messages import DEFAULT_MODEL, SessionOptions
from vivavoce.client.session import ServerEndpoint
from vivavoce.client.tools import ToolModule
from vivavoce.config.loading import load_config
from vivavoce.config.settings import base_url, is_loopback, split_words
from vivavoce.errors import ConfigError
from vivavoce.http import certificates as authority

Url = Annotated[
    str,
    typer.Option(
        "--url", help="Base URL; default: GOOGLE_GEMINI_BASE_URL, else this machine's server."
    ),
]
Key = Annotated[
    str,
    typer.Option(
        "--key",
        envvar="VIVAVOCE_KEY",
        help="API key or token; default: the configured key of this machine's server; with a URL, "
        "GOOGLE_API_KEY, then GEMINI_API_KEY.",
    ),
]
Ca = Annotated[Path | None, typer.Option("--ca", help="PEM file to trust, for https://.")]
Model = Annotated[str, typer.Option("--model", help="Model name, as an SDK would give it.")]
Voice = Annotated[str, typer.Option("--voice", help="A voice of `vivavoce voices`.")]
Instruction = Annotated[str, typer.Option("--instruction", help="The system instruction.")]
Tools = Annotated[
    Path | None,
    typer.Option("--tools", help="Python file whose public functions the model may call."),
]
Use = Annotated[
    str,
    typer.Option("--use", help="Server-side tools that the model may use: search, code, urls."),
]
BUILTIN = {"search": "googleSearch", "code": "codeExecution", "urls": "urlContext"}
Timeout = Annotated[
    float, typer.Option("--wait", help="Timeout in seconds while waiting for the server.")
]
Plain = Annotated[
    bool,
    typer.Option("--plain", help="Print a line for each event, without colors or redrawing."),
]


def server_endpoint(url: str, key: str, ca: Path | None) -> ServerEndpoint:
    """Return the server given, that of the SDKs' variables, or this machine's, with its key.

    This machine's server gets its own configured key and never the shell's, which may well be a
    real one of Google's.
    """
    url = url or os.environ.get("GOOGLE_GEMINI_BASE_URL", "")
    if url:
        shell_key = os.environ.get("GOOGLE_API_KEY", "") or os.environ.get("GEMINI_API_KEY", "")
        local_ca = _local_ca() if urlsplit(url).scheme in ("https", "wss") else None
        return ServerEndpoint(url, key or shell_key, ca, local_ca)
    server = load_config().server
    own = base_url(server.host, server.port)
    return ServerEndpoint(own, key or next(iter(server.keys), ""), ca)


def _local_ca() -> Path | None:
    """Return the certificate that signs this machine's own server, where there is one."""
    certificate = load_config().server.tls.certificate
    if certificate is None:
        certificate = authority.CertificateAuthority(authority.default_folder()).ca
    return certificate if certificate.is_file() else None


def requested_setup(
    model: str,
    voice: str,
    instruction: str,
    tools: ToolModule,
    use: str = "",
    modality: str = "AUDIO",
) -> SessionOptions:
    """Build the setup that the options ask for. Raises `ConfigError` for an unknown tool."""
    used = split_words(use)
    assert isinstance(used, list)
    if unknown := [name for name in used if name not in BUILTIN]:
        raise ConfigError(f"There is no tool {unknown[0]!r}.", f"Tools: {', '.join(BUILTIN)}.")
    return SessionOptions(
        model=model or DEFAULT_MODEL,
        voice=voice,
        instruction=instruction,
        modality=modality,
        functions=tools.declarations,
        builtin=tuple(BUILTIN[name] for name in used),
    )


def open_output_file(
    path: Path | None, option: str, mode: str = "w"
) -> AbstractContextManager[IO[str] | None]:
    """Open the file of an option, if one is given. Raises `ConfigError` if that is impossible."""
    if path is None:
        return nullcontext()
    try:
        return path.open(mode, encoding="utf-8")
    except OSError as error:
        problem = f"{path} can't be written: {error.strerror}."
        raise ConfigError(problem, f"Choose another {option}.") from error


def check_output_file(path: Path | None, option: str) -> None:
    """Raise `ConfigError` for a file that can't be written, before the work for it is done."""
    with open_output_file(path, option, "a"):
        pass


def check_answered(answered: bool, failed: bool) -> None:
    """Raise `CliError` if a turn of the conversation failed or stayed unanswered."""
    if failed:
        problem = "The server could not answer this turn."
        fix = "Its log says why; `vivavoce doctor` tries each engine, --model as of `serve`."
        raise CliError(ErrorCode.TURN_FAILED, problem, fix, FAILED)
    if not answered:
        fix = "The server's log may say why; --wait sets a longer timeout."
        raise CliError(ErrorCode.NO_ANSWER, "No answer came in time.", fix, SILENT)


ANSWER_S = 2.0
"""Timeout of one probe."""

PAUSE_S = 0.5
"""Pause between two probes."""

LISTENER_S = 10.0
"""Wait for a port of this machine that refuses connections: on two busy cores a server listens
after 7 to 8 s, on idle ones after 2."""

UNANSWERED_S = 20.0
"""Longest time without an answer to probes, as on a busy machine while engines load."""

START_TIMEOUT_S = 180.0
"""Longest wait; then the session is opened all the same, and its error says more."""


def wait_until_ready(
    endpoint: ServerEndpoint, report: Callable[[str], None], timeout_s: float = START_TIMEOUT_S
) -> None:
    """Return when no part of the server at `endpoint` is starting any more.

    `report` gets a sentence for each thing to wait for. Whatever else is wrong, and a server
    without `/readyz`, is left to the session that is opened next. Raises `ConfigError` for a bad
    address.
    """
    _wait_for_listener(endpoint.web_url, report)
    deadline = time.monotonic() + timeout_s
    answered = time.monotonic()
    waiting = False
    with httpx2.Client(verify=endpoint.tls() or False, timeout=ANSWER_S, trust_env=False) as web:
        while True:
            try:
                starting = ", ".join(_starting_parts(web, f"{endpoint.web_url}/readyz"))
                answered = time.monotonic()
            except httpx2.TimeoutException:
                starting = "no answer yet"
            now = time.monotonic()
            if not starting or now >= deadline or now - answered >= UNANSWERED_S:
                return
            if not waiting:
                report(f"The server is still starting ({starting}); waiting for it.")
            waiting = True
            time.sleep(PAUSE_S)


def accepts_connections(url: str) -> bool:
    """Return whether a server listens at the address of `url`."""
    return _connect(url) is None


def _connect(url: str) -> OSError | None:
    """Connect to the address of `url`, and return the error if that fails."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), ANSWER_S).close()
    except OSError as error:
        return error
    return None


def _wait_for_listener(url: str, report: Callable[[str], None]) -> None:
    """Return when the port is open, or was refused for `LISTENER_S`.

    Only on this machine, where a refusal is immediate and a server may have been started just now.
    """
    if not is_loopback(urlsplit(url).hostname or ""):
        return
    deadline = time.monotonic() + LISTENER_S
    waiting = False
    while isinstance(_connect(url), ConnectionRefusedError):
        if not waiting:
            report(f"No server answers at {url} yet; waiting {LISTENER_S:g} s for one to start.")
        waiting = True
        if time.monotonic() >= deadline:
            return
        time.sleep(PAUSE_S)


def _starting_parts(web: httpx2.Client, url: str) -> list[str]:
    """Return the parts that are still starting; empty once one has failed, or if nothing is known.

    Raises `httpx2.TimeoutException`.
    """
    try:
        answer = web.get(url)
        report = answer.json() if answer.status_code == 503 else {}
    except httpx2.TimeoutException:
        raise
    except (httpx2.HTTPError, ValueError):
        return []
    parts = report.get("parts") if isinstance(report, dict) else None
    states = {
        name: part.get("state") if isinstance(part, dict) else None
        for name, part in (parts.items() if isinstance(parts, dict) else ())
    }
    if "failed" in states.values():
        return []
    return [name for name, state in states.items() if state == "starting"]
