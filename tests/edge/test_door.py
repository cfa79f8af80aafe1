"""The door: what a wrong credential costs, and whom it costs nothing."""

from __future__ import annotations

import pytest

from vivavoce.domain.accounts import Scope
from vivavoce.edge.auth import Denied, Keyring
from vivavoce.edge.door import Caller, Door
from vivavoce.edge.gate import Gatekeeper
from vivavoce.edge.guessing import Guesses
from vivavoce.edge.tokens import Tokens
from vivavoce.metrics import Metrics
from vivavoce.state.memory import MemoryStore


class Counted(Guesses):
    """Tells nobody late, and remembers whom it would have."""

    def __init__(self, crowd: str = "") -> None:
        super().__init__()
        self.guessed: list[str] = []
        self._crowd = crowd

    def crowded(self, address: str) -> bool:
        return address == self._crowd

    async def failed(self, address: str) -> None:
        self.guessed.append(address)


def caller(secret: str, address: str = "10.0.0.9") -> Caller:
    headers = [(b"host", b"localhost"), (b"x-goog-api-key", secret.encode())]
    return Caller({"headers": headers if secret else headers[:1], "client": (address, 5)})


def door(guesses: Guesses) -> Door:
    store = MemoryStore()
    keys = Keyring(["right"], store)
    return Door(Gatekeeper(), keys, Tokens(store), Metrics(), guesses=guesses)


@pytest.mark.parametrize(
    ("secret", "guesses"),
    [("wrong", 2), ("auth_tokens/nobodys", 1), ("", 0)],
)
async def test_a_guess_is_counted_by_where_it_comes_from(secret: str, guesses: int) -> None:
    counted = Counted()
    at = door(counted)
    with pytest.raises(Denied):
        await at.session(caller(secret), constrained=False)
    with pytest.raises(Denied):
        await at.request(caller(secret), Scope.MODELS)
    assert counted.guessed == ["10.0.0.9"] * guesses


async def test_the_right_key_costs_nothing() -> None:
    counted = Counted()
    visit = await door(counted).session(caller("right"), constrained=False)
    assert visit.principal.id.startswith("config:")
    assert counted.guessed == []


async def test_a_crowd_is_not_looked_at_and_others_are() -> None:
    at = door(Counted(crowd="10.0.0.9"))
    with pytest.raises(Denied) as denied:
        await at.session(caller("right"), constrained=False)
    assert (denied.value.code, denied.value.answer.http_status) == (1011, 429)
    await at.session(caller("right", "10.0.0.8"), constrained=False)
