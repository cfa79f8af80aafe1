"""A store in a Redis server, or in what speaks its protocol and runs Lua: for several machines.

The client is redis-py's, which connects anew by itself. Its errors may name the server's address;
they never name the password, nor do ours.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from vivavoce.domain.accounts import KeyRecord, Quota, Scope, TokenRecord
from vivavoce.domain.ids import SessionId
from vivavoce.errors import ConfigError, StoreError
from vivavoce.installing import install_command
from vivavoce.store import redis_scripts
from vivavoce.store.port import KEEP_EXPIRED_S, MAX_HANDLES, STORE_S, Refusal, SavedSession

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

CONNECT_S = 1.0
PROBE_S = 60


class RedisStore:
    """See the port. `url` as redis-py takes it; every name in Redis begins with `prefix`."""

    shared = True
    max_handles = MAX_HANDLES

    def __init__(self, url: str, prefix: str = "vivavoce") -> None:
        self._prefix = prefix
        self._redis = _client(url)
        parts = urlsplit(url)
        self.name = f"redis {parts.hostname or ''}:{parts.port or 6379}{parts.path}"
        self._scripts: dict[str, Any] = {}

    async def start(self) -> None:
        """Connect. Raises `ConfigError` for a password that is wrong, `StoreError`."""
        from redis.exceptions import AuthenticationError

        try:
            await self.ping()
        except StoreError as error:
            if isinstance(error.__cause__, AuthenticationError):
                raise ConfigError(
                    f"{self.name} does not let us in.", "Check user and password in store.url."
                ) from None
            raise

    async def ping(self) -> None:
        # A write, since a replica, or a server whose disk or memory is full, can still be read.
        await self._do(self._redis.set(self._key("probe"), 1, ex=PROBE_S))

    async def aclose(self) -> None:
        with suppress(Exception):
            async with asyncio.timeout(STORE_S):
                await self._redis.aclose()

    async def _do(self, call: Awaitable[T]) -> T:
        """The answer to a call. Raises `StoreError`."""
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(STORE_S):
                return await call
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreError(f"{self.name} cannot be used: {type(error).__name__}.") from error

    async def _run(self, script: str, now: float, *arguments: Any) -> Any:
        known = self._scripts.get(script)
        if known is None:
            known = self._scripts[script] = self._redis.register_script(script)
        return await self._do(known(args=[self._prefix, repr(now), *arguments]))

    def _key(self, *names: str) -> str:
        return ":".join((self._prefix, *names))

    # --- sessions -------------------------------------------------------------------------

    async def save_session(
        self, saved: SavedSession, handle: str, now: float, expires: float
    ) -> bool:
        session = (saved.session, saved.owner, saved.model, saved.lease, saved.data)
        row = (*session, handle, repr(expires), ",".join(saved.media), self.max_handles)
        sent: list[str | bytes] = []
        while isinstance(outcome := await self._run(redis_scripts.SAVE, now, *row, *sent), list):
            for name in map(bytes.decode, outcome):  # media that is not there, and so is sent
                sent += (name, saved.media[name])
        return bool(outcome)

    async def take_session(
        self, handle: str, owner: str, model: str, now: float, exact: bool
    ) -> SavedSession | Refusal:
        found = await self._run(redis_scripts.TAKE, now, handle, owner, model, int(exact))
        if len(found) == 1:
            return Refusal(found[0].decode())
        session, lease, data, *media = found
        named = {name.decode(): blob for name, blob in zip(media[::2], media[1::2], strict=True)}
        return SavedSession(SessionId(session.decode()), owner, model, int(lease), data, named)

    async def renew_sessions(
        self, sessions: Mapping[SessionId, int], now: float, expires: float
    ) -> dict[SessionId, int]:
        flat = [word for item in sessions.items() for word in item]
        leases = await self._run(redis_scripts.RENEW, now, repr(expires), *flat)
        return {
            session: int(lease) for session, lease in zip(sessions, leases, strict=True) if lease
        }

    async def forget_session(self, session: SessionId, lease: int) -> None:
        await self._run(redis_scripts.FORGET, 0.0, session, lease)

    # --- tokens ---------------------------------------------------------------------------

    async def put_token(self, token: TokenRecord) -> None:
        fields: dict[Any, Any] = asdict(token) | {
            "uses": "" if token.uses is None else token.uses,
            "mask": "" if token.mask is None else json.dumps(token.mask),
            "expires": repr(token.expires),
            "new_session_expires": repr(token.new_session_expires),
        }
        key = self._key("token", token.digest)
        async with self._redis.pipeline() as pipe:
            pipe.hset(key, mapping=fields)
            pipe.expireat(key, int(token.expires + KEEP_EXPIRED_S) + 1)
            await self._do(pipe.execute())

    async def find_token(self, digest: str, now: float) -> TokenRecord | None:
        found: Any = await self._do(self._redis.hgetall(self._key("token", digest)))
        if not found or float(found[b"expires"]) + KEEP_EXPIRED_S <= now:
            return None
        uses, mask = found[b"uses"], found[b"mask"]
        return TokenRecord(
            digest,
            found[b"owner"].decode(),
            int(uses) if uses else None,
            float(found[b"expires"]),
            float(found[b"new_session_expires"]),
            found[b"setup"],
            tuple(json.loads(mask)) if mask else None,
        )

    async def claim_token(self, digest: str, now: float, resuming: bool) -> TokenRecord | Refusal:
        claim = (digest, int(resuming), KEEP_EXPIRED_S, secrets.token_hex(8))
        outcome = (await self._run(redis_scripts.CLAIM, now, *claim)).decode()
        if outcome != "claimed":
            return Refusal(outcome)
        return await self.find_token(digest, now) or Refusal.UNKNOWN

    # --- keys -----------------------------------------------------------------------------

    async def put_key(self, key: KeyRecord) -> bool:
        fields = asdict(key) | {"scopes": sorted(scope.value for scope in key.scopes)}
        row = (key.id, key.name, json.dumps(fields))
        return bool(await self._run(redis_scripts.PUT_KEY, key.created, *row))

    async def list_keys(self) -> tuple[KeyRecord, ...]:
        found: Any = await self._do(self._redis.hvals(self._key("keys")))
        return tuple(sorted(map(_key, found), key=lambda key: (key.created, key.id)))

    async def drop_key(self, id: str) -> bool:
        return bool(await self._do(self._redis.hdel(self._key("keys"), id)))

    # --- quotas ---------------------------------------------------------------------------

    async def hold_place(
        self, owner: str, holder: str, limit: int, now: float, expires: float
    ) -> bool:
        return bool(await self._run(redis_scripts.HOLD, now, owner, holder, limit, repr(expires)))

    async def release_place(self, owner: str, holder: str) -> None:
        await self._do(self._redis.zrem(self._key("places", owner), holder))

    async def add_usage(
        self, owner: str, what: str, amount: float, now: float, expires: float
    ) -> float:
        row = (owner, what, repr(amount), repr(expires), secrets.token_hex(8))
        return float(await self._run(redis_scripts.COUNT, now, *row))


def _client(url: str) -> Redis:
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise ConfigError(
            "The store is in Redis, and its client is not installed.",
            f"Run `{install_command('redis')}`.",
        ) from None
    try:
        return Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_S,
            socket_timeout=STORE_S,
            # Connections that a restart of the server has cut are made anew once, and what was
            # asked is asked again: scripts that count know a call by its number.
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError:
        raise ConfigError(
            "store.url is no address of a Redis server.",
            "Write redis://HOST:6379/0, rediss://… for TLS, or unix://PATH.",
        ) from None


def _key(data: bytes) -> KeyRecord:
    fields = json.loads(data)
    scopes = frozenset(map(Scope, fields.pop("scopes")))
    return KeyRecord(**fields | {"scopes": scopes, "quota": Quota(**fields["quota"])})
