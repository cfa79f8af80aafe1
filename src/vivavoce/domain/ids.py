"""Identifiers, and where they come from.

Turns and generations are numbered by the core itself (a number is what makes staleness
checkable); the names that leave the process come from an `IdSource`, so that a test or a
replay can make them predictable.
"""

from __future__ import annotations

import secrets
from itertools import count
from typing import NewType, Protocol

SessionId = NewType("SessionId", str)
CallId = NewType("CallId", str)
TurnId = NewType("TurnId", int)
GenerationId = NewType("GenerationId", int)


class IdSource(Protocol):
    """Makes the opaque names that a client sees."""

    def session(self) -> SessionId: ...

    def call(self) -> CallId: ...


class RandomIds:
    """Names that cannot be guessed: 128 random bits each."""

    def session(self) -> SessionId:
        return SessionId(secrets.token_hex(16))

    def call(self) -> CallId:
        return CallId(f"function-call-{secrets.randbits(63)}")


class CountingIds:
    """Names that count from one, for tests and replays."""

    def __init__(self) -> None:
        self._sessions = count(1)
        self._calls = count(1)

    def session(self) -> SessionId:
        return SessionId(f"session-{next(self._sessions)}")

    def call(self) -> CallId:
        return CallId(f"function-call-{next(self._calls)}")
