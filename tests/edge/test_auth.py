"""The five places of a credential, their order, and what a key must be."""

from __future__ import annotations

import pytest

from vivavoce.edge.auth import Credential, Keys, Place, find_credential
from vivavoce.errors import ClientFault

TOKEN = "auth_tokens/abc"


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        ("key=K", {}, (Place.QUERY_KEY, "K")),
        ("access_token=auth_tokens/abc", {}, (Place.QUERY_TOKEN, TOKEN)),
        ("access_token=auth_tokens%2Fabc", {}, (Place.QUERY_TOKEN, TOKEN)),
        ("", {"x-goog-api-key": "K"}, (Place.HEADER_KEY, "K")),
        ("", {"authorization": f"Token {TOKEN}"}, (Place.HEADER_TOKEN, TOKEN)),
        ("", {"authorization": "Bearer B"}, (Place.HEADER_BEARER, "B")),
        ("", {"authorization": "bearer B"}, (Place.HEADER_BEARER, "B")),
        ("alt=ws&key=K&x=y", {"x-goog-api-key": "other"}, (Place.QUERY_KEY, "K")),
        (
            "",
            {"x-goog-api-key": TOKEN, "authorization": f"Token {TOKEN}"},
            (Place.HEADER_KEY, TOKEN),
        ),
        ("key=", {"authorization": "Bearer B"}, (Place.HEADER_BEARER, "B")),
        ("", {"authorization": "Basic xyz"}, None),
        ("", {}, None),
    ],
)
def test_places(query: str, headers: dict[str, str], expected: tuple[Place, str] | None) -> None:
    found = find_credential(query, headers)

    assert (found and (found.place, found.secret)) == expected


def test_a_token_is_one_wherever_it_stands() -> None:
    assert Credential(Place.QUERY_KEY, TOKEN).is_token
    assert not Credential(Place.QUERY_TOKEN, "K").is_token


def test_a_credential_is_never_printed() -> None:
    assert "K3Y" not in repr(Credential(Place.QUERY_KEY, "K3Y"))


@pytest.mark.parametrize("secret", ["anything", "undefined", None])
def test_without_keys_everybody_is_let_in(secret: str | None) -> None:
    Keys().check(Credential(Place.QUERY_KEY, secret) if secret else None)


@pytest.mark.parametrize("secret", ["first", "second", "schlüssel"])
def test_each_configured_key_is_let_in(secret: str) -> None:
    Keys(["first", "second", "schlüssel"]).check(Credential(Place.HEADER_KEY, secret))


@pytest.mark.parametrize("secret", ["First", "first ", "firs", TOKEN, "\udcff"])
def test_another_key_is_refused_with_the_services_sentence(secret: str) -> None:
    with pytest.raises(ClientFault) as fault:
        Keys(["first"]).check(Credential(Place.HEADER_KEY, secret))
    assert (fault.value.code, fault.value.reason) == (
        1007,
        "API key not valid. Please pass a valid API key.",
    )


def test_no_credential_is_refused_with_the_services_sentence() -> None:
    with pytest.raises(ClientFault) as fault:
        Keys(["first"]).check(None)
    assert fault.value.code == 1008
    assert fault.value.reason.startswith("Method doesn't allow unregistered callers")
