"""Trying the state store: where sessions, tokens and keys are kept, and whether they can be."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

from vivavoce.cli.faults import fault_of
from vivavoce.cli.findings import Finding, ok, wrong
from vivavoce.config import Config, is_loopback
from vivavoce.errors import ConfigError, VivavoceError
from vivavoce.wiring import store_of


async def store(config: Config) -> AsyncGenerator[Finding, None]:
    """Whether the store can be used, and how many keys are in it."""
    try:
        kept = store_of(config)
        try:
            await kept.start()
            keys = await kept.keys()
        finally:
            await kept.aclose()
    except VivavoceError as error:
        yield wrong("store", fault_of(error))
        return
    yield ok("store", f"{kept.name} can be used")
    good = [key for key in keys if not key.expires or key.expires > time.time()]
    count = len(good) + len(config.server.keys)
    if count:
        yield ok("keys", f"{count} {'key' if count == 1 else 'keys'}")
    elif is_loopback(config.server.host):
        yield ok("keys", "no key: every program on this machine may use the server")
    else:
        problem = f"server.host = {config.server.host!r} is reachable by others and has no key."
        yield wrong("keys", fault_of(ConfigError(problem, "Run `vivavoce keys add NAME`.")))
