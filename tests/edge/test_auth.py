"""Where a credential is found in a request, and what a key must be."""

from __future__ import annotations

import pytest

from vivavoce.edge.auth import Keys, presented
from vivavoce.errors import ClientFault
from vivavoce.protocol.credentials import Credential, CredentialKind

TOKEN = "auth_tokens/abc"


def key(value: str) -> Credential:
    return Credential(CredentialKind.API_KEY, value)


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
    found = presented(query, headers)

    assert (found and found.value) == expected


@pytest.mark.parametrize("secret", ["anything", "undefined", None])
def test_without_keys_everybody_is_let_in(secret: str | None) -> None:
    Keys().check(key(secret) if secret else None)


@pytest.mark.parametrize("secret", ["first", "second", "schlüssel"])
def test_each_configured_key_is_let_in(secret: str) -> None:
    Keys(["first", "second", "schlüssel"]).check(key(secret))


@pytest.mark.parametrize("secret", ["First", "first ", "firs", TOKEN, "\udcff"])
def test_another_key_is_refused_with_the_services_sentence(secret: str) -> None:
    with pytest.raises(ClientFault) as fault:
        Keys(["first"]).check(key(secret))
    assert (fault.value.code, fault.value.reason) == (
        1007,
        "API key not valid. Please pass a valid API key.",
    )


def test_no_credential_is_refused_with_the_services_sentence() -> None:
    with pytest.raises(ClientFault) as fault:
        Keys(["first"]).check(None)
    assert fault.value.code == 1008
    assert fault.value.reason.startswith("Method doesn't allow unregistered callers")
