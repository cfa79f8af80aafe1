"""Where a credential is found in a request, and what a key must be."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from vivavoce.domain.accounts import KeyRecord, Quota, Scope
from vivavoce.errors import StoreError
from vivavoce.http.keys import KEY_CACHE_S, ApiKeys, AuthError, find_request_credential
from vivavoce.protocol.paths import Credential
from vivavoce.store.memory import MemoryStore
from vivavoce.store.port import digest_secret
from vivavoce.testing.virtual_loop import run_virtually

TOKEN = "auth_tokens/abc"


def key(value: str) -> Credential:
    return Credential(value)


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        (b"key=K", {}, "K"),
        (b"access_token=auth_tokens/abc", {}, TOKEN),
        (b"access_token=auth_tokens%2Fabc", {}, TOKEN),
        (b"", {"x-goog-api-key": "K"}, "K"),
        (b"", {"authorization": f"Token {TOKEN}"}, TOKEN),
        (b"", {"authorization": "Bearer B"}, "B"),
        (b"alt=ws&key=K&key=L", {"x-goog-api-key": "other"}, "K"),
        (b"key=", {"authorization": "Bearer B"}, "B"),
        (b"key=%FF\xff", {}, "\ufffd\xff"),
        (b"", {"authorization": "Basic xyz"}, None),
        (b"", {}, None),
    ],
)
def test_places(query: bytes, headers: dict[str, str], expected: str | None) -> None:
    found = find_request_credential(query, headers)

    assert (found and found.value) == expected


SECRETS = ("first", "second", "schlüssel")


async def test_without_keys_all_clients_are_one_account() -> None:
    keys = ApiKeys((), MemoryStore(), Quota(sessions=3))
    for secret in ("anything", "undefined", None):
        principal = await keys.authenticate(key(secret) if secret else None, Scope.LIVE)
        assert (principal.id, principal.quota.sessions) == ("", 3)
    assert await keys.is_open()


@pytest.mark.parametrize("secret", SECRETS)
async def test_each_configured_key_is_let_in_as_itself(secret: str) -> None:
    keys = ApiKeys(SECRETS, MemoryStore())
    ids = {(await keys.authenticate(key(each), Scope.TOKENS)).id for each in SECRETS}
    assert len(ids) == 3
    mine = (await keys.authenticate(key(secret), Scope.LIVE)).id
    assert secret not in mine
    assert (await ApiKeys([secret], MemoryStore()).authenticate(key(secret), Scope.LIVE)).id == mine
    assert not await keys.is_open()


async def denial(
    keys: ApiKeys, credential: Credential | None, scope: Scope = Scope.LIVE
) -> AuthError:
    with pytest.raises(AuthError) as denied:
        await keys.authenticate(credential, scope)
    return denied.value


@pytest.mark.parametrize("secret", ["First", "first ", "firs", TOKEN, "\udcff"])
async def test_another_key_is_refused_with_the_services_sentence(secret: str) -> None:
    denied = await denial(ApiKeys(["first"], MemoryStore()), key(secret))
    assert (denied.code, denied.reason) == (1007, "API key not valid. Please pass a valid API key.")
    assert denied.answer.http_status == 400
    assert denied.is_guess


async def test_no_credential_is_refused_with_the_services_sentence() -> None:
    denied = await denial(ApiKeys(["first"], MemoryStore()), None)
    assert denied.code == 1008
    assert denied.reason.startswith("Method doesn't allow unregistered callers")
    assert denied.answer.http_status == 403
    assert not denied.is_guess


# --- keys of the store --------------------------------------------------------------------------

NOW = 1_800_000_000.0
STORED = KeyRecord(
    "id",
    "laptop",
    digest_secret("stored"),
    "sto",
    NOW,
    NOW + 100,
    frozenset({Scope.LIVE}),
    Quota(2),
)


class Time:
    """Both clocks of a keyring."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


async def keyring(store: MemoryStore, time: Time, *configured: str) -> ApiKeys:
    await store.put_key(STORED)
    return ApiKeys(configured, store, now=time, clock=time)


async def test_a_stored_key_opens_what_its_scopes_name_until_it_expires() -> None:
    time = Time()
    keys = await keyring(MemoryStore(), time)
    principal = await keys.authenticate(key("stored"), Scope.LIVE)
    assert (principal.id, principal.name, principal.quota) == ("id", "laptop", Quota(2))
    beyond = await denial(keys, key("stored"), Scope.TOKENS)
    assert beyond.reason == "Request had insufficient authentication scopes."
    assert (beyond.code, beyond.answer.http_status) == (1008, 403)
    time.now = NOW + 100
    over = await denial(keys, key("stored"))
    assert (over.code, over.reason) == (1007, "API key expired. Please renew the API key.")
    assert await keys.find_owner("id") is None


async def test_a_server_whose_last_key_is_revoked_is_not_open_again() -> None:
    store, time = MemoryStore(), Time()
    keys = await keyring(store, time)
    await keys.authenticate(key("stored"), Scope.LIVE)
    await store.drop_key("id")
    time.now += KEY_CACHE_S
    for credential in (key("stored"), None):
        await denial(keys, credential)
    assert not await keys.is_open()
    assert await keys.find_owner("") is None


async def test_a_server_that_others_can_reach_is_never_open() -> None:
    keys = ApiKeys((), MemoryStore(), others=True)
    assert not await keys.is_open()
    assert (await denial(keys, None)).code == 1008
    assert (await denial(keys, key("anything"))).code == 1007


async def test_configured_keys_and_stored_ones_stand_side_by_side() -> None:
    keys = await keyring(MemoryStore(), Time(), "configured")
    configured = await keys.authenticate(key("configured"), Scope.MODELS)
    assert await keys.find_owner(configured.id) == configured
    assert (await keys.authenticate(key("stored"), Scope.LIVE)).id == "id"
    assert await keys.find_owner("") is None, "nobody in particular is nobody here"
    assert (await denial(keys, key("neither"))).code == 1007


async def test_keys_that_are_added_or_revoked_count_within_seconds() -> None:
    store, time = MemoryStore(), Time()
    keys = await keyring(store, time)
    await keys.authenticate(key("stored"), Scope.LIVE)
    await store.drop_key("id")
    await store.put_key(replace(STORED, id="other", digest=digest_secret("other")))
    time.now += KEY_CACHE_S
    assert (await denial(keys, key("stored"))).code == 1007
    assert (await keys.authenticate(key("other"), Scope.LIVE)).id == "other"


class Away(MemoryStore):
    away = True

    async def list_keys(self) -> tuple[KeyRecord, ...]:
        if self.away:
            raise StoreError("away")
        return await super().list_keys()


async def test_while_the_store_is_away_known_keys_count_and_others_are_unknown() -> None:
    store, time = Away(), Time()
    keys = await keyring(store, time)
    denied = await denial(keys, key("stored"))
    assert (denied.code, denied.answer.http_status) == (1011, 503)
    store.away = False
    await keys.authenticate(key("stored"), Scope.LIVE)
    store.away = True
    time.now += 50
    assert (await keys.authenticate(key("stored"), Scope.LIVE)).id == "id"


class Hanging(MemoryStore):
    hangs = False

    async def list_keys(self) -> tuple[KeyRecord, ...]:
        if self.hangs:
            await asyncio.sleep(3)
            raise StoreError("hangs")
        return await super().list_keys()


def test_callers_do_not_wait_for_a_store_that_hangs_one_after_the_other() -> None:
    async def course() -> float:
        loop = asyncio.get_running_loop()
        store = Hanging()
        await store.put_key(STORED)
        keys = ApiKeys((), store, now=lambda: NOW, clock=loop.time)
        await keys.authenticate(key("stored"), Scope.LIVE)
        store.hangs = True
        await asyncio.sleep(KEY_CACHE_S)
        began = loop.time()
        await asyncio.gather(*(keys.authenticate(key("stored"), Scope.LIVE) for _ in range(20)))
        return loop.time() - began

    assert run_virtually(course()) == 3
