"""Check web addresses before they are fetched: spelling, host, and where it resolves to.

A server that fetches what others name can be sent where they can't go: to the services of its
own machine, to its neighbors, to the metadata of its cloud. So a name is resolved here, once,
and *all* answers are checked: one that is not public refuses the page, since a name that leads
to both kinds is a trap or a mistake. `Target` carries the checked addresses, which are the only
ones connected to: a second resolution might give others.

IPv4 is public by exclusion and IPv6 by inclusion (2000::/3, the only block given out). Forms of
IPv6 that carry an IPv4 address are refused, since they lead wherever a translator takes them;
except NAT64's, by which a network without IPv4 reaches all of it: there the address within
decides. The standard library knows most of this, but not in all its versions, so that the list
below is complete without it.

`allow_private` opens networks, but never the addresses under which clouds give machines their
secrets. `allow_hosts` closes all but the hosts it names; the network rule holds for these, too,
and only names that are local by their spelling are open because they are listed.

There are many ways to write 127.0.0.1 (`127.1`, `0x7f000001`, `2130706433`, `[::ffff:7f00:1]`,
digits of other scripts), and each has fooled some filter that read an address otherwise than the
code that connected to it. So one parser, `httpx2.URL`, splits the address for the rules here and
for the request alike; and a host is either a plain dotted or bracketed address, or a name of
letters, digits and hyphens whose last label is no number. Everything else is refused before it is
resolved. A host in another script becomes the ASCII name that DNS knows, by IDNA 2008, which has
no look-alikes of digits and dots; the result is held to the same rules.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Protocol

import httpx2
from pydantic import AfterValidator, BeforeValidator, Field

from vivavoce.domain.content import RetrievalStatus
from vivavoce.engines.settings import read_settings
from vivavoce.errors import ToolError

TOOL = "url"


class PageError(ToolError):
    """The page could not be read. `problem` names no address that a resolver gave."""

    status = RetrievalStatus.ERROR

    def __init__(self, problem: str) -> None:
        super().__init__(TOOL, problem)


class PagePaywalled(PageError):
    """The server requires payment or a login."""

    status = RetrievalStatus.PAYWALL


class PageRefused(PageError):
    """The rules of this server forbid reading the page."""

    status = RetrievalStatus.UNSAFE


Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


# --- settings --------------------------------------------------------------------------------


def _host(value: str) -> str:
    if (pattern := host_pattern(value)) is None:
        raise ValueError(f"can't hold {value!r}: a name or `*.name` is wanted")
    return pattern


def _network(value: object) -> Network:
    try:
        if isinstance(value, str):
            return ip_network(value)
    except ValueError:
        pass
    raise ValueError(f"can't hold {value!r}: `10.1.0.0/16` would be one")


def _items(value: object) -> tuple[object, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list")
    return tuple(value)


def _some_items(value: object) -> tuple[object, ...]:
    if not (items := _items(value)):
        # An empty list would look like "nothing"; without the setting, all are allowed.
        raise ValueError("is empty: name one, or leave the setting out")
    return items


_Amount = Annotated[int, Field(ge=1, le=10**9)]
_Port = Annotated[int, Field(ge=1, le=65535)]
_Host = Annotated[str, AfterValidator(_host)]
_Network = Annotated[Network, BeforeValidator(_network)]


@dataclass(frozen=True, slots=True)
class UrlContextSettings:
    """Which pages may be read, and how much of them.

    `allow_hosts` are names (`docs.example.org`) or everything below one (`*.example.org`); if
    there are any, nothing else is read. `allow_private` are networks that count as public.
    `max_bytes` limits one page after decompression, `max_characters` what the model gets of it,
    `time_s` one page with its name resolution and all its redirects, `max_urls` one call (the API
    reads at most 20 addresses for one request).
    """

    allow_hosts: Annotated[tuple[_Host, ...], BeforeValidator(_some_items)] = ()
    allow_private: Annotated[tuple[_Network, ...], BeforeValidator(_items)] = ()
    ports: Annotated[tuple[_Port, ...], BeforeValidator(_some_items)] = (80, 443)
    max_bytes: _Amount = 3_000_000
    max_characters: _Amount = 8_000
    time_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    max_urls: Annotated[int, Field(ge=1, le=20)] = 5


def read_url_settings(table: Mapping[str, object]) -> UrlContextSettings:
    """Return the settings in a configuration table. Raises `ConfigError` naming every fault."""
    return read_settings(TOOL, table, UrlContextSettings, owner="tool")


# --- where an address leads --------------------------------------------------------------------

_CLOSED = tuple(
    ip_network(each)
    for each in (
        # RFC 6890 and its successors: this host, private, shared, loopback, link-local, protocol
        # assignments, documentation, 6to4 relays, benchmarks, multicast, reserved, broadcast.
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        # Within 2000::/3: protocol assignments with Teredo, documentation (twice), 6to4.
        *("2001::/23", "2001:db8::/32", "3fff::/20", "2002::/16"),
    )
)
_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")

# Metadata and credentials: AWS (also ECS, EKS), Google, Azure, Oracle, Alibaba and those alike.
_METADATA = frozenset(
    ip_address(each)
    for each in (
        *("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"),
        *("fd20:ce::254", "168.63.129.16", "192.0.0.192", "100.100.100.200"),
    )
)

MAX_ADDRESSES = 4


class Resolver(Protocol):
    """Resolves a host name to network addresses."""

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return all addresses, best first. Raises `OSError` where there are none."""
        ...


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Resolve by this machine's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


@dataclass(frozen=True, slots=True)
class Target:
    """A web address that may be read, and the network addresses to connect to."""

    url: httpx2.URL
    host: str
    port: int
    addresses: tuple[Address, ...]


class SsrfGuard:
    """Resolves web addresses, and refuses those that must not be followed."""

    def __init__(self, settings: UrlContextSettings, resolver: Resolver = system_resolver) -> None:
        self._settings = settings
        self._resolver = resolver

    async def check_url(self, text: str) -> Target:
        """Return where to connect for `text`. Raises `PageRefused`, `PageError`."""
        url = read_url(text)
        host = read_host(url.raw_host.decode("ascii"))
        default = 443 if url.scheme == "https" else 80
        port = default if url.port is None else url.port
        if port not in self._settings.ports:
            raise PageRefused("Addresses with this port number are not read.")
        self._check_host(host)
        addresses = await self._resolve(host, port) if isinstance(host, str) else [host]
        if not all(self._is_open(address) for address in addresses):
            raise PageRefused("The address leads into a network that is not open to this tool.")
        return Target(url, str(host), port, tuple(addresses[:MAX_ADDRESSES]))

    def _check_host(self, host: Address | str) -> None:
        allowed = self._settings.allow_hosts
        if any(matches(str(host), pattern) for pattern in allowed):
            return
        if allowed:
            raise PageRefused("This host is not among those that may be read here.")
        if isinstance(host, str) and is_local(host):
            raise PageRefused("Names of the local network are not read.")

    async def _resolve(self, host: str, port: int) -> list[Address]:
        try:
            found = [ip_address(each) for each in await self._resolver(host, port)]
        except (OSError, UnicodeError, ValueError):
            found = []
        if not found:
            raise PageError("There is no host of this name.")
        return found

    def _is_open(self, address: Address) -> bool:
        meant = _meant(address)
        if isinstance(meant, IPv6Address) and (meant.ipv4_mapped or meant.scope_id):
            return False
        opened = any(meant in each for each in self._settings.allow_private)
        return meant not in _METADATA and (opened or is_public(meant))


def is_public(address: Address) -> bool:
    """Return whether `address` is one of the public internet."""
    meant = _meant(address)
    if isinstance(meant, IPv6Address) and meant not in _UNICAST:
        return False
    within = any(meant in each for each in _CLOSED)
    return meant.is_global and not within and meant not in _METADATA


def _meant(address: Address) -> Address:
    """Return the IPv4 address that NAT64 makes of `address`, or itself."""
    if isinstance(address, IPv6Address) and address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


# --- how an address is spelled -----------------------------------------------------------------

MAX_URL = 2048
"""Characters of the longest address that is read."""

# No user, no percent sign, no backslash, no blank, no zone; a port of plain digits.
_AUTHORITY = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:@%\\\s]+)(?::[0-9]{1,5})?", re.ASCII)
_ABSOLUTE_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?P<authority>[^/?#]*)", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
# What the C library would read as a number: an address may end in such a label.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)

# Names that lead into the local network, whatever a resolver makes of them: RFC 6761, 6762,
# 8375, 9476, the reserved `internal`, and what routers use without asking.
LOCAL = frozenset(
    (
        *("localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home"),
        *("lan", "test", "invalid", "onion", "alt", "home.arpa", "in-addr.arpa", "ip6.arpa"),
    )
)


def read_url(text: str) -> httpx2.URL:
    """Parse a web address, without its fragment. Raises `PageRefused`."""
    if len(text) > MAX_URL:
        raise PageRefused("The address is too long.")
    whole = _ABSOLUTE_URL.match(text)
    if whole is None:
        raise PageRefused("This is not a whole web address.")
    if not _AUTHORITY.fullmatch(whole["authority"]):
        raise PageRefused("The host in this address is written in a way that is not accepted.")
    try:
        url = httpx2.URL(text).copy_with(fragment=None)
    except httpx2.InvalidURL:
        raise PageRefused("This is not a valid web address.") from None
    if url.scheme not in ("http", "https"):
        raise PageRefused("Only http and https addresses can be read.")
    return url


def read_host(host: str) -> IPv4Address | IPv6Address | str:
    """Parse a host, as `httpx2` has it, to an address or a name. Raises `PageRefused`."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise PageRefused("The host in this address is not a plain name.")
    if _NUMBER.fullmatch(labels[-1]):
        raise PageRefused("The host in this address is a number in disguise.")
    return host


def is_local(name: str) -> bool:
    """Return whether `name` is known to the local network only."""
    labels = name.split(".")
    return len(labels) == 1 or labels[-1] in LOCAL or ".".join(labels[-2:]) in LOCAL


def host_pattern(text: str) -> str | None:
    """Normalize an entry of `allow_hosts`; `None` if it is none."""
    star = "*." if text.startswith("*.") else ""
    bare = text.removeprefix(star)
    if any(mark in bare for mark in "/?#"):  # more than a host would be read as a host alone
        return None
    try:
        url = read_url(f"http://[{bare}]/" if ":" in bare else f"http://{bare}/")
        host = read_host(url.raw_host.decode("ascii"))
    except PageRefused:
        return None
    return None if star and not isinstance(host, str) else f"{star}{host}"


def matches(host: str, pattern: str) -> bool:
    """Return whether `host` is the one that `pattern` names, or below it for `*.name`."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern
