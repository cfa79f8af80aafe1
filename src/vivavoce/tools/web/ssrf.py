"""From a web address to the network addresses that may be connected to for it.

A server that fetches what others name can be sent where they can't go: to the services of its
own machine, to its neighbours, to the metadata of its cloud. So a name is resolved here, once,
and *all* answers are looked at: one that is not public refuses the page, since a name that leads
to both kinds is a trap or a mistake. What was looked at is what is connected to: `Target` carries
the addresses, and nobody asks the resolver a second time, because the second answer may differ.

What is public is said by exclusion for IPv4 and by inclusion for IPv6, of which only 2000::/3 is
given out. Forms of IPv6 that carry an IPv4 address are refused, since they lead wherever a
translator takes them; except NAT64's, which is how a network without IPv4 reaches all of it: there
the address within decides. The standard library knows most of this, but not in all its versions,
so that the list below is whole without it.

`allow_private` opens networks. It never opens the addresses under which clouds give machines
their secrets. `allow_hosts` closes all but the hosts it names; the network rule holds for these,
too, and only names that are local by their spelling are open because they are listed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Protocol

import httpx2

from vivavoce.tools.web.errors import PageError, PageRefused
from vivavoce.tools.web.settings import UrlContextSettings
from vivavoce.tools.web.url_syntax import is_local, matches, read_host, read_url

Address = IPv4Address | IPv6Address

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

MOST_ADDRESSES = 4


class Resolver(Protocol):
    """Finds the addresses of a name, as the system's resolver or a test does."""

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """All addresses, best first. Raises `OSError` where there are none."""
        ...


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """What this machine's resolver says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


@dataclass(frozen=True, slots=True)
class Target:
    """An address of the web that may be read, and where to connect for it."""

    url: httpx2.URL
    host: str
    port: int
    addresses: tuple[Address, ...]


class SsrfGuard:
    """Says where a web address leads, or why it is not to be followed."""

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
        return Target(url, str(host), port, tuple(addresses[:MOST_ADDRESSES]))

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
    """Whether `address` is one of the public internet."""
    meant = _meant(address)
    if isinstance(meant, IPv6Address) and meant not in _UNICAST:
        return False
    within = any(meant in each for each in _CLOSED)
    return meant.is_global and not within and meant not in _METADATA


def _meant(address: Address) -> Address:
    """The IPv4 address that NAT64 makes of `address`, or itself."""
    if isinstance(address, IPv6Address) and address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
