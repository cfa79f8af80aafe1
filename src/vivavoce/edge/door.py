"""Who comes in, over REST or to a session: the gate, the credential, and the price of guessing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from vivavoce.domain.accounts import Principal, Scope
from vivavoce.edge import rest
from vivavoce.edge.auth import Denied, Keyring, missing, presented, unavailable
from vivavoce.edge.gate import Call, Gatekeeper
from vivavoce.edge.guessing import Guesses
from vivavoce.edge.socket import Scope as AsgiScope
from vivavoce.edge.tokens import FoundToken, Tokens
from vivavoce.errors import ClientFault
from vivavoce.metrics import Metrics
from vivavoce.protocol import close
from vivavoce.protocol.credentials import TOKEN_PREFIX, Credential

log = logging.getLogger(__name__)


class Caller:
    """What is known about a client before it said anything."""

    def __init__(self, scope: AsgiScope) -> None:
        self.headers: Mapping[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        client = scope.get("client")
        self.address = str(client[0]) if client else ""
        self.call = Call(
            secure=scope.get("scheme") in ("https", "wss"),
            peer=self.address,
            host=self.headers.get("host", ""),
            origin=self.headers.get("origin", ""),
        )
        self._query: bytes = scope.get("query_string", b"")

    @cached_property
    def credential(self) -> Credential | None:
        """What the client presents. Raises `Denied` for a query that is not read."""
        return presented(self._query, self.headers)


@dataclass(frozen=True, slots=True)
class Visit:
    """A caller that was let in, and the token that it came with, if it did."""

    principal: Principal
    token: FoundToken | None = None


class Door:
    """Lets callers in, or tells them why not. `strict` insists on tokens where tokens belong."""

    def __init__(
        self,
        gate: Gatekeeper,
        keys: Keyring,
        tokens: Tokens,
        metrics: Metrics,
        strict: bool = False,
        guesses: Guesses | None = None,
    ) -> None:
        self._gate = gate
        self._keys = keys
        self._tokens = tokens
        self._metrics = metrics
        self._strict = strict
        self._guesses = guesses or Guesses()

    def check(self, caller: Caller) -> None:
        """Whether the request may be answered at all. Raises `Denied`."""
        if (objection := self._gate.objection(caller.call)) is not None:
            self._metrics.auth_failures.labels("gate").inc()
            raise Denied(close.POLICY, objection, rest.forbidden(objection))

    async def request(self, caller: Caller, scope: Scope) -> Principal:
        """Who calls a REST method; only a key opens those. Raises `Denied`."""
        self._look(caller)
        credential = caller.credential
        try:
            if is_token(credential) and not await self._keys.open():
                raise Denied(close.POLICY, close.NOT_A_KEY, rest.unauthenticated())
            return await self._keys.authenticate(credential, scope)
        except Denied as denied:
            await self._account(caller, denied)
            raise

    async def session(self, caller: Caller, constrained: bool) -> Visit:
        """Who opens a session, on the `constrained` method or not. Raises `Denied`, `ClientFault`.

        Where no key is asked for, a token that nobody made is as good as anything else; one that
        was made holds what it holds.
        """
        self._look(caller)
        credential = caller.credential
        try:
            if credential is not None and is_token(credential):
                return await self._with_token(credential)
            if self._strict and constrained and not await self._keys.open():
                raise missing()
            return Visit(await self._keys.authenticate(credential, Scope.LIVE))
        except Denied as denied:
            await self._account(caller, denied)
            raise

    async def _with_token(self, credential: Credential) -> Visit:
        try:
            token = await self._tokens.find(credential.value)
        except ClientFault:
            raise unavailable() from None
        if token is None:
            if await self._keys.open():
                return Visit(await self._keys.authenticate(None, Scope.LIVE))
            raise Denied(close.POLICY, close.UNREGISTERED, rest.no_credential(), guessed=True)
        owner = await self._keys.owner(token.record.owner)
        if owner is None:
            raise missing()  # the key that made it was revoked
        return Visit(owner, token)

    def _look(self, caller: Caller) -> None:
        if self._guesses.crowded(caller.address):
            self._metrics.auth_failures.labels("crowded").inc()
            raise Denied(close.INTERNAL, close.QUOTA, rest.quota(5))

    async def _account(self, caller: Caller, denied: Denied) -> None:
        reason = "missing" if caller.credential is None else "invalid"
        self._metrics.auth_failures.labels(reason).inc()
        if denied.guessed:
            await self._guesses.failed(caller.address)


def is_token(credential: Credential | None) -> bool:
    """Whether it is an ephemeral token, by its look; where it stands does not matter."""
    return credential is not None and credential.value.startswith(TOKEN_PREFIX)
