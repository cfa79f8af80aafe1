"""Settings of the tool that reads pages, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from ipaddress import IPv4Network, IPv6Network, ip_network

from vivavoce.errors import ConfigError, nearest_name
from vivavoce.tools.web.url_syntax import host_pattern

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class UrlContextSettings:
    """What may be read, and how much of it.

    `allow_hosts` are names (`docs.example.org`) or everything below one (`*.example.org`); if
    there are any, nothing else is read. `allow_private` are networks that count as public.
    `max_bytes` limits one page after decompression, `max_characters` what the model gets of it,
    `time_s` one page with its name resolution and all its redirects, `max_urls` one call.
    """

    allow_hosts: tuple[str, ...] = ()
    allow_private: tuple[Network, ...] = ()
    ports: tuple[int, ...] = (80, 443)
    max_bytes: int = 3_000_000
    max_characters: int = 8_000
    time_s: float = 10.0
    max_urls: int = 5


# The API reads at most this many addresses for one request.
MOST_URLS = 20


def read_settings(table: Mapping[str, object]) -> UrlContextSettings:
    """The settings in a configuration table. Raises `ConfigError` naming every fault."""
    known = {one.name for one in fields(UrlContextSettings)}
    faults = [_unknown(key, known) for key in table if key not in known]
    default = UrlContextSettings()
    settings = UrlContextSettings(
        allow_hosts=tuple(_hosts(table, faults)),
        allow_private=tuple(_networks(table, faults)),
        ports=tuple(_ports(table, faults)) if "ports" in table else default.ports,
        max_bytes=_whole(table, "max_bytes", default.max_bytes, faults),
        max_characters=_whole(table, "max_characters", default.max_characters, faults),
        time_s=_seconds(table, "time_s", default.time_s, faults),
        max_urls=_whole(table, "max_urls", default.max_urls, faults, MOST_URLS),
    )
    if faults:
        raise ConfigError(
            f"The tool `url` is set up wrongly: {'; '.join(faults)}.",
            'Write `url = true`, or for example url = {allow_hosts = ["*.example.org"]}.',
        )
    return settings


def _unknown(key: str, known: set[str]) -> str:
    near = nearest_name(key, known)
    return f"`{key}` is not known" + (f" (did you mean `{near}`?)" if near else "")


def _items(table: Mapping[str, object], key: str, faults: list[str]) -> list[object]:
    value = table.get(key, [])
    if isinstance(value, list | tuple):
        return list(value)
    faults.append(f"`{key}` must be a list, not {value!r}")
    return []


def _hosts(table: Mapping[str, object], faults: list[str]) -> list[str]:
    found = []
    for item in _items(table, "allow_hosts", faults):
        pattern = host_pattern(item) if isinstance(item, str) else None
        if pattern is None:
            faults.append(f"`allow_hosts` can't hold {item!r}: a name or `*.name` is wanted")
        else:
            found.append(pattern)
    # An empty list would look like "nothing" and mean "everything".
    if "allow_hosts" in table and not found and not faults:
        faults.append("`allow_hosts` is empty: name a host, or leave it out to allow all")
    return found


def _networks(table: Mapping[str, object], faults: list[str]) -> list[Network]:
    found: list[Network] = []
    for item in _items(table, "allow_private", faults):
        try:
            if not isinstance(item, str):
                raise ValueError
            found.append(ip_network(item))
        except ValueError:
            faults.append(f"`allow_private` can't hold {item!r}: `10.1.0.0/16` would be one")
    return found


def _ports(table: Mapping[str, object], faults: list[str]) -> list[int]:
    found = []
    for item in _items(table, "ports", faults):
        if isinstance(item, int) and not isinstance(item, bool) and 0 < item < 65536:
            found.append(item)
        else:
            faults.append(f"`ports` can't hold {item!r}")
    if not found and not faults:
        faults.append("`ports` is empty")
    return found


def _whole(
    table: Mapping[str, object], key: str, default: int, faults: list[str], most: int = 10**9
) -> int:
    value = table.get(key, default)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most:
        return value
    faults.append(f"`{key}` must be a whole number from 1 to {most}, not {value!r}")
    return default


def _seconds(table: Mapping[str, object], key: str, default: float, faults: list[str]) -> float:
    value = table.get(key, default)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 600:
        return float(value)
    faults.append(f"`{key}` must be a number of seconds up to 600, not {value!r}")
    return default
