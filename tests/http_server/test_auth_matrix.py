"""Every place of a credential × every kind × every method × strictness, against real servers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from serving import MODEL, connected
from vivavoce.config.loading import load_config
from vivavoce.domain.accounts import ALL_SCOPES, KeyRecord, Scope, TokenRecord
from vivavoce.http import limits
from vivavoce.protocol import close
from vivavoce.server import Server
from vivavoce.store.memory import MemoryStore
from vivavoce.store.port import digest_secret

pytestmark = pytest.mark.integration

UNREGISTERED = (1008, close.cut_reason(close.UNREGISTERED))

PLACES: dict[str, Callable[[str], tuple[str, dict[str, str]]]] = {
    "query key": lambda secret: (f"?key={quote(secret)}", {}),
    "query access_token": lambda secret: (f"?access_token={quote(secret, safe='/')}", {}),
    "header x-goog-api-key": lambda secret: ("", {"x-goog-api-key": secret}),
    "header token": lambda secret: ("", {"authorization": f"Token {secret}"}),
    "header bearer": lambda secret: ("", {"authorization": f"Bearer {secret}"}),
}
"""Live API section 1.3, with what each sends."""

KEYS: dict[str, tuple[int, str] | None] = {
    "vv-stored": None,
    "configured": None,
    "vv-expired": (1007, close.EXPIRED_KEY),
    "vv-revoked": (1007, close.BAD_KEY),
    "vv-other-scope": (1008, close.OUT_OF_SCOPE),
    "vv-wrong": (1007, close.BAD_KEY),
}
TOKENS: dict[str, tuple[int, str] | None] = {
    "auth_tokens/fresh": None,
    "auth_tokens/used-up": (1011, close.TOKEN_EXHAUSTED),
    "auth_tokens/late": (1011, close.TOKEN_EXPIRED),
    "auth_tokens/expired": (1011, close.TOKEN_EXPIRED),
    "auth_tokens/orphan": UNREGISTERED,
    "auth_tokens/unknown": UNREGISTERED,
}
"""Each credential, and what becomes of it; nothing is a session."""

SERVICE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService."
METHODS = {
    "plain": SERVICE + "BidiGenerateContent",
    "constrained": SERVICE + "BidiGenerateContentConstrained",
    "enterprise": "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent",
}


async def stocked() -> MemoryStore:
    """A store with every kind of key and token, as of now."""
    store, now = MemoryStore(), time.time()
    key = KeyRecord("id", "stored", digest_secret("vv-stored"), "vv-", now)
    for record in (
        key,
        replace(key, id="late", name="late", digest=digest_secret("vv-expired"), expires=now - 1),
        replace(key, id="gone", name="gone", digest=digest_secret("vv-revoked")),
        replace(
            key, id="part", name="part", digest=digest_secret("vv-other-scope"),
            scopes=ALL_SCOPES - {Scope.LIVE},
        ),
    ):  # fmt: skip
        await store.put_key(record)
    await store.drop_key("gone")
    token = TokenRecord(digest_secret("auth_tokens/fresh"), "id", None, now + 600, now + 600)
    for token_record in (
        token,
        replace(token, digest=digest_secret("auth_tokens/used-up"), uses=0),
        replace(token, digest=digest_secret("auth_tokens/late"), new_session_expires=now - 1),
        replace(token, digest=digest_secret("auth_tokens/expired"), expires=now - 1),
        replace(token, digest=digest_secret("auth_tokens/orphan"), owner="gone"),
    ):
        await store.put_token(token_record)
    return store


@contextlib.asynccontextmanager
async def guarded(folder: Path, strict: bool) -> AsyncIterator[Server]:
    flags = {
        "profile": "scripted", "server.port": 0, "server.drain_s": 0.1, "server.strict": strict,
        "server.keys": ["configured"],
    }  # fmt: skip
    server = Server(load_config(None, flags), folder=folder / "tls", store=await stocked())
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def outcome(server: Server, path: str, headers: dict[str, str]) -> tuple[int, str] | None:
    async with connected(server, path, additional_headers=headers) as client:
        await client.send(setup={"model": MODEL})
        try:
            assert "setupComplete" in await client.receive()
        except Exception:
            return await client.closing()
        return None


@pytest.mark.parametrize("strict", [False, True])
async def test_the_whole_matrix(
    tmp_path: Path, strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UNDELAYED_FAILURES", 10**6)
    wrong = []
    async with guarded(tmp_path, strict) as server:
        for method, path in METHODS.items():
            for place, present in PLACES.items():
                for secret, expected in (KEYS | TOKENS).items():
                    query, headers = present(secret)
                    if strict and method == "constrained" and secret in KEYS:
                        expected = UNREGISTERED
                    found = await outcome(server, path + query, headers)
                    if found != expected:
                        wrong.append((method, place, secret, found, expected))
            nothing = await outcome(server, path, {})
            if nothing != UNREGISTERED:
                wrong.append((method, "nowhere", "", nothing, UNREGISTERED))
    assert wrong == []


async def test_where_no_key_is_configured_anything_is_accepted_but_a_token_that_is_over(
    tmp_path: Path,
) -> None:
    store = await stocked()
    for key in await store.list_keys():
        await store.drop_key(key.id)
    await store.put_token(TokenRecord(digest_secret("auth_tokens/mine"), "", 0, 1.0, 1.0))
    flags = {"profile": "scripted", "server.port": 0, "server.drain_s": 0.1}
    server = Server(load_config(None, flags), folder=tmp_path / "tls", store=store)
    await server.start()
    try:
        for method in METHODS.values():
            assert await outcome(server, method, {}) is None
            for place in PLACES.values():
                for secret in ("anything", "undefined", "auth_tokens/unknown"):
                    query, headers = place(secret)
                    assert await outcome(server, method + query, headers) is None
    finally:
        await server.stop()


async def test_no_secret_reaches_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "UNDELAYED_FAILURES", 10**6)
    caplog.set_level("DEBUG")
    async with guarded(tmp_path, strict=True) as server:
        for secret in (*KEYS, *TOKENS):
            for place in PLACES.values():
                query, headers = place(secret)
                await outcome(server, METHODS["plain"] + query, headers)
    noted = [record.getMessage() + str(vars(record)) for record in caplog.records
             if record.name.startswith("vivavoce")]  # fmt: skip
    assert noted
    secrets = [secret.removeprefix("auth_tokens/") for secret in (*KEYS, *TOKENS)]
    told = [secret for secret in secrets if len(secret) > 8 and any(secret in n for n in noted)]
    assert told == []
