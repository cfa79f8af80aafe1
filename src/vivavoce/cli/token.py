"""`vivavoce token`: an ephemeral token of a running server, for a client that holds no key."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx2
import typer

from vivavoce.cli import session_options as options
from vivavoce.cli.errors import CliError, ErrorCode, print_and_exit
from vivavoce.client.session import ServerEndpoint, ServerUnreachable
from vivavoce.connection_errors import connection_failure
from vivavoce.errors import ConfigError

PATH = "/v1beta/auth_tokens"
ANSWER_S = 10.0
WEB = {"ws": "http", "wss": "https"}


def token(
    uses: Annotated[int, typer.Option(min=0, help="Sessions it begins; 0 is any number.")] = 1,
    lasts: Annotated[float, typer.Option(min=0, help="Minutes until it ends everything.")] = 30,
    begins: Annotated[float, typer.Option(min=0, help="Minutes within which sessions begin.")] = 1,
    setup: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON of a bound setup.")
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(help="Fields of it that are held fast, with commas; all if not given."),
    ] = None,
    url: options.Url = "",
    key: options.Key = "",
    ca: options.Ca = None,
) -> None:
    """Print an ephemeral token, with which a client connects as with a key."""
    with options.exit_on_error():
        address = options.server_endpoint(url, key, ca)
        now = datetime.now(UTC)
        body: dict[str, Any] = {
            "uses": uses,
            "expireTime": (now + timedelta(minutes=lasts)).isoformat(),
            "newSessionExpireTime": (now + timedelta(minutes=begins)).isoformat(),
        }
        if setup is not None:
            body["bidiGenerateContentSetup"] = _read_setup(setup)
        if mask is not None:
            body["fieldMask"] = mask
        typer.echo(_request_token(address, body))


def _read_setup(path: Path) -> dict[str, Any]:
    try:
        setup = json.loads(path.read_bytes())
    except ValueError as error:
        raise ConfigError(f"{path} is no JSON: {error}.", "Write the setup of a session.") from None
    if not isinstance(setup, dict):
        raise ConfigError(f"{path} holds no object.", "Write the setup of a session.")
    inner = setup.get("setup")
    return inner if isinstance(inner, dict) else setup


def _request_token(address: ServerEndpoint, body: dict[str, Any]) -> str:
    """The token's name, from the server. Raises `ServerUnreachable`; leaves where it is refused."""
    verify = address.tls() or True
    parts = urlsplit(address.url)
    base = f"{WEB.get(parts.scheme, parts.scheme)}://{parts.netloc}{parts.path.rstrip('/')}"
    headers = {"x-goog-api-key": address.key} if address.key else {}
    try:
        with httpx2.Client(verify=verify, timeout=ANSWER_S, trust_env=False) as web:
            answer = web.post(base + PATH, json=body, headers=headers)
    except httpx2.HTTPError as error:
        raise ServerUnreachable(
            f"No server answers at {base} ({connection_failure(error)}).",
            "Start one: `vivavoce serve`.",
        ) from None
    body = answer.json() if "json" in answer.headers.get("content-type", "") else {}
    if answer.status_code != 200 or "name" not in body:
        reason = str(body.get("error", {}).get("message", f"status {answer.status_code}"))
        key = answer.status_code in (401, 403) or "API key" in reason
        fix = "Give one of the server's keys with --key." if key else "Correct what is named."
        raise print_and_exit(
            CliError(ErrorCode.KEY_REFUSED if key else ErrorCode.REFUSED, reason, fix)
        )
    return str(body["name"])
