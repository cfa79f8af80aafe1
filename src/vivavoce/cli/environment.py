"""The variables that make a program's Google SDK find and trust this server."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from vivavoce.config import Config, base_url, is_loopback, load_config
from vivavoce.errors import ConfigError
from vivavoce.http import certificates

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANY_KEY = "vivavoce"
"""Python's SDK refuses to start without a key; a server without keys takes any."""

KEY_VARIABLES = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
"""Where Google's SDKs look for a key; the first wins, and with both set they print a warning."""

COMMAND = re.compile(r"(?<=[`(])vivavoce (?=[a-z])")

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
    """Where the server is to be found, as a client on this machine sees it."""

    host: str
    port: int
    url: str


def server_address(config: Config, url: str = "") -> ServerAddress:
    """The server that this configuration describes, or the one at `url`.

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


def program_name() -> str:
    """How this program is to be typed here: by its name only where that is on the `PATH`."""
    beside = Path(sys.executable).parent / "vivavoce"
    if shutil.which("vivavoce") == str(beside) or not beside.exists():
        return "vivavoce"
    inside = beside.is_relative_to(Path.cwd())
    return shlex.quote(str(beside.relative_to(Path.cwd()) if inside else beside))


def as_typed(text: str) -> str:
    """`text` with every command of ours in it, in backticks or `$(…)`, as it is typed here."""
    return COMMAND.sub(lambda _: program_name() + " ", text)


def command_hint(command: str, url: str) -> str:
    """How to type a command of ours, here, so that it reaches the server at `url`."""
    own = load_config().server
    known = url == base_url(own.host, own.port)
    return f"{program_name()} {command}" + ("" if known else f" --url {url}")


def sdk_variables(
    config: Config,
    present: Mapping[str, str] | None = None,
    address: ServerAddress | None = None,
    key: str = "",
) -> dict[str, str]:
    """What to set for `address`, given what is set already. Makes the local CA if there is none.

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
    """The PEM files by which clients trust the server: with the public roots, and without.

    Makes the local CA if there is none and no certificate of the user's own.
    """
    tls = config.server.tls
    if tls.certificate is not None:
        return certificates.write_bundle(tls.certificate), tls.certificate
    authority = certificates.prepare_for_server(config.server.host, tls.names)
    return authority.bundle, authority.ca
