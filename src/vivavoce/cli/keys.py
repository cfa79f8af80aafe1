"""`vivavoce keys` and `vivavoce token`: manage API keys and quotas, make ephemeral tokens."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import typer
from rich.table import Table

from vivavoce.cli import session as options
from vivavoce.cli.errors import CliError, ErrorCode, open_console
from vivavoce.cli.options import ConfigFile
from vivavoce.client.session import ServerEndpoint, ServerUnreachable
from vivavoce.config.loading import load_config
from vivavoce.config.settings import Config, split_words
from vivavoce.domain.accounts import ALL_SCOPES, KeyRecord, Quota, Scope
from vivavoce.errors import ConfigError, connection_failure
from vivavoce.server import configured_store
from vivavoce.store.port import StateStore, digest_secret

T = TypeVar("T")

PREFIX = "vv-"
HINT = 7
"""Characters of a key that are stored, to recognize it: the prefix and four of 43."""

UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}

app = typer.Typer(
    help="Make, list and revoke API keys. A running server heeds changes within seconds.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Unique name of the key.")],
    scopes: Annotated[
        str, typer.Option(help="Scopes, with commas: live, tokens, models.")
    ] = "live,tokens,models",
    expires: Annotated[str, typer.Option(help="Lifetime: 12h, 30d, 8w; default: unlimited.")] = "",
    sessions: Annotated[int, typer.Option(min=0, help="Concurrent sessions; 0 is unlimited.")] = 0,
    audio_minutes: Annotated[
        float, typer.Option(min=0, help="Minutes of audio a day, both ways.")
    ] = 0,
    tool_calls: Annotated[int, typer.Option(min=0, help="Function calls a day.")] = 0,
    messages_per_s: Annotated[
        float, typer.Option(min=0, help="Messages a second over all sessions.")
    ] = 0,
    config: ConfigFile = None,
) -> None:
    """Make a key. It is printed once, and only its hash is stored."""
    if not name.strip():
        raise ConfigError("A key needs a name.", "Say what it is for.")
    now = time.time()
    secret = PREFIX + secrets.token_urlsafe(32)
    with_limits = Quota(sessions, audio_minutes, tool_calls, messages_per_s)

    async def work(store: StateStore) -> None:
        key = KeyRecord(
            id=secrets.token_hex(8),
            name=name,
            digest=digest_secret(secret),
            hint=secret[:HINT],
            created=now,
            expires=_expiry(expires, now),
            scopes=_scopes(scopes),
            quota=with_limits,
        )
        if not await store.put_key(key):
            raise ConfigError(
                f"There is a key {name!r} already.", "Choose another name, or revoke that one."
            )

    _with_store(config, work)
    typer.echo("This key is shown once; keep it where its user finds it:", err=True)
    typer.echo(secret)


@app.command("list")
def list_keys(config: ConfigFile = None) -> None:
    """List the keys, without their secrets."""
    settings, keys = _with_store(config, lambda store: store.list_keys())
    table = Table("name", "id", "begins", "opens", "ends", "limits", box=None, pad_edge=False)
    for number, key in enumerate(settings.server.keys, 1):
        table.add_row(f"server.keys #{number}", "", f"{key[:2]}…", "everything", "", "")
    for record in keys:
        opens = "everything" if record.scopes == ALL_SCOPES else _scope_names(record.scopes)
        table.add_row(
            record.name,
            record.id,
            f"{record.hint}…",
            opens,
            _expiry_day(record),
            _limits(record.quota),
        )
    if table.row_count:
        open_console().print(table)
    else:
        typer.echo("There are no keys: every program on this machine may use the server.", err=True)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Name or id of the key.")], config: ConfigFile = None
) -> None:
    """Revoke a key and the tokens made with it. Open sessions continue."""

    async def work(store: StateStore) -> tuple[KeyRecord, ...]:
        ids = [key.id for key in await store.list_keys() if name in (key.id, key.name)]
        if not ids or not await store.drop_key(ids[0]):
            raise ConfigError(f"There is no key {name!r}.", "See `vivavoce keys list`.")
        return await store.list_keys()

    settings, left = _with_store(config, work)
    typer.echo(f"{name} is revoked.", err=True)
    if not (left or settings.server.keys):
        typer.echo(
            "It was the last one: a server that starts now is open on this machine.", err=True
        )


def _with_store(
    config: Path | None, work: Callable[[StateStore], Awaitable[T]]
) -> tuple[Config, T]:
    """Run `work` with the configured store, and return the configuration and the result."""

    async def run(store: StateStore) -> T:
        try:
            await store.start()
            return await work(store)
        finally:
            await store.aclose()

    settings = load_config(config)
    store = configured_store(settings)
    if not store.shared:
        raise ConfigError(
            f"store.use = {settings.store.use!r} is this process's alone: no server would see "
            "the key.",
            'Set store.use = "sqlite" or "redis", or name keys in server.keys.',
        )
    return settings, asyncio.run(run(store))


def _scopes(words: str) -> frozenset[Scope]:
    known = {scope.value: scope for scope in Scope}
    wanted = split_words(words)
    assert isinstance(wanted, list)
    if not wanted or (unknown := [word for word in wanted if word not in known]):
        wrong = ", ".join(unknown) if wanted else "nothing"
        raise ConfigError(f"A key cannot open {wrong}.", f"It may open: {', '.join(known)}.")
    return frozenset(known[word] for word in wanted)


def _expiry(words: str, now: float) -> float:
    if not words:
        return 0.0
    match = re.fullmatch(r"(\d{1,5})([mhdw])", words.strip())
    if match is None or int(match[1]) == 0:
        raise ConfigError(f"{words!r} is no time.", "Write 12h, 30d or 8w.")
    return now + int(match[1]) * UNITS[match[2]]


def _scope_names(scopes: frozenset[Scope]) -> str:
    return ", ".join(scope.value for scope in Scope if scope in scopes)


def _expiry_day(record: KeyRecord) -> str:
    if not record.expires:
        return ""
    end = datetime.fromtimestamp(record.expires, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{end} (expired)" if record.expires <= time.time() else end


def _limits(quota: Quota) -> str:
    limits = (
        (quota.sessions, "sessions"),
        (quota.audio_minutes, "audio minutes a day"),
        (quota.tool_calls, "tool calls a day"),
        (quota.messages_per_s, "messages a second"),
    )
    return ", ".join(f"{limit:g} {what}" for limit, what in limits if limit)


PATH = "/v1beta/auth_tokens"
ANSWER_S = 10.0
WEB = {"ws": "http", "wss": "https"}


def token(
    uses: Annotated[
        int, typer.Option(min=0, help="Sessions that it may open; 0 is unlimited.")
    ] = 1,
    lasts: Annotated[
        float, typer.Option(min=0, help="Minutes until the token and its sessions end.")
    ] = 30,
    begins: Annotated[
        float, typer.Option(min=0, help="Minutes in which it may open sessions.")
    ] = 1,
    setup: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON file of a setup to lock.")
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(help="Fields of the setup to lock, with commas; default: all."),
    ] = None,
    url: options.Url = "",
    key: options.Key = "",
    ca: options.Ca = None,
) -> None:
    """Print an ephemeral token, which a client uses like a key."""
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
    """Request a token and return its name. Raises `ServerUnreachable`, or `CliError` if refused."""
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
        raise CliError(ErrorCode.KEY_REFUSED if key else ErrorCode.REFUSED, reason, fix)
    return str(body["name"])
