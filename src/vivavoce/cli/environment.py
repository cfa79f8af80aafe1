"""`vivavoce env`: print the environment variables that point SDKs at the server."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from vivavoce.cli.options import AsJson, ConfigFile, Key, Port, ServerAddress, Url, server_address
from vivavoce.config.loading import load_config
from vivavoce.config.settings import Config
from vivavoce.http import certificates

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANY_KEY = "vivavoce"
"""Python's SDK refuses to start without a key; a server without keys takes any."""

KEY_VARIABLES = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
"""Where Google's SDKs look for a key; the first wins, and with both set they print a warning."""


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
    format_variables = posix_lines
    if fish:
        format_variables = fish_lines
    elif powershell:
        format_variables = powershell_lines
    elif dotenv:
        format_variables = dotenv_lines
    elif as_json:
        format_variables = json_text
    typer.echo(format_variables(variables))


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
