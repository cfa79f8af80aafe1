"""Every form of path in which real clients ask for a Live session."""

from __future__ import annotations

import pytest

from vivavoce.protocol.paths import collapse_slashes, find_credential, parse_live_path

SERVICE = "google.ai.generativelanguage"
LIVE = "GenerativeService.BidiGenerateContent"
ENTERPRISE = "google.cloud.aiplatform"
FIREBASE = "google.firebase.vertexai"


@pytest.mark.parametrize(
    ("path", "version", "enterprise"),
    [
        (f"/ws/{SERVICE}.v1.{LIVE}", "v1", False),
        (f"/ws/{SERVICE}.v1beta.{LIVE}", "v1beta", False),
        (f"/ws/{SERVICE}.v1alpha.{LIVE}", "v1alpha", False),
        (f"/ws/{SERVICE}.v12beta3.{LIVE}", "v12beta3", False),
        (f"//ws/{SERVICE}.v1beta.{LIVE}", "v1beta", False),
        (f"/gw/ws/{SERVICE}.v1beta.{LIVE}", "v1beta", False),
        (f"/gw//ws///{SERVICE}.v1beta.{LIVE}/", "v1beta", False),
        (f"/a/ws/b/ws/{SERVICE}.v1.{LIVE}", "v1", False),
        (f"/ws/{SERVICE}..{LIVE}", "v1beta", False),
        (
            f"/ws/{ENTERPRISE}.v1beta1.LlmBidiService/BidiGenerateContent",
            "v1beta1",
            True,
        ),
        (f"/ws/{ENTERPRISE}.v1.LlmBidiService/BidiGenerateContent/", "v1", True),
        (f"/ws/{FIREBASE}.v1beta.GenerativeService/BidiGenerateContent", "v1beta", False),
        (
            f"/ws/{FIREBASE}.v1beta.LlmBidiService/BidiGenerateContent/locations/us-central1",
            "v1beta",
            True,
        ),
    ],
)
def test_paths_of_live_sessions(path: str, version: str, enterprise: bool) -> None:
    found = parse_live_path(path)
    assert found is not None
    assert (found.version, found.enterprise) == (version, enterprise)
    assert found.method == "BidiGenerateContent"
    assert not found.music


def test_the_constrained_method_is_for_tokens() -> None:
    found = parse_live_path(f"//ws/{SERVICE}.v1alpha.{LIVE}Constrained")
    assert found is not None
    assert found.method == "BidiGenerateContentConstrained"


def test_music_is_another_protocol() -> None:
    found = parse_live_path(f"/ws/{SERVICE}.v1alpha.GenerativeService.BidiGenerateMusic")
    assert found is not None
    assert found.music


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/ws/",
        f"/{SERVICE}.v1.{LIVE}",
        f"/ws/{SERVICE}.{LIVE}",
        f"/ws/{SERVICE}.x1.{LIVE}",
        f"/ws/{SERVICE}.v1.{LIVE}More",
        f"/ws/{SERVICE}.v1.{LIVE}/x",
        f"/ws/{SERVICE.upper()}.v1.{LIVE}",
        f"/ws/{SERVICE}xv1.{LIVE}",
        "/v1beta/models",
        f"/ws/{SERVICE}.v1.GenerativeService.Generate",
        f"/ws/{SERVICE}.v1.{LIVE}/locations/",
    ],
)
def test_other_paths(path: str) -> None:
    assert parse_live_path(path) is None


def test_slashes_collapse() -> None:
    assert collapse_slashes("//v1beta///models/") == "/v1beta/models/"


PLACES = [
    ({"key": "k1"}, {}, "k1"),
    ({"access_token": "auth_tokens/t2"}, {}, "auth_tokens/t2"),
    ({}, {"X-Goog-Api-Key": "k3"}, "k3"),
    ({}, {"Authorization": "Token auth_tokens/t4"}, "auth_tokens/t4"),
    ({}, {"authorization": "bearer o5"}, "o5"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "headers", "value"), PLACES)
def test_each_place(query: dict[str, str], headers: dict[str, str], value: str) -> None:
    found = find_credential(query, headers)
    assert found is not None
    assert (found.value, found.is_token) == (value, value.startswith("auth_tokens/"))


def test_the_first_place_wins() -> None:
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    for more_query, more_headers, value in reversed(PLACES):
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
        assert found.is_token


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
