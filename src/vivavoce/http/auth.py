"""Who comes in, over REST or to a session: the gate, the credential, and the price of guessing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
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
from vivavoce.http.tokens import FoundToken, TokenService
from vivavoce.http.websocket import Scope as AsgiScope
from vivavoce.metrics import Metrics
from vivavoce.protocol import close
from vivavoce.protocol.paths import Credential

log = logging.getLogger(__name__)


class ClientRequest:
    """What is known about a client before it said anything."""

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
        """What the client presents. Raises `AuthError` for a query that is not read."""
        return find_request_credential(self._query, self.headers)


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """A caller that was let in, and the token that it came with, if it did."""

    principal: Principal
    token: FoundToken | None = None


class Authenticator:
    """Lets callers in, or tells them why not. `strict` insists on tokens where tokens belong."""

    def __init__(
        self,
        gate: OriginPolicy,
        keys: ApiKeys,
        tokens: TokenService,
        metrics: Metrics,
        strict: bool = False,
        guesses: AuthFailureLimiter | None = None,
    ) -> None:
        self._origins = gate
        self._keys = keys
        self._tokens = tokens
        self._metrics = metrics
        self._strict = strict
        self._failures = guesses or AuthFailureLimiter()

    def check_origin(self, client_request: ClientRequest) -> None:
        """Whether the request may be answered at all. Raises `AuthError`."""
        if (objection := self._origins.find_violation(client_request.origin)) is not None:
            self._metrics.auth_failures.labels("gate").inc()
            raise AuthError(POLICY, objection, errors.forbidden(objection))

    async def authenticate_request(self, client_request: ClientRequest, scope: Scope) -> Principal:
        """Who calls a REST method; only a key opens those. Raises `AuthError`."""
        self._read_credential(client_request)
        credential = client_request.credential
        try:
            if credential and credential.is_token and not await self._keys.open():
                raise AuthError(POLICY, close.NOT_A_KEY, errors.unauthenticated())
            return await self._keys.authenticate(credential, scope)
        except AuthError as denied:
            await self._count_failure(client_request, denied)
            raise

    async def authenticate_session(
        self, client_request: ClientRequest, constrained: bool
    ) -> AuthenticatedClient:
        """Authenticate who opens a session. Raises `AuthError`, `ClientFault`.

        Where no key is asked for, any token is accepted; one that was made here locks what it
        locks.
        """
        self._read_credential(client_request)
        credential = client_request.credential
        try:
            if credential and credential.is_token:
                return await self._with_token(credential)
            if self._strict and constrained and not await self._keys.open():
                raise missing_credential()
            return AuthenticatedClient(await self._keys.authenticate(credential, Scope.LIVE))
        except AuthError as denied:
            await self._count_failure(client_request, denied)
            raise

    async def _with_token(self, credential: Credential) -> AuthenticatedClient:
        try:
            token = await self._tokens.find(credential.value)
        except ClientFault:
            raise keys_unavailable() from None
        if token is None:
            if await self._keys.open():
                return AuthenticatedClient(await self._keys.authenticate(None, Scope.LIVE))
            raise AuthError(POLICY, close.UNREGISTERED, errors.no_credential(), guessed=True)
        owner = await self._keys.find_owner(token.record.owner)
        if owner is None:
            raise missing_credential()  # the key that made it was revoked
        return AuthenticatedClient(owner, token)

    def _read_credential(self, client_request: ClientRequest) -> None:
        if self._failures.is_overloaded(client_request.address):
            self._metrics.auth_failures.labels("crowded").inc()
            raise AuthError(INTERNAL, close.QUOTA, errors.quota_exceeded(5))

    async def _count_failure(self, client_request: ClientRequest, denied: AuthError) -> None:
        reason = "missing" if client_request.credential is None else "invalid"
        self._metrics.auth_failures.labels(reason).inc()
        if denied.guessed:
            await self._failures.delay_failure(client_request.address)
