"""Ephemeral tokens at the door: made, found, used up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vivavoce.core.events import ContextUpdated
from vivavoce.domain.accounts import Principal
from vivavoce.errors import ClientFault, StoreError
from vivavoce.http.errors import ErrorResponse
from vivavoce.http.tokens import TokenService
from vivavoce.protocol.auth_tokens import FoundToken
from vivavoce.protocol.dialect import GeminiDialect
from vivavoce.store.memory import MemoryStore
from vivavoce.store.port import digest_secret

OWNER = Principal("backend")


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def tokens(store: MemoryStore, clock: Clock) -> TokenService:
    return TokenService(store, now=clock)


async def made(tokens: TokenService, **body: Any) -> str:
    answer = await tokens.create_token(json.dumps(body).encode(), OWNER)
    assert isinstance(answer, dict), answer
    return str(answer["name"])


async def found(tokens: TokenService, secret: str) -> FoundToken:
    token = await tokens.find_token(secret)
    assert token is not None
    return token


async def test_a_token_is_a_secret_that_the_store_does_not_know(
    tokens: TokenService, store: MemoryStore
) -> None:
    first, second = await made(tokens), await made(tokens)
    assert first != second
    assert first.startswith("auth_tokens/")
    assert len(first.removeprefix("auth_tokens/")) == 43
    assert (await found(tokens, first)).record.digest == digest_secret(first)
    assert first.removeprefix("auth_tokens/") not in repr(vars(store))


async def test_a_token_acts_for_its_maker(tokens: TokenService) -> None:
    assert (await found(tokens, await made(tokens))).record.owner == "backend"


async def refusal(
    tokens: TokenService, token: FoundToken, resuming: bool = False
) -> tuple[int, str]:
    with pytest.raises(ClientFault) as fault:
        await tokens.claim_token(token, resuming)
    return fault.value.code, fault.value.reason


async def test_a_token_is_used_up_and_then_still_resumes(tokens: TokenService) -> None:
    token = await found(tokens, await made(tokens, uses=2))
    assert await tokens.claim_token(token, resuming=False) == 1800
    assert await tokens.claim_token(token, resuming=False) == 1800
    used_up = (1011, "Token has been used too many times")
    assert await refusal(tokens, token) == used_up
    assert await tokens.claim_token(token, resuming=True) == 1800


async def test_a_token_expires_for_new_sessions_first(tokens: TokenService, clock: Clock) -> None:
    token = await found(tokens, await made(tokens, uses=0))
    clock.now += 61
    assert await refusal(tokens, token) == (1011, "Token has expired")
    assert await tokens.claim_token(token, resuming=True) == 1739
    clock.now += 1739
    assert await refusal(tokens, token, resuming=True) == (1011, "Token has expired")


async def test_an_unknown_token_is_refused(tokens: TokenService) -> None:
    assert await tokens.find_token("auth_tokens/nonsense") is None


async def test_what_is_wrong_with_a_request_is_reported_in_the_apis_form(
    tokens: TokenService,
) -> None:
    answer = await tokens.create_token(b'{"liveConnectConstraints": {}}', OWNER)
    assert isinstance(answer, ErrorResponse)
    error = answer.body["error"]
    assert (answer.http_status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["details"][0]["fieldViolations"][0]["field"] == "auth_token"


async def test_a_strict_server_refuses_what_no_session_would_take(
    store: MemoryStore, clock: Clock
) -> None:
    body = json.dumps({"bidiGenerateContentSetup": {"model": "m", "novelty": 1}}).encode()
    assert isinstance(await TokenService(store, now=clock).create_token(body, OWNER), dict)
    assert isinstance(
        await TokenService(store, strict=True, now=clock).create_token(body, OWNER), ErrorResponse
    )


class Away(MemoryStore):
    async def put_token(self, token: object) -> None:
        raise StoreError("away")

    async def find_token(self, digest: str, now: float) -> Any:
        raise StoreError("away")


async def test_while_the_store_is_away_there_are_no_tokens(clock: Clock) -> None:
    tokens = TokenService(Away(), now=clock)
    answer = await tokens.create_token(b"", OWNER)
    assert isinstance(answer, ErrorResponse)
    assert answer.http_status == 503
    with pytest.raises(ClientFault) as fault:
        await tokens.find_token("auth_tokens/any")
    assert fault.value.code == 1011


# --- the setup that counts ----------------------------------------------------------------------

LOCKED = {"model": "models/token", "systemInstruction": {"parts": [{"text": "be kind"}]}}


async def test_where_nothing_of_the_clients_counts_its_setup_may_be_wrong(
    tokens: TokenService,
) -> None:
    token = await found(tokens, await made(tokens, bidiGenerateContentSetup=LOCKED))
    wrong = json.dumps({"setup": {"model": 5, "generationConfig": "none"}})
    setup = GeminiDialect().read_setup(wrong, token)
    assert (setup.model, setup.instruction) == ("models/token", "be kind")


@pytest.mark.parametrize("frame", ['{"clientContent": {}}', "{", "[]", '{"setup": 5}'])
async def test_a_setup_message_it_must_be(tokens: TokenService, frame: str) -> None:
    token = await found(tokens, await made(tokens, bidiGenerateContentSetup=LOCKED))
    with pytest.raises(ClientFault):
        GeminiDialect().read_setup(frame, token)


async def test_where_something_of_it_counts_it_must_be_right(tokens: TokenService) -> None:
    secret = await made(tokens, bidiGenerateContentSetup=LOCKED, fieldMask="systemInstruction")
    token = await found(tokens, secret)
    wrong = json.dumps({"setup": {"model": "models/mine", "generationConfig": "none"}})
    with pytest.raises(ClientFault, match="generation_config"):
        GeminiDialect().read_setup(wrong, token)
    mine = json.dumps({"setup": {"model": "models/mine", "systemInstruction": "obey"}})
    setup = GeminiDialect().read_setup(mine, token)
    assert (setup.model, setup.instruction) == ("models/mine", "be kind")


BOUND = {"bidiGenerateContentSetup": LOCKED}
UPDATE = {"systemInstruction": {"parts": [{"text": "obey"}]},
          "tools": {"tools": [{"functionDeclarations": [{"name": "mine"}]}]}}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "instruction", "names"),
    [
        ({}, "obey", ["mine"]),
        (BOUND, None, None),
        ({**BOUND, "fieldMask": "systemInstruction.parts"}, None, ["mine"]),
        ({**BOUND, "fieldMask": "tools.0,model"}, "obey", None),
    ],
)  # fmt: skip
async def test_what_a_token_holds_no_update_of_the_context_changes(
    tokens: TokenService, body: dict[str, Any], instruction: str | None, names: list[str] | None
) -> None:
    token = await found(tokens, await made(tokens, **body))
    dialect = GeminiDialect()
    dialect.read_setup(json.dumps({"setup": {"model": "models/mine"}}), token)
    (update,) = dialect.decode(json.dumps({"contextUpdate": UPDATE}))
    assert isinstance(update, ContextUpdated)
    assert update.instruction == instruction
    functions = None if update.tools is None else [tool.name for tool in update.tools.functions]
    assert functions == names
