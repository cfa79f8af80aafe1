"""State store in Redis, or a server compatible with it that runs Lua: for several machines.

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
from vivavoce.install_hints import install_command
from vivavoce.store.port import KEEP_EXPIRED_S, MAX_HANDLES, STORE_TIMEOUT_S, Refusal, SavedSession

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

CONNECT_TIMEOUT_S = 1.0
PROBE_LIFETIME_S = 60
"""Lifetime of the key that `ping` writes."""


class RedisStore:
    """State store in Redis. `url` as redis-py takes it; names in Redis begin with `prefix`."""

    shared = True
    max_handles = MAX_HANDLES

    def __init__(
        self, url: str, prefix: str = "vivavoce", timeout_s: float = STORE_TIMEOUT_S
    ) -> None:
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._redis = _client(url, timeout_s)
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
                    f"{self.name} refuses the login.", "Check user and password in store.url."
                ) from None
            raise

    async def ping(self) -> None:
        # A write, since a replica, or a server whose disk or memory is full, can still be read.
        await self._do(self._redis.set(self._key("probe"), 1, ex=PROBE_LIFETIME_S))

    async def aclose(self) -> None:
        with suppress(Exception):
            async with asyncio.timeout(self._timeout_s):
                await self._redis.aclose()

    async def _do(self, call: Awaitable[T]) -> T:
        """Call Redis, bounded in time. Raises `StoreError`."""
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(self._timeout_s):
                return await call
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreError(f"{self.name} cannot be used: {type(error).__name__}.") from error

    async def _run(self, script: str, now: float, *arguments: Any) -> Any:
        known = self._scripts.get(script)
        if known is None:
            known = self._scripts[script] = self._redis.register_script(PRELUDE + script)
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
        while isinstance(outcome := await self._run(SAVE, now, *row, *sent), list):
            for name in map(bytes.decode, outcome):  # media that is not there, and so is sent
                sent += (name, saved.media[name])
        return bool(outcome)

    async def take_session(
        self, handle: str, owner: str, model: str, now: float, exact: bool
    ) -> SavedSession | Refusal:
        found = await self._run(TAKE, now, handle, owner, model, int(exact))
        if len(found) == 1:
            return Refusal(found[0].decode())
        session, lease, data, *media = found
        named = {name.decode(): blob for name, blob in zip(media[::2], media[1::2], strict=True)}
        return SavedSession(SessionId(session.decode()), owner, model, int(lease), data, named)

    async def renew_sessions(
        self, sessions: Mapping[SessionId, int], now: float, expires: float
    ) -> dict[SessionId, int]:
        flat = [word for item in sessions.items() for word in item]
        leases = await self._run(RENEW, now, repr(expires), *flat)
        return {
            session: int(lease) for session, lease in zip(sessions, leases, strict=True) if lease
        }

    async def forget_session(self, session: SessionId, lease: int) -> None:
        await self._run(FORGET, 0.0, session, lease)

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
        outcome = (await self._run(CLAIM, now, *claim)).decode()
        if outcome != "claimed":
            return Refusal(outcome)
        return await self.find_token(digest, now) or Refusal.UNKNOWN

    # --- keys -----------------------------------------------------------------------------

    async def put_key(self, key: KeyRecord) -> bool:
        fields = asdict(key) | {"scopes": sorted(scope.value for scope in key.scopes)}
        row = (key.id, key.name, json.dumps(fields))
        return bool(await self._run(PUT_KEY, key.created, *row))

    async def list_keys(self) -> tuple[KeyRecord, ...]:
        found: Any = await self._do(self._redis.hvals(self._key("keys")))
        return tuple(sorted(map(_key, found), key=lambda key: (key.created, key.id)))

    async def drop_key(self, id: str) -> bool:
        return bool(await self._do(self._redis.hdel(self._key("keys"), id)))

    # --- quotas ---------------------------------------------------------------------------

    async def acquire_slot(
        self, owner: str, holder: str, limit: int, now: float, expires: float
    ) -> bool:
        return bool(await self._run(HOLD, now, owner, holder, limit, repr(expires)))

    async def release_slot(self, owner: str, holder: str) -> None:
        await self._do(self._redis.zrem(self._key("places", owner), holder))

    async def add_usage(
        self, owner: str, what: str, amount: float, now: float, expires: float
    ) -> float:
        row = (owner, what, repr(amount), repr(expires), secrets.token_hex(8))
        return float(await self._run(COUNT, now, *row))


def _client(url: str, timeout_s: float) -> Redis:
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
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=timeout_s,
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


# --- the scripts ------------------------------------------------------------------------------
#
# What Redis runs in one piece: a Lua script for each verb that must be atomic.
#
# Names of keys are made from a prefix, which is the first argument of every script; the second is
# always `now`. Everything has a time to live, relative to `now`, and an `expires` by which it is
# judged, so that a store whose clock differs from the caller's errs on neither side.
#
# The client asks again when a connection was cut before the answer came. What would count twice is
# given a number by its caller, the last argument, under which it is counted once.

PRELUDE = """
local prefix, now = ARGV[1], tonumber(ARGV[2])
local function live(key)
    local expires = redis.call('HGET', key, 'expires')
    return expires and tonumber(expires) > now
end
local function keep(key, expires)
    redis.call('PEXPIRE', key, math.max(1, math.ceil((tonumber(expires) - now) * 1000)))
end
local function handle_key(handle) return prefix .. ':handle:' .. handle end
local function handles_of(session) return prefix .. ':handles:' .. session end
local function was_done(number)
    return redis.call('EXISTS', prefix .. ':done:' .. number) == 1
end
local function done(number)
    redis.call('SET', prefix .. ':done:' .. number, '', 'EX', 30)
end

-- Media of a session is a hash by digest; a handle names what its state refers to.
local function media_of(session)
    return prefix .. ':media:' .. session
end
local function names_of(handle)
    return string.gmatch(redis.call('HGET', handle_key(handle), 'media') or '', '%x+')
end
local function drop_unused(session)
    local used = {}
    for _, field in ipairs({'newest', 'older'}) do
        local handle = redis.call('HGET', prefix .. ':session:' .. session, field)
        if handle then for name in names_of(handle) do used[name] = true end end
    end
    for _, name in ipairs(redis.call('HKEYS', media_of(session))) do
        if not used[name] then redis.call('HDEL', media_of(session), name) end
    end
end
"""
"""Beginning of every script."""

SAVE = """
local session, owner, model, lease, data, handle, expires, names, most = unpack(ARGV, 3, 11)
local key, media = prefix .. ':session:' .. session, media_of(session)
if live(key) then
    if tonumber(redis.call('HGET', key, 'lease')) > tonumber(lease) then return 0 end
else
    redis.call('DEL', key, media)
end
local given, missing = {}, {}
for at = 12, #ARGV, 2 do given[ARGV[at]] = ARGV[at + 1] end
for name in string.gmatch(names, '%x+') do
    if not given[name] and redis.call('HEXISTS', media, name) == 0 then
        missing[#missing + 1] = name
    end
end
if #missing > 0 then return missing end
for name, blob in pairs(given) do redis.call('HSETNX', media, name, blob) end
local handles = handles_of(session)
local newest = redis.call('HGET', key, 'newest')
if newest ~= handle then
    local older = redis.call('HGET', key, 'older')
    if older then redis.call('HDEL', handle_key(older), 'data', 'media') end
    if newest then redis.call('HSET', key, 'older', newest) end
    redis.call('RPUSH', handles, handle)
    if redis.call('LLEN', handles) > tonumber(most) then
        redis.call('DEL', handle_key(redis.call('LPOP', handles)))
    end
end
redis.call('HSET', key, 'owner', owner, 'model', model, 'lease', lease, 'newest', handle,
    'expires', expires)
redis.call('HSET', handle_key(handle), 'session', session, 'data', data, 'media', names)
drop_unused(session)
keep(key, expires)
keep(media, expires)
keep(handles, expires)
keep(handle_key(handle), expires)
local older = redis.call('HGET', key, 'older')
if older then keep(handle_key(older), expires) end
return 1
"""

TAKE = """
local handle, owner, model, exact = unpack(ARGV, 3)
local session = redis.call('HGET', handle_key(handle), 'session')
if not session then return {'unknown'} end
local key = prefix .. ':session:' .. session
if not live(key) or redis.call('HGET', key, 'owner') ~= owner then return {'unknown'} end
if redis.call('HGET', key, 'model') ~= model then return {'other_model'} end
local newest = redis.call('HGET', key, 'newest')
local own = exact == '1' and redis.call('HGET', handle_key(handle), 'data')
local data = own or redis.call('HGET', handle_key(newest), 'data')
if not data then return {'unknown'} end
local names = redis.call('HGET', handle_key(own and handle or newest), 'media') or ''
for _, field in ipairs({'newest', 'older'}) do
    local other = redis.call('HGET', key, field)
    if other and other ~= handle then redis.call('HDEL', handle_key(other), 'data', 'media') end
end
redis.call('HDEL', key, 'older')
redis.call('HSET', handle_key(handle), 'data', data, 'media', names)
redis.call('HSET', key, 'newest', handle)
redis.call('LREM', handles_of(session), 1, handle)
redis.call('RPUSH', handles_of(session), handle)
drop_unused(session)
local answer = {session, redis.call('HINCRBY', key, 'lease', 1), data}
for name in names_of(handle) do
    answer[#answer + 1] = name
    answer[#answer + 1] = redis.call('HGET', media_of(session), name)
end
return answer
"""

RENEW = """
local expires = ARGV[3]
local present = {}
for at = 4, #ARGV, 2 do
    local key = prefix .. ':session:' .. ARGV[at]
    local lease = ''
    if live(key) then
        lease = redis.call('HGET', key, 'lease')
        if lease == ARGV[at + 1] then
            redis.call('HSET', key, 'expires', expires)
            keep(key, expires)
            keep(prefix .. ':media:' .. ARGV[at], expires)
            local handles = handles_of(ARGV[at])
            keep(handles, expires)
            for _, handle in ipairs(redis.call('LRANGE', handles, 0, -1)) do
                keep(handle_key(handle), expires)
            end
        end
    end
    present[#present + 1] = lease
end
return present
"""

FORGET = """
local key = prefix .. ':session:' .. ARGV[3]
local lease = redis.call('HGET', key, 'lease')
if not lease or tonumber(lease) > tonumber(ARGV[4]) then return 0 end
local handles = handles_of(ARGV[3])
for _, handle in ipairs(redis.call('LRANGE', handles, 0, -1)) do
    redis.call('DEL', handle_key(handle))
end
return redis.call('DEL', key, handles, prefix .. ':media:' .. ARGV[3])
"""

CLAIM = """
local key, resuming = prefix .. ':token:' .. ARGV[3], ARGV[4] == '1'
local token = redis.call('HMGET', key, 'expires', 'new_session_expires', 'uses')
if not token[1] then return 'unknown' end
if tonumber(token[1]) + tonumber(ARGV[5]) <= now then return 'unknown' end
if tonumber(token[1]) <= now then return 'expired' end
if resuming then return 'claimed' end
if tonumber(token[2]) <= now then return 'expired' end
if token[3] == '' or was_done(ARGV[6]) then return 'claimed' end
if tonumber(token[3]) <= 0 then return 'exhausted' end
redis.call('HINCRBY', key, 'uses', -1)
done(ARGV[6])
return 'claimed'
"""

PUT_KEY = """
local id, name, fields = unpack(ARGV, 3)
for _, other in ipairs(redis.call('HVALS', prefix .. ':keys')) do
    local key = cjson.decode(other)
    if key['name'] == name and key['id'] ~= id then return 0 end
end
redis.call('HSET', prefix .. ':keys', id, fields)
return 1
"""

HOLD = """
local key, holder, limit, expires = prefix .. ':places:' .. ARGV[3], ARGV[4], ARGV[5], ARGV[6]
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
local held = redis.call('ZSCORE', key, holder)
if not held and tonumber(limit) > 0 and redis.call('ZCARD', key) >= tonumber(limit) then
    return 0
end
redis.call('ZADD', key, expires, holder)
if redis.call('PTTL', key) < (tonumber(expires) - now) * 1000 then keep(key, expires) end
return 1
"""

COUNT = """
local key, amount, expires = prefix .. ':count:' .. ARGV[3] .. ':' .. ARGV[4], ARGV[5], ARGV[6]
if not live(key) then redis.call('DEL', key) end
if tonumber(amount) == 0 or was_done(ARGV[7]) then
    return redis.call('HGET', key, 'total') or '0'
end
local total = redis.call('HINCRBYFLOAT', key, 'total', amount)
if redis.call('HSETNX', key, 'expires', expires) == 1 then keep(key, expires) end
done(ARGV[7])
return total
"""
