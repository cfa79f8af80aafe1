"""What a token allows at a moment; the same for all stores."""

from __future__ import annotations

from vivavoce.domain.accounts import TokenRecord
from vivavoce.store.port import Refusal


def token_refusal(token: TokenRecord, now: float, resuming: bool) -> Refusal | None:
    """Why a token that is there does not let anybody in."""
    if now >= token.expires or (not resuming and now >= token.new_session_expires):
        return Refusal.EXPIRED
    if not resuming and token.uses is not None and token.uses <= 0:
        return Refusal.EXHAUSTED
    return None
