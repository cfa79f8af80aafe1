"""`vivavoce env`: the server's address, and the variables by which SDKs find and trust it."""

from __future__ import annotations

import json
import os
import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from vivavoce.cli.errors import CliError, ErrorCode
from vivavoce.config.loading import load_config
from vivavoce.config.settings import Config, base_url, is_loopback
from vivavoce.errors import ConfigError
from vivavoce.http import certificates

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANY_KEY = "vivavoce"
"""Python's SDK refuses to start without a key; a server without keys takes any."""

KEY_VARIABLES = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
"""Where Google's SDKs look for a key; the first wins, and with both set they print a warning."""

ConfigFile = Annotated[Path | None, typer.Option("--config", help="Configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Port = Annotated[int | None, typer.Option("--port", help="Port of a server on this machine.")]
Url = Annotated[str, typer.Option("--url", help="Base URL of the server, instead of the port.")]
Key = Annotated[
    str,
    typer.Option(
        "--key", envvar="VIVAVOCE_KEY", help="API key of the server; default: its configured one."
    ),
]


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The server's address as a client on this machine sees it."""

    host: str
    port: int
    url: str


def server_address(config: Config, url: str = "") -> ServerAddress:
    """Return the address of the configured server, or of the one at `url`.

    A port of ours on this machine speaks TLS too, and Python's SDK nothing else, so that the
    `http` address of one becomes the `https` one. Raises `ConfigError` for a bad `url`.
    """
    if url:
        return _address_at(url, config.server.tls.enabled)
    url = base_url(config.server.host, config.server.port)
    scheme = "https" if config.server.tls.enabled else "http"
    host = url.removeprefix("http://").rpartition(":")[0].strip("[]")
    return ServerAddress(host, config.server.port, url.replace("http", scheme, 1))


def _address_at(url: str, tls: bool) -> ServerAddress:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigError(
            f"{url!r} is not the address of a Live server.",
            "Give a base URL such as http://127.0.0.1:8482.",
        )
    port = port or (443 if parts.scheme == "https" else 80)
    scheme = "https" if tls and is_loopback(host) else parts.scheme
    return ServerAddress(host, port, f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}")


def sdk_variables(
    config: Config,
    present: Mapping[str, str] | None = None,
    address: ServerAddress | None = None,
    key: str = "",
) -> dict[str, str]:
    """Return the variables to set, given those set already. Makes the local CA if there is none.

    `key` is one that the server was given by `vivavoce keys`; of those it knows hashes alone.

    `NODE_EXTRA_CA_CERTS` adds to Node's roots, so it names our CA alone; `SSL_CERT_FILE`
    replaces Python's, so it names the bundle.
    """
    present = os.environ if present is None else present
    address = address or server_address(config)
    key = key or next(iter(config.server.keys), ANY_KEY)
    variables = {
        "GOOGLE_GEMINI_BASE_URL": address.url,
        "GOOGLE_VERTEX_BASE_URL": address.url,
    }
    # One of the two, so that no SDK warns: what is set already, since a program may read it.
    replaced = [name for name in KEY_VARIABLES if present.get(name)]
    variables |= dict.fromkeys(replaced or KEY_VARIABLES[:1], key)
    for name in ("NO_PROXY", "no_proxy"):
        old = [part.strip() for part in present.get(name, "").split(",") if part.strip()]
        variables[name] = ",".join(dict.fromkeys([*old, *LOOPBACK, address.host]))
    if config.server.tls.enabled:
        bundle, authority = trusted_certificates(config)
        variables["SSL_CERT_FILE"] = str(bundle)
        variables["NODE_EXTRA_CA_CERTS"] = str(authority)
    return variables


def trusted_certificates(config: Config) -> tuple[Path, Path]:
    """Return the PEM files by which clients trust the server: with the public roots, and without.

    Makes the local CA if there is none and no certificate of the user's own.
    """
    tls = config.server.tls
    if tls.certificate is not None:
        return certificates.write_bundle(tls.certificate), tls.certificate
    authority = certificates.prepare_for_server(config.server.host, tls.names)
    return authority.bundle, authority.ca


ANSWER_S = 1.0


def check_port(config: Config) -> None:
    """Raise `CliError` if something answers at the address where a server is to listen.

    Asked before anything is fetched or loaded, so that a port that is taken costs no waiting.
    """
    address = server_address(config)
    if not address.port or config.server.reuse_port:
        return
    try:
        plain = socket.create_connection((address.host, address.port), ANSWER_S)
    except OSError:
        return  # whatever else is wrong with the address, binding it tells
    with plain:
        try:
            about = get_json(plain, "/version") or {}
        except OSError:
            about = {}
    problem = f"{config.server.host}:{config.server.port} is in use."
    fix = "Another server runs there; stop it, or choose another --port."
    if about.get("name") == "vivavoce":
        problem = f"{problem} vivavoce {about.get('version')} answers there."
        fix = "Use that one, stop it, or choose another --port."
    raise CliError(ErrorCode.PORT_BUSY, problem, fix)


def get_json(plain: socket.socket, path: str) -> dict[str, object] | None:
    """Return a JSON object read over plain HTTP; `None` for any other answer. Raises `OSError`."""
    plain.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    while len(answer) < 1_000_000 and (more := plain.recv(65536)):
        answer += more
    try:
        body = json.loads(answer.partition(b"\r\n\r\n")[2])
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def env(
    fish: Annotated[bool, typer.Option("--fish", help="For the fish shell.")] = False,
    powershell: Annotated[bool, typer.Option("--powershell", help="For PowerShell.")] = False,
    dotenv: Annotated[bool, typer.Option("--dotenv", help="As a .env file.")] = False,
    as_json: AsJson = False,
    url: Url = "",
    port: Port = None,
    key: Key = "",
    config: ConfigFile = None,
) -> None:
    """Print the variables for your shell: eval "$(vivavoce env)"."""
    settings = load_config(config, {"server.port": port})
    variables = sdk_variables(settings, address=server_address(settings, url), key=key)
    spell = posix_lines
    if fish:
        spell = fish_lines
    elif powershell:
        spell = powershell_lines
    elif dotenv:
        spell = dotenv_lines
    elif as_json:
        spell = json_text
    typer.echo(spell(variables))


def posix_lines(variables: Mapping[str, str]) -> str:
    """Format `export` lines for `eval`."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def fish_lines(variables: Mapping[str, str]) -> str:
    """Format for fish, where only backslash and quote are escaped inside single quotes."""
    quoted = {
        name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in variables.items()
    }
    return "\n".join(f"set -gx {name} '{value}';" for name, value in quoted.items())


def powershell_lines(variables: Mapping[str, str]) -> str:
    """Format for PowerShell, where a quote is doubled inside single quotes."""
    quoted = {name: value.replace("'", "''") for name, value in variables.items()}
    return "\n".join(f"$env:{name} = '{value}'" for name, value in quoted.items())


def dotenv_lines(variables: Mapping[str, str]) -> str:
    """Format for dotenv readers and `docker --env-file`: no quotes."""
    return "\n".join(f"{name}={value}" for name, value in variables.items())


def json_text(variables: Mapping[str, str]) -> str:
    """Format as one JSON object."""
    return json.dumps(dict(variables), indent=2)
