"""The door: what a wrong credential costs, and whom it costs nothing."""

from __future__ import annotations

import pytest

from vivavoce.domain.accounts import Scope
from vivavoce.http.auth import Authenticator, ClientRequest
from vivavoce.http.keys import ApiKeys, AuthError
from vivavoce.http.limits import AuthFailureLimiter
from vivavoce.http.origin_policy import OriginPolicy
from vivavoce.http.tokens import TokenService
from vivavoce.metrics import Metrics
from vivavoce.store.memory import MemoryStore


class Counted(AuthFailureLimiter):
    """Tells nobody late, and remembers whom it would have."""

    def __init__(self, crowd: str = "") -> None:
        super().__init__()
        self.guessed: list[str] = []
        self._crowd = crowd

    def is_overloaded(self, address: str) -> bool:
        return address == self._crowd

    async def delay_failure(self, address: str) -> None:
        self.guessed.append(address)


def caller(secret: str, address: str = "10.0.0.9") -> ClientRequest:
    headers = [(b"host", b"localhost"), (b"x-goog-api-key", secret.encode())]
    return ClientRequest({"headers": headers if secret else headers[:1], "client": (address, 5)})


def door(guesses: AuthFailureLimiter) -> Authenticator:
    store = MemoryStore()
    keys = ApiKeys(["right"], store)
    return Authenticator(OriginPolicy(), keys, TokenService(store), Metrics(), failures=guesses)


@pytest.mark.parametrize(
    ("secret", "guesses"),
    [("wrong", 2), ("auth_tokens/nobodys", 1), ("", 0)],
)
async def test_a_guess_is_counted_by_where_it_comes_from(secret: str, guesses: int) -> None:
    counted = Counted()
    at = door(counted)
    with pytest.raises(AuthError):
        await at.authenticate_session(caller(secret), constrained=False)
    with pytest.raises(AuthError):
        await at.authenticate_request(caller(secret), Scope.MODELS)
    assert counted.guessed == ["10.0.0.9"] * guesses


async def test_the_right_key_costs_nothing() -> None:
    counted = Counted()
    visit = await door(counted).authenticate_session(caller("right"), constrained=False)
    assert visit.principal.id.startswith("config:")
    assert counted.guessed == []


async def test_a_crowd_is_not_looked_at_and_others_are() -> None:
    at = door(Counted(crowd="10.0.0.9"))
    with pytest.raises(AuthError) as denied:
        await at.authenticate_session(caller("right"), constrained=False)
    assert (denied.value.code, denied.value.answer.http_status) == (1011, 429)
    await at.authenticate_session(caller("right", "10.0.0.8"), constrained=False)
