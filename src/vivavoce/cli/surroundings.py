"""The variables that make a program's Google SDK find and trust this server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vivavoce.config import Config, base_url
from vivavoce.edge import ca

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANY_KEY = "vivavoce"
"""Python's SDK refuses to start without a key; a server without keys takes any."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server is to be found, as a client on this machine sees it."""

    host: str
    port: int
    url: str


def place_of(config: Config) -> Place:
    """The server that this configuration describes."""
    url = base_url(config.server.host, config.server.port)
    scheme = "https" if config.server.tls.enabled else "http"
    host = url.removeprefix("http://").rpartition(":")[0].strip("[]")
    return Place(host, config.server.port, url.replace("http", scheme, 1))


def variables(config: Config, present: Mapping[str, str] | None = None) -> dict[str, str]:
    """What to set, given what is set already. Makes the local CA if there is none.

    `NODE_EXTRA_CA_CERTS` adds to Node's roots, so it names our CA alone; `SSL_CERT_FILE`
    replaces Python's, so it names the bundle.
    """
    present = os.environ if present is None else present
    place = place_of(config)
    key = config.server.keys[0] if config.server.keys else ANY_KEY
    found = {
        "GOOGLE_GEMINI_BASE_URL": place.url,
        "GOOGLE_VERTEX_BASE_URL": place.url,
        "GEMINI_API_KEY": key,
        "GOOGLE_API_KEY": key,
    }
    for name in ("NO_PROXY", "no_proxy"):
        old = [part.strip() for part in present.get(name, "").split(",") if part.strip()]
        found[name] = ",".join(dict.fromkeys([*old, *LOOPBACK, place.host]))
    if config.server.tls.enabled:
        bundle, authority = trusted(config)
        found["SSL_CERT_FILE"] = str(bundle)
        found["NODE_EXTRA_CA_CERTS"] = str(authority)
    return found


def trusted(config: Config) -> tuple[Path, Path]:
    """The PEM files by which clients trust the server: with the public roots, and without.

    Makes the local CA if there is none and no certificate of the user's own.
    """
    tls = config.server.tls
    if tls.certificate is not None:
        return ca.bundle_with(tls.certificate), tls.certificate
    authority = ca.for_server(config.server.host, tls.names)
    return authority.bundle, authority.ca
