"""API keys of the configuration and the store, and their scopes.

`protocol.paths` finds the credential of a request. With no key anywhere the server is *open*:
all clients are admitted, as the same principal.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import parse_qsl

from vivavoce.domain.accounts import KeyRecord, Principal, Quota, Scope
from vivavoce.errors import INTERNAL, INVALID, POLICY, ClientFault, StoreError
from vivavoce.http import errors
from vivavoce.protocol import close
from vivavoce.protocol.paths import Credential, find_credential
from vivavoce.store.port import KeyStore, digest_secret

log = logging.getLogger(__name__)

KEY_CACHE_S = 2.0
"""Delay until a key that another process added or revoked takes effect here."""


MAX_QUERY_FIELDS = 50
MAX_QUERY_BYTES = 4096
"""Bytes of a query: decoding 30 kB took the event loop 33 ms, before any credential."""


class AuthError(ClientFault):
    """Authentication failure, with its close code and REST response.

    `is_guess`: the client presented a wrong secret.
    """

    def __init__(
        self, code: int, reason: str, answer: errors.ErrorResponse, is_guess: bool = False
    ) -> None:
        super().__init__(code, reason)
        self.answer = answer
        self.is_guess = is_guess


def missing_credential() -> AuthError:
    """Build the refusal of a request without a credential."""
    return AuthError(POLICY, close.UNREGISTERED, errors.NO_CREDENTIAL)


def keys_unavailable() -> AuthError:
    """Build the refusal while the keys cannot be read."""
    return AuthError(INTERNAL, close.UNAVAILABLE, errors.UNAVAILABLE)


class ApiKeys:
    """Registry of the API keys in the configuration and the store.

    Keys of the store are cached for `KEY_CACHE_S`, and for as long as the store is unavailable.
    `quota` is for configured keys, and for clients where no key is required. A server that
    `others` can reach is never open, nor is one whose last key was revoked at runtime.
    """

    def __init__(
        self,
        configured: Sequence[str],
        store: KeyStore,
        quota: Quota | None = None,
        others: bool = False,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quota = quota or Quota()
        self._anonymous = Principal(quota=self._quota)
        self._configured = {digest_secret(key): self._of_configuration(key) for key in configured}
        self._store = store
        self._now, self._clock = now, clock
        self._stored: tuple[KeyRecord, ...] | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._locked = others or bool(configured)

    async def is_open(self) -> bool:
        """Return whether no key is required. Raises `AuthError` while the store can't be read."""
        if not self._configured:
            await self._keys()
        return not self._locked

    async def authenticate(self, credential: Credential | None, scope: Scope) -> Principal:
        """Return the principal of a credential with this scope. Raises `AuthError`.

        Every configured key is compared, each in constant time, and before the store is asked,
        which may be slow; stored ones are found by the digest of what was presented, whose
        beginning no client can choose.
        """
        given = "" if credential is None else digest_secret(credential.value)
        matches = [name for name in self._configured if hmac.compare_digest(given, name)]
        if matches:
            return self._configured[matches[0]]
        if credential is None and self._configured:
            raise missing_credential()
        stored = await self._keys()
        if not self._locked:
            return self._anonymous
        if credential is None:
            raise missing_credential()
        record = next((key for key in stored if hmac.compare_digest(given, key.digest)), None)
        if record is None:
            raise AuthError(INVALID, close.BAD_KEY, errors.BAD_KEY, is_guess=True)
        if record.expires and record.expires <= self._now():
            raise AuthError(INVALID, close.EXPIRED_KEY, errors.EXPIRED_KEY)
        if scope not in record.scopes:
            raise AuthError(POLICY, close.OUT_OF_SCOPE, errors.OUT_OF_SCOPE)
        return _principal(record)

    async def find_owner(self, id: str) -> Principal | None:
        """Find the owner of a token; `None` if its key is revoked or expired."""
        for principal in self._configured.values():
            if principal.id == id:
                return principal
        stored = await self._keys()
        if not id:
            return None if self._locked else self._anonymous
        for record in stored:
            if record.id == id and not (record.expires and record.expires <= self._now()):
                return _principal(record)
        return None

    async def _keys(self) -> tuple[KeyRecord, ...]:
        async with self._reading:
            if self._stored is None or self._clock() - self._read_at >= KEY_CACHE_S:
                try:
                    self._stored = await self._store.list_keys()
                except StoreError as error:
                    log.warning("keys could not be read", extra={"problem": str(error)})
                # From its end on: who has waited for a slow answer does not read again.
                self._read_at = self._clock()
        if self._stored is None:
            raise keys_unavailable()
        self._locked = self._locked or bool(self._stored)
        return self._stored

    def _of_configuration(self, key: str) -> Principal:
        return Principal(f"config:{digest_secret(key)[:12]}", "configuration", quota=self._quota)


def find_request_credential(query_string: bytes, headers: Mapping[str, str]) -> Credential | None:
    """Find the credential of a request in its raw query and its headers. Raises `AuthError`."""
    if len(query_string) > MAX_QUERY_BYTES:
        problem = f"The query is longer than {MAX_QUERY_BYTES} bytes."
        raise AuthError(INVALID, problem, errors.invalid_argument(problem))
    try:
        found = parse_qsl(query_string.decode("latin-1"), max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        problem = f"The query has more than {MAX_QUERY_FIELDS} fields."
        raise AuthError(INVALID, problem, errors.invalid_argument(problem)) from None
    # Reversed, so that of a repeated name the first one counts.
    return find_credential(dict(reversed(found)), headers)


def _principal(record: KeyRecord) -> Principal:
    return Principal(record.id, record.name, record.scopes, record.quota)
