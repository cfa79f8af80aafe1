"""Settings of the web searches, checked as a whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from vivavoce.engines.ports import Settings
from vivavoce.errors import ConfigError

Value = str | int
TIMEOUT_S = 6.0
MAX_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Shape:
    """What may stand in the table of one service.

    `url` is its address unless the user names another; `whole_url` says that it is asked as it
    is, with nothing put after it, so that it may end in a slash or hold a query. `own` are the
    settings that only it has with their defaults, whose types they keep, and `choices` the values
    that some of them may take.
    `example` is what the fix says.
    """

    name: str
    example: str
    url: str = ""
    whole_url: bool = False
    needs_key: bool = False
    own: Mapping[str, Value] = field(default_factory=dict)
    choices: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the service is, the key it wants (or nothing), and what it has of its own."""

    url: str
    key: str = field(repr=False)
    timeout_s: float
    own: Mapping[str, Value]


def read_settings(table: Settings, shape: Shape) -> WebSettings:
    """The settings in a configuration table. Raises `ConfigError` naming every fault."""
    url = str(table.get("url", shape.url))
    if not shape.whole_url:
        url = url.rstrip("/")
    key, faults = _key(table, shape)
    timeout = table.get("timeout_s", TIMEOUT_S)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        faults.append(f"`timeout_s` can't be {timeout!r}")
    elif not 0 < timeout <= MAX_TIMEOUT_S:
        faults.append(f"`timeout_s` must be more than 0 and at most {MAX_TIMEOUT_S:.0f}")
    if problem := _address(url, shape):
        faults.append(problem)
    own = dict(shape.own)
    for name, value in table.items():
        if name in ("url", "api_key", "api_key_env", "timeout_s"):
            continue
        if name not in shape.own:
            faults.append(f"`{name}` is not known")
        elif isinstance(value, bool) or not isinstance(value, type(shape.own[name])):
            faults.append(f"`{name}` can't be {value!r}")
        elif name in shape.choices and value not in shape.choices[name]:
            faults.append(f"`{name}` must be one of {', '.join(map(str, shape.choices[name]))}")
        else:
            own[name] = value
    if faults:
        raise ConfigError(
            f"The search `{shape.name}` is set up wrongly: {'; '.join(faults)}.",
            f"Give at least {shape.example}.",
        )
    return WebSettings(url, key, float(timeout), own)


def _key(table: Settings, shape: Shape) -> tuple[str, list[str]]:
    """The key and what is wrong with it, which never shows the key."""
    given, variable = table.get("api_key", ""), table.get("api_key_env", "")
    if not isinstance(given, str) or not isinstance(variable, str):
        return "", ["`api_key` and `api_key_env` are texts"]
    if variable and not given and variable not in os.environ:
        return "", [f"the environment variable {variable} is not set"]
    key = (given or (os.environ[variable] if variable else "")).strip()
    if not key and shape.needs_key:
        return "", ["`api_key` or `api_key_env` is missing"]
    if not (key.isascii() and key.isprintable()):
        return "", ["the key holds characters that no key has"]
    return key, []


def _address(url: str, shape: Shape) -> str:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole or parts.fragment or (parts.query and not shape.whole_url):
        return "`url` is not an http address" if url else "`url` is missing"
    return ""
