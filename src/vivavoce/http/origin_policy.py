"""Decide which peers, host names and origins may call the server.

- *Plain text* is accepted from this machine only, unless configured otherwise: it carries keys.
- *Host*: a name that is not one of the server's is refused. Else a foreign page could point a name
  of its own at this machine (DNS rebinding) and pass for the server's own page.
- *Origin*: browsers let any page open a WebSocket to any address, and say which page it is. Pages
  of this machine and of the server itself are accepted; others when they are configured. Programs
  other than browsers send none.

Headers that a proxy adds (`X-Forwarded-…`) are ignored, and there are no cookies.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

LOOPBACK_ORIGIN = r"https?://(localhost|[\w-]+\.localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?"
"""Pattern of origins on this machine, for CORS."""

_LOOPBACK = re.compile(LOOPBACK_ORIGIN)


@dataclass(frozen=True, slots=True)
class RequestOrigin:
    """Peer address (may be empty), transport and headers of a request."""

    secure: bool
    peer: str
    host: str
    origin: str


class OriginPolicy:
    """Policy for peers, hosts and origins; `*` in `hosts` or `origins` accepts all.

    `plain` says from where plain text is accepted: `loopback`, `anywhere` or `never`.
    """

    def __init__(
        self,
        bind: str = "127.0.0.1",
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
        plain: str = "loopback",
    ) -> None:
        own = (bind, socket.gethostname(), f"{socket.gethostname()}.local")
        self._hosts = {_name(host) for host in (*own, *hosts)}
        self._origins = {origin.rstrip("/").lower() for origin in origins}
        self._plain = plain

    def find_violation(self, call: RequestOrigin) -> str | None:
        """Return the reason to refuse a request, with the deciding setting, or `None`."""
        mine = self._plain == "loopback" and _local(call.peer)
        if not (call.secure or mine or self._plain == "anywhere"):
            return "Plain text is not taken from here: use wss:// or https://."
        if not self._is_known_host(call.host):
            return f"The host {call.host[:60]!r} is not known here; server.hosts names others."
        if call.origin and not self._is_allowed_origin(call.origin, call.host):
            return f"The origin {call.origin[:60]} may not use this server; see server.origins."
        return None

    def _is_known_host(self, host: str) -> bool:
        name = _name(_without_port(host))
        if not name or "*" in self._hosts or name in self._hosts:
            return True
        return name == "localhost" or name.endswith(".localhost") or _address(name) is not None

    def _is_allowed_origin(self, origin: str, host: str) -> bool:
        given = origin.rstrip("/").lower()
        if "*" in self._origins or given in self._origins or _LOOPBACK.fullmatch(given):
            return True
        try:
            return bool(host) and urlsplit(given).netloc == host.lower()
        except ValueError:  # no address at all, such as `http://[`
            return False


def _local(peer: str) -> bool:
    """Return whether the peer is this machine, also through a Unix socket."""
    address = _address(peer)
    if address is None:
        return not peer
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.split("%", 1)[0])
    except ValueError:
        return None


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _name(host: str) -> str:
    return host.strip().lower().rstrip(".")
