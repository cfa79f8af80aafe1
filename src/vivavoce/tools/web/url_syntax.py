"""How a web address may be spelled. What could be read in two ways is refused, not interpreted.

There are many ways to write 127.0.0.1 (`127.1`, `0x7f000001`, `2130706433`, `[::ffff:7f00:1]`,
digits of other scripts), and each of them has fooled some filter that read an address otherwise
than the code that connected to it. Two rules keep that away. There is one parser: `httpx2.URL`
splits the address for the rules here and for the request alike. And a host is either a plain
dotted or bracketed address, or a name of letters, digits and hyphens whose last label is no
number; everything else is refused before anybody resolves it.

A host in another script becomes the ASCII name that DNS knows, by IDNA 2008, which has no
look-alikes of digits and dots; the result is held to the same rules.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx2

from vivavoce.tools.web.errors import PageRefused

MOST_CHARACTERS = 2048

# No user, no percent sign, no backslash, no blank, no zone; a port of plain digits.
_AUTHORITY = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:@%\\\s]+)(?::[0-9]{1,5})?", re.ASCII)
_WHOLE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?P<authority>[^/?#]*)", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
# What the C library would read as a number: an address may end in such a label.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)

# Names that lead into the network at hand, whatever a resolver makes of them: RFC 6761, 6762,
# 8375, 9476, the reserved `internal`, and what routers use without asking.
LOCAL = frozenset(
    (
        *("localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home"),
        *("lan", "test", "invalid", "onion", "alt", "home.arpa", "in-addr.arpa", "ip6.arpa"),
    )
)


def read_url(text: str) -> httpx2.URL:
    """`text` as an address of the web, without its fragment. Raises `PageRefused`."""
    if len(text) > MOST_CHARACTERS:
        raise PageRefused("The address is too long.")
    whole = _WHOLE.match(text)
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
    """The address or name that `host` is, as `httpx2` has it. Raises `PageRefused`."""
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
    """Whether `name` is one that only the network at hand knows."""
    labels = name.split(".")
    return len(labels) == 1 or labels[-1] in LOCAL or ".".join(labels[-2:]) in LOCAL


def host_pattern(text: str) -> str | None:
    """An entry of `allow_hosts` in the form that hosts are compared in, if it is one."""
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
    """Whether `host` is the one that `pattern` names, or below it for `*.name`."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern
