"""State store in the memory of this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from vivavoce.domain.accounts import KeyRecord, TokenRecord
from vivavoce.domain.ids import SessionId
from vivavoce.store.port import KEEP_EXPIRED_S, MAX_HANDLES, Refusal, SavedSession, token_refusal

WRITES_PER_SWEEP = 256
"""Number of writes between two sweeps of expired rows."""


@dataclass(slots=True)
class _StoredSession:
    """Stored session; `states` are its saved states by handle, the newest last.

    Of handles older than the last two only the name is kept.
    """

    saved: SavedSession
    expires: float
    states: dict[str, SavedSession | None] = field(default_factory=dict)

    def once(self, media: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return media with equal bytes replaced by the objects already stored."""
        states = (state for state in islice(reversed(self.states.values()), 2) if state)
        held = {name: blob for state in states for name, blob in state.media.items()}
        return {name: held.get(name, blob) for name, blob in media.items()}


class MemoryStore:
    """State store in memory. Every method is one step of the event loop, and so atomic."""

    name = "memory"
    shared = False
    max_handles = MAX_HANDLES

    def __init__(self) -> None:
        self._sessions: dict[SessionId, _StoredSession] = {}
        self._handles: dict[str, SessionId] = {}
        self._tokens: dict[str, TokenRecord] = {}
        self._keys: dict[str, KeyRecord] = {}
        self._slots: dict[str, dict[str, float]] = {}
        self._counters: dict[tuple[str, str], tuple[float, float]] = {}
        self._writes = 0

    async def start(self) -> None:
        """Do nothing."""

    async def ping(self) -> None:
        """Do nothing."""

    async def aclose(self) -> None:
        """Do nothing."""

    # --- sessions -------------------------------------------------------------------------

    async def save_session(
        self, saved: SavedSession, handle: str, now: float, expires: float
    ) -> bool:
        self._sweep(now)
        kept = self._present(saved.session, now)
        if kept is None:
            kept = self._sessions[saved.session] = _StoredSession(saved, expires)
        elif kept.saved.lease > saved.lease:
            return False
        saved = replace(saved, media=kept.once(saved.media))
        kept.saved, kept.expires = saved, expires
        kept.states[handle] = saved
        self._handles[handle] = saved.session
        for older in islice(reversed(kept.states), 2, 3):
            kept.states[older] = None
        while len(kept.states) > self.max_handles:
            oldest = next(iter(kept.states))
            del kept.states[oldest], self._handles[oldest]
        return True

    async def take_session(
        self, handle: str, owner: str, model: str, now: float, exact: bool
    ) -> SavedSession | Refusal:
        session = self._handles.get(handle)
        kept = self._present(session, now) if session is not None else None
        if kept is None or kept.saved.owner != owner:
            return Refusal.UNKNOWN
        if kept.saved.model != model:
            return Refusal.OTHER_MODEL
        own = kept.states.pop(handle)
        state = own if exact and own is not None else kept.saved
        kept.saved = replace(state, lease=kept.saved.lease + 1)
        kept.states = dict.fromkeys(kept.states)
        kept.states[handle] = kept.saved
        return kept.saved

    async def renew_sessions(
        self, sessions: Mapping[SessionId, int], now: float, expires: float
    ) -> dict[SessionId, int]:
        present: dict[SessionId, int] = {}
        for session, lease in sessions.items():
            kept = self._present(session, now)
            if kept is not None:
                present[session] = kept.saved.lease
                if kept.saved.lease == lease:
                    kept.expires = expires
        return present

    async def forget_session(self, session: SessionId, lease: int) -> None:
        kept = self._sessions.get(session)
        if kept is not None and kept.saved.lease <= lease:
            self._drop(session)

    def _present(self, session: SessionId, now: float) -> _StoredSession | None:
        kept = self._sessions.get(session)
        if kept is not None and kept.expires <= now:
            self._drop(session)
            return None
        return kept

    def _drop(self, session: SessionId) -> None:
        for handle in self._sessions.pop(session).states:
            del self._handles[handle]

    # --- tokens ---------------------------------------------------------------------------

    async def put_token(self, token: TokenRecord) -> None:
        self._tokens[token.digest] = token

    async def find_token(self, digest: str, now: float) -> TokenRecord | None:
        token = self._tokens.get(digest)
        return None if token is None or now >= token.expires + KEEP_EXPIRED_S else token

    async def claim_token(self, digest: str, now: float, resuming: bool) -> TokenRecord | Refusal:
        self._sweep(now)
        token = await self.find_token(digest, now)
        if token is None:
            return Refusal.UNKNOWN
        if refusal := token_refusal(token, now, resuming):
            return refusal
        if not resuming and token.uses is not None:
            token = self._tokens[digest] = replace(token, uses=token.uses - 1)
        return token

    # --- keys -----------------------------------------------------------------------------

    async def put_key(self, key: KeyRecord) -> bool:
        if any(other.name == key.name and other.id != key.id for other in self._keys.values()):
            return False
        self._keys[key.id] = key
        return True

    async def list_keys(self) -> tuple[KeyRecord, ...]:
        return tuple(sorted(self._keys.values(), key=lambda key: (key.created, key.id)))

    async def drop_key(self, id: str) -> bool:
        return self._keys.pop(id, None) is not None

    # --- quotas ---------------------------------------------------------------------------

    async def acquire_slot(
        self, owner: str, holder: str, limit: int, now: float, expires: float
    ) -> bool:
        slots = self._slots.setdefault(owner, {})
        for each in [each for each, until in slots.items() if until <= now]:
            del slots[each]
        if holder not in slots and 0 < limit <= len(slots):
            return False
        slots[holder] = expires
        return True

    async def release_slot(self, owner: str, holder: str) -> None:
        slots = self._slots.get(owner, {})
        slots.pop(holder, None)
        if not slots:
            self._slots.pop(owner, None)

    async def add_usage(
        self, owner: str, what: str, amount: float, now: float, expires: float
    ) -> float:
        total, until = self._counters.get((owner, what), (0.0, expires))
        if until <= now:
            total, until = 0.0, expires
        total += amount
        if total:
            self._counters[owner, what] = (total, until)
        return total

    # --- sweeping -------------------------------------------------------------------------

    def _sweep(self, now: float) -> None:
        self._writes += 1
        if self._writes % WRITES_PER_SWEEP:
            return
        for session in [s for s, kept in self._sessions.items() if kept.expires <= now]:
            self._drop(session)
        for digest in [d for d, t in self._tokens.items() if t.expires + KEEP_EXPIRED_S <= now]:
            del self._tokens[digest]
        for name in [n for n, (_, until) in self._counters.items() if until <= now]:
            del self._counters[name]
