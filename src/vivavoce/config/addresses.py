"""Addresses as the configuration spells them."""

from __future__ import annotations

import ipaddress


def base_url(host: str, port: int, scheme: str = "http") -> str:
    """The URL of a server as its own machine reaches it."""
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"


def is_loopback(host: str) -> bool:
    """Whether nobody outside this machine can reach this address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
