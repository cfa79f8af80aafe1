"""Five places, one order."""

from __future__ import annotations

import pytest

from vivavoce.protocol.credentials import CredentialKind, find_credential

KEY, TOKEN, OAUTH = CredentialKind.API_KEY, CredentialKind.EPHEMERAL_TOKEN, CredentialKind.OAUTH

PLACES = [
    ({"key": "k1"}, {}, KEY, "k1", "query key"),
    ({"access_token": "auth_tokens/t2"}, {}, TOKEN, "auth_tokens/t2", "query access_token"),
    ({}, {"X-Goog-Api-Key": "k3"}, KEY, "k3", "header x-goog-api-key"),
    ({}, {"Authorization": "Token auth_tokens/t4"}, TOKEN, "auth_tokens/t4",
     "header Authorization: Token"),
    ({}, {"authorization": "bearer o5"}, OAUTH, "o5", "header Authorization: Bearer"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "headers", "kind", "value", "place"), PLACES)
def test_each_place(
    query: dict[str, str], headers: dict[str, str], kind: CredentialKind, value: str, place: str
) -> None:
    found = find_credential(query, headers)
    assert found is not None
    assert (found.kind, found.value, found.place) == (kind, value, place)


def test_the_first_place_wins() -> None:
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    for more_query, more_headers, _, value, _ in reversed(PLACES):
        headers = {**{k.lower(): v for k, v in headers.items()}, **more_headers}
        query |= more_query
        found = find_credential(query, headers)
        assert found is not None
        assert found.value == value


def test_a_token_is_one_wherever_it_stands() -> None:
    for query, headers in (
        ({"key": "auth_tokens/t"}, {}),
        ({}, {"x-goog-api-key": "auth_tokens/t"}),
        ({}, {"authorization": "Bearer auth_tokens/t"}),
    ):
        found = find_credential(query, headers)
        assert found is not None
        assert found.kind is TOKEN


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ({}, {}),
        ({"key": ""}, {"authorization": ""}),
        ({"key": " "}, {"authorization": "Bearer "}),
        ({}, {"authorization": "Basic dXNlcjpwYXNz"}),
    ],
)
def test_no_credential(query: dict[str, str], headers: dict[str, str]) -> None:
    assert find_credential(query, headers) is None


def test_the_secret_stays_out_of_logs() -> None:
    assert "k-secret" not in repr(find_credential({"key": "k-secret"}, {}))
