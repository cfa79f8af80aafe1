"""Create ephemeral tokens over REST, and claim their uses when sessions open.

A token is found before the setup is read, because it may replace parts of it; a use is taken only
once nothing else can refuse the session, so that a mistake costs none.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from vivavoce.domain.accounts import Principal
from vivavoce.errors import INTERNAL, POLICY, ClientFault, StoreError
from vivavoce.http import errors
from vivavoce.protocol import close
from vivavoce.protocol.auth_tokens import FoundToken, read_token_request, token_body
from vivavoce.protocol.json_frames import is_light
from vivavoce.protocol.paths import TOKEN_PREFIX
from vivavoce.runtime.event_loop import run_in_decoder
from vivavoce.store.port import Refusal, TokenStore, digest_secret

log = logging.getLogger(__name__)

REFUSALS = {
    Refusal.UNKNOWN: (POLICY, close.UNREGISTERED),
    Refusal.EXPIRED: (INTERNAL, close.TOKEN_EXPIRED),
    Refusal.EXHAUSTED: (INTERNAL, close.TOKEN_EXHAUSTED),
}


class TokenService:
    """Service of ephemeral tokens. `now` is in seconds since the epoch."""

    def __init__(
        self, store: TokenStore, strict: bool = False, now: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._strict = strict
        self._now = now

    async def create_token(
        self, body: bytes, owner: Principal
    ) -> dict[str, Any] | errors.ErrorResponse:
        """Create the token that a request's body describes; return the response."""
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        try:
            read = partial(
                read_token_request,
                body,
                self._now(),
                strict=self._strict,
                digest=digest_secret(secret),
                owner=owner.id,
            )
            record = read() if is_light(body) else await run_in_decoder(read)
        except ClientFault as fault:
            return errors.bad_request(fault.reason)
        try:
            await self._store.put_token(record)
        except StoreError as error:
            log.warning("token was not created", extra={"problem": str(error)})
            return errors.UNAVAILABLE
        return token_body(secret, record)

    async def find_token(self, secret: str) -> FoundToken | None:
        """Find a token, even one used up or expired. Raises `ClientFault`."""
        try:
            record = await self._store.find_token(digest_secret(secret), self._now())
        except StoreError as error:
            log.warning("token lookup failed", extra={"problem": str(error)})
            raise ClientFault(INTERNAL, close.UNAVAILABLE) from None
        return None if record is None else FoundToken(record)

    async def claim_token(self, token: FoundToken, resuming: bool) -> float:
        """Claim a use, unless a session is resumed; return the seconds until the token expires.

        Raises `ClientFault` with the service's code and sentence.
        """
        now = self._now()
        try:
            claimed = await self._store.claim_token(token.record.digest, now, resuming)
        except StoreError as error:
            log.warning("token was not claimed", extra={"problem": str(error)})
            raise ClientFault(INTERNAL, close.UNAVAILABLE) from None
        if isinstance(claimed, Refusal):
            raise ClientFault(*REFUSALS[claimed])
        return claimed.expires - now
