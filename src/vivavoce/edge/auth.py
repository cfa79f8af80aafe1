"""Whether a credential is a key of ours. Where it may stand is `protocol.credentials`."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256
from urllib.parse import parse_qsl

from vivavoce.errors import ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.credentials import Credential, find_credential


class Keys:
    """The configured API keys, kept as digests. With none configured everybody is let in."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    @property
    def open(self) -> bool:
        """Whether anybody may call."""
        return not self._digests

    def check(self, credential: Credential | None) -> None:
        """Raises `ClientFault` with the service's own code and sentence.

        Every key is compared, each in constant time, so that the time taken tells nothing.
        """
        if self.open:
            return
        if credential is None:
            raise ClientFault(close.POLICY, close.UNREGISTERED)
        given = _digest(credential.value)
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        if not any(matches):
            raise ClientFault(close.INVALID, close.BAD_KEY)


def presented(query_string: bytes, headers: Mapping[str, str]) -> Credential | None:
    """The credential of a request, from its raw query and its headers."""
    # Reversed, so that of a repeated name the first one counts.
    fields = dict(reversed(parse_qsl(query_string.decode("latin-1"))))
    return find_credential(fields, headers)


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()
