"""Trying the state store: where sessions, tokens and keys are kept, and whether they can be."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

from vivavoce.cli.doctor_findings import Finding, error_finding, ok_finding
from vivavoce.cli.errors import describe_error
from vivavoce.config import Config, is_loopback
from vivavoce.errors import ConfigError, VivavoceError
from vivavoce.wiring import store_of


async def examine_store(config: Config) -> AsyncGenerator[Finding, None]:
    """Whether the store can be used, and how many keys are in it."""
    try:
        state_store = store_of(config)
        try:
            await state_store.start()
            keys = await state_store.list_keys()
        finally:
            await state_store.aclose()
    except VivavoceError as error:
        yield error_finding("store", describe_error(error))
        return
    yield ok_finding("store", f"{state_store.name} can be used")
    good = [key for key in keys if not key.expires or key.expires > time.time()]
    count = len(good) + len(config.server.keys)
    if count:
        yield ok_finding("keys", f"{count} {'key' if count == 1 else 'keys'}")
    elif is_loopback(config.server.host):
        yield ok_finding("keys", "no key: every program on this machine may use the server")
    else:
        problem = f"server.host = {config.server.host!r} is reachable by others and has no key."
        yield error_finding(
            "keys", describe_error(ConfigError(problem, "Run `vivavoce keys add NAME`."))
        )
