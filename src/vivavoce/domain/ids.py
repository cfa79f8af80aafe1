"""Identifiers of sessions, turns and calls, and the generators of those sent to clients.

The core numbers turns and generations itself. Ids that leave the process come from an `IdSource`,
so that a test or a replay can predict them.
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
    """Generator of the ids that clients see."""

    def session(self) -> SessionId: ...

    def call(self) -> CallId: ...


class RandomIds:
    """Random ids: 128 bits for a session, 63 for a call."""

    def session(self) -> SessionId:
        return SessionId(secrets.token_hex(16))

    def call(self) -> CallId:
        return CallId(f"function-call-{secrets.randbits(63)}")


class CountingIds:
    """Ids that count from one, for tests and replays."""

    def __init__(self) -> None:
        self._sessions = count(1)
        self._calls = count(1)

    def session(self) -> SessionId:
        return SessionId(f"session-{next(self._sessions)}")

    def call(self) -> CallId:
        return CallId(f"function-call-{next(self._calls)}")
