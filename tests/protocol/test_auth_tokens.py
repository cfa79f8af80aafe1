"""Requests for ephemeral tokens: what SDKs sent, what is assumed, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from skips import SHARED
from vivavoce.errors import ClientFault
from vivavoce.protocol.auth_tokens import (
    LIFETIME_S,
    OPENING_S,
    TokenRequest,
    read_bound_setup,
    read_token_request,
    token_body,
)

NOW = 1_893_454_000.0  # 2029-12-31T23:26:40Z, shortly before the times in the captures
HALF_PAST = 1_893_457_800.0  # 2030-01-01T00:30:00Z


def read(body: Any = None, strict: bool = False) -> TokenRequest:
    data = b"" if body is None else json.dumps(body).encode()
    return read_token_request(data, NOW, strict=strict)


def captured() -> list[Any]:
    bodies = []
    for folder in ("python-genai", "js-genai"):
        path = SHARED / "captures" / folder / "tokens.jsonl"
        if not path.exists():
            return []
        for line in path.read_text().splitlines():
            noted = json.loads(line)
            if noted.get("method") == "POST" and noted["path"].endswith("/auth_tokens"):
                bodies.append(noted.get("json") or {})
    return bodies


CAPTURED = captured()


@pytest.mark.skipif(not CAPTURED, reason="the recordings are not here")
@pytest.mark.parametrize("body", CAPTURED)
@pytest.mark.parametrize("strict", [True, False])
def test_whatever_sdks_sent_is_a_token(body: dict[str, Any], strict: bool) -> None:
    wanted = read(body, strict)
    assert (wanted.mask is None) == ("fieldMask" not in body)
    assert bool(wanted.setup) == ("bidiGenerateContentSetup" in body)


@pytest.mark.skipif(not CAPTURED, reason="the recordings are not here")
def test_enough_was_captured_to_mean_something() -> None:
    assert len(CAPTURED) > 8
    assert any("tools.0" in body.get("fieldMask", "") for body in CAPTURED)


def test_nothing_asked_for_is_one_use_within_a_minute_and_half_an_hour() -> None:
    for body in (b"", b"  ", b"{}", b'{"authToken":{}}', b'{"auth_token":{}}'):
        wanted = read_token_request(body, NOW, strict=False)
        assert wanted == TokenRequest(1, NOW + LIFETIME_S, NOW + OPENING_S, b"", None)


def test_zero_uses_are_any_number() -> None:
    assert read({"uses": 0}).uses is None
    assert read({"uses": 7}).uses == 7


@pytest.mark.parametrize(
    "spelled",
    ["2030-01-01T00:30:00Z", "2030-01-01T00:30:00.000Z", "2030-01-01T00:30:00+00:00",
     "2030-01-01T01:30:00+01:00", "2030-01-01T00:30:00.000000000Z"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["expireTime", "expire_time"])
def test_times_are_read_in_every_spelling(name: str, spelled: str) -> None:
    assert read({name: spelled}).expires == HALF_PAST


def test_sessions_may_not_begin_longer_than_the_token_lasts_unless_that_is_asked_for() -> None:
    soon = "2029-12-31T23:27:00Z"  # in twenty seconds
    assert read({"expireTime": soon}).new_session_expires == read({"expireTime": soon}).expires


def test_the_answer_names_the_token_and_what_it_may() -> None:
    record = read({"uses": 0, "expireTime": "2030-01-01T00:30:00Z"}).record("digest", "owner")
    assert token_body("auth_tokens/secret", record) == {
        "name": "auth_tokens/secret",
        "expireTime": "2030-01-01T00:30:00.000Z",
        "newSessionExpireTime": "2029-12-31T23:27:40.000Z",
        "uses": 0,
    }


def test_a_bound_setup_comes_back() -> None:
    bound = {"model": "models/m", "generationConfig": {"temperature": 0.5}}
    setup = read_bound_setup(read({"bidiGenerateContentSetup": bound}).setup, lambda p, n: None)
    assert setup is not None
    assert setup.generation_config is not None
    assert (setup.model, setup.generation_config.temperature) == ("models/m", 0.5)
    assert read_bound_setup(b"", lambda p, n: None) is None


FAR = "{} is too far in the future. Maximum lifetime is 20h"
WRONG = "Invalid value at 'auth_token.{}' ({}), {}"
MODALITIES = (
    "The requested combination of response modalities (TEXT, AUDIO) is not supported by the model."
)
BOTH = {"generationConfig": {"responseModalities": ["TEXT", "AUDIO"]}}
SETUP = "bidiGenerateContentSetup"
UNKNOWN = "Invalid JSON payload received. Unknown name \"{}\" at '{}': Cannot find field."


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            {"liveConnectConstraints": {}},
            UNKNOWN.format("liveConnectConstraints", "auth_token"),
        ),
        ({"expireTime": "2031-01-01T00:00:00Z"}, FAR.format("expire_time")),
        ({"newSessionExpireTime": "2031-01-01T00:00:00Z"}, FAR.format("new_session_expire_time")),
        ({"expireTime": "2020-01-01T00:00:00Z"}, "expire_time must be in the future"),
        ({"expireTime": "soon"}, WRONG.format("expire_time", "TYPE_TIMESTAMP", '"soon"')),
        ({"uses": -1}, WRONG.format("uses", "TYPE_INT32", -1)),
        ({"uses": "many"}, WRONG.format("uses", "TYPE_INT32", '"many"')),
        ({"fieldMask": "nonsense"}, "field_mask is invalid"),
        ({"fieldMask": 5}, WRONG.format("field_mask", "TYPE_STRING", 5)),
        (
            {SETUP: {"model": 5}},
            WRONG.format("bidi_generate_content_setup.model", "TYPE_STRING", 5),
        ),
        ({SETUP: BOTH}, MODALITIES),
        ({SETUP: []}, WRONG.format("bidi_generate_content_setup", "TYPE_MESSAGE", "[]")),
        ([1], "Invalid JSON payload received. A message must be a JSON object."),
    ],
)  # fmt: skip
def test_what_cannot_be_a_token_is_refused_with_its_place(body: Any, sentence: str) -> None:
    with pytest.raises(ClientFault) as fault:
        read(body)
    assert fault.value.reason == sentence


def test_an_unknown_name_within_the_setup_is_refused_by_the_strict_alone() -> None:
    body = {"bidiGenerateContentSetup": {"model": "m", "novelty": 1}}
    assert read(body).setup
    with pytest.raises(ClientFault) as fault:
        read(body, strict=True)
    path = "auth_token.bidi_generate_content_setup"
    assert fault.value.reason == UNKNOWN.format("novelty", path)


def test_a_body_is_not_nested_without_end() -> None:
    schema: dict[str, Any] = {}
    for _ in range(100):
        schema = {"properties": schema}
    function = {"name": "f", "parametersJsonSchema": schema}
    with pytest.raises(ClientFault, match="nested more than"):
        read({"bidiGenerateContentSetup": {"tools": [{"functionDeclarations": [function]}]}})


def test_bodies_that_are_no_json_are_told_so() -> None:
    for body in (b"{", b"\xff\xfe", b"x" * 1000, b"[" * 1000):
        with pytest.raises(ClientFault, match="Invalid JSON payload received"):
            read_token_request(body, NOW, strict=False)
