"""Authenticate REST requests and Live sessions."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property

from vivavoce.domain.accounts import Principal, Scope
from vivavoce.errors import INTERNAL, POLICY, ClientFault
from vivavoce.http import errors
from vivavoce.http.keys import (
    ApiKeys,
    AuthError,
    find_request_credential,
    keys_unavailable,
    missing_credential,
)
from vivavoce.http.limits import AuthFailureLimiter
from vivavoce.http.origin_policy import OriginPolicy, RequestOrigin
from vivavoce.http.tokens import TokenService
from vivavoce.http.websocket import Scope as AsgiScope
from vivavoce.metrics import Metrics
from vivavoce.protocol import close
from vivavoce.protocol.auth_tokens import FoundToken
from vivavoce.protocol.paths import Credential

log = logging.getLogger(__name__)


class ClientRequest:
    """Request of a client before authentication: address, origin, headers, credential."""

    def __init__(self, scope: AsgiScope) -> None:
        self.headers: Mapping[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        client = scope.get("client")
        self.address = str(client[0]) if client else ""
        self.origin = RequestOrigin(
            secure=scope.get("scheme") in ("https", "wss"),
            peer=self.address,
            host=self.headers.get("host", ""),
            origin=self.headers.get("origin", ""),
        )
        self._query: bytes = scope.get("query_string", b"")

    @cached_property
    def credential(self) -> Credential | None:
        """Credential that the client presents. Raises `AuthError` for a query that is too large."""
        return find_request_credential(self._query, self.headers)


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """Authenticated client, with its token if it presented one."""

    principal: Principal
    token: FoundToken | None = None


class Authenticator:
    """Authenticator of requests and sessions; `strict` refuses misplaced tokens."""

    def __init__(
        self,
        origins: OriginPolicy,
        keys: ApiKeys,
        tokens: TokenService,
        metrics: Metrics,
        strict: bool = False,
        failures: AuthFailureLimiter | None = None,
    ) -> None:
        self._origins = origins
        self._keys = keys
        self._tokens = tokens
        self._metrics = metrics
        self._strict = strict
        self._failures = failures or AuthFailureLimiter()

    def check_origin(self, client_request: ClientRequest) -> None:
        """Check origin, host and encryption of a request. Raises `AuthError`."""
        if (objection := self._origins.find_violation(client_request.origin)) is not None:
            self._metrics.auth_failures.labels("origin").inc()
            raise AuthError(POLICY, objection, errors.forbidden(objection))

    async def authenticate_request(self, client_request: ClientRequest, scope: Scope) -> Principal:
        """Authenticate a REST request by its API key. Raises `AuthError`."""
        async with self._count_failures(client_request):
            credential = client_request.credential
            if credential and credential.is_token and not await self._keys.is_open():
                raise AuthError(POLICY, close.NOT_A_KEY, errors.UNAUTHENTICATED)
            return await self._keys.authenticate(credential, scope)

    async def authenticate_session(
        self, client_request: ClientRequest, constrained: bool
    ) -> AuthenticatedClient:
        """Authenticate the client of a Live session. Raises `AuthError`, `ClientFault`.

        Where no key is required, any token is accepted; one that was made here has its effect.
        """
        async with self._count_failures(client_request):
            credential = client_request.credential
            if credential and credential.is_token:
                return await self._with_token(credential)
            if self._strict and constrained and not await self._keys.is_open():
                raise missing_credential()
            return AuthenticatedClient(await self._keys.authenticate(credential, Scope.LIVE))

    async def _with_token(self, credential: Credential) -> AuthenticatedClient:
        try:
            token = await self._tokens.find_token(credential.value)
        except ClientFault:
            raise keys_unavailable() from None
        if token is None:
            if await self._keys.is_open():
                return AuthenticatedClient(await self._keys.authenticate(None, Scope.LIVE))
            raise AuthError(POLICY, close.UNREGISTERED, errors.NO_CREDENTIAL, is_guess=True)
        owner = await self._keys.find_owner(token.record.owner)
        if owner is None:
            raise missing_credential()  # the key that made it was revoked
        return AuthenticatedClient(owner, token)

    @asynccontextmanager
    async def _count_failures(self, client_request: ClientRequest) -> AsyncIterator[None]:
        """Count and delay an authentication failure in the block; refuse while many wait."""
        failures, address = self._metrics.auth_failures, client_request.address
        if self._failures.is_overloaded(address):
            failures.labels("overloaded").inc()
            raise AuthError(INTERNAL, close.QUOTA, errors.quota_exceeded(5))
        credential = client_request.credential
        try:
            yield
        except AuthError as denied:
            failures.labels("missing" if credential is None else "invalid").inc()
            if denied.is_guess:
                await self._failures.delay_failure(address)
            raise
