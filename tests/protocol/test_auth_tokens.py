"""Requests for ephemeral tokens: what SDKs sent, what is assumed, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skips import SHARED
from vivavoce.domain.accounts import TokenRecord
from vivavoce.errors import ClientFault
from vivavoce.protocol.auth_tokens import (
    LIFETIME_S,
    NEW_SESSION_LIFETIME_S,
    constrain_setup,
    mask_paths,
    read_bound_setup,
    read_token_request,
    token_body,
)
from vivavoce.protocol.base import LENIENT, Reading, read_model
from vivavoce.protocol.setup import Setup, session_setup

NOW = 1_893_454_000.0  # 2029-12-31T23:26:40Z, shortly before the times in the captures
HALF_PAST = 1_893_457_800.0  # 2030-01-01T00:30:00Z


def read(body: Any = None, strict: bool = False) -> TokenRecord:
    data = b"" if body is None else json.dumps(body).encode()
    return read_token_request(data, NOW, strict=strict, digest="digest", owner="owner")


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
        record = read_token_request(body, NOW, strict=False, digest="digest", owner="owner")
        assert record == TokenRecord(
            "digest", "owner", 1, NOW + LIFETIME_S, NOW + NEW_SESSION_LIFETIME_S, b"", None
        )


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
    record = read({"uses": 0, "expireTime": "2030-01-01T00:30:00Z"})
    assert token_body("auth_tokens/secret", record) == {
        "name": "auth_tokens/secret",
        "expireTime": "2030-01-01T00:30:00.000Z",
        "newSessionExpireTime": "2029-12-31T23:27:40.000Z",
        "uses": 0,
    }


def test_a_bound_setup_comes_back() -> None:
    bound = {"model": "models/m", "generationConfig": {"temperature": 0.5}}
    setup = read_bound_setup(read({"bidiGenerateContentSetup": bound}).setup)
    assert setup is not None
    assert setup.generation_config is not None
    assert (setup.model, setup.generation_config.temperature) == ("models/m", 0.5)
    assert read_bound_setup(b"") is None


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


def test_an_unknown_name_in_a_bound_function_is_refused_by_the_strict_alone() -> None:
    function = {"name": "f", "parameters": {"type": "OBJECT", "novelty": 1}}
    tools = [{"functionDeclarations": [function]}]
    body = {"bidiGenerateContentSetup": {"model": "m", "tools": tools}}
    assert read(body).setup
    with pytest.raises(ClientFault, match="novelty"):
        read(body, strict=True)


def test_a_body_is_not_nested_without_end() -> None:
    schema: dict[str, Any] = {}
    for _ in range(100):
        schema = {"properties": schema}
    function = {"name": "f", "parametersJsonSchema": schema}
    with pytest.raises(ClientFault, match="nested more than"):
        read({"bidiGenerateContentSetup": {"tools": [{"functionDeclarations": [function]}]}})


def test_bodies_that_are_no_json_are_refused() -> None:
    for body in (b"{", b"\xff\xfe", b"x" * 1000, b"[" * 1000):
        with pytest.raises(ClientFault, match="Invalid JSON payload received"):
            read_token_request(body, NOW, strict=False, digest="", owner="")


def setup(**fields: Any) -> Setup:
    return read_model(Setup, fields, LENIENT)


@pytest.mark.parametrize(
    ("mask", "paths"),
    [
        ("", ()),
        ("model", ("model",)),
        (
            "model,generationConfig.responseModalities,systemInstruction.parts,tools",
            ("model", "generation_config.response_modalities", "system_instruction.parts", "tools"),
        ),
        # Python leaves the names of its users in their own case
        (
            "generationConfig.top_k,generationConfig.speech_config,output_audio_transcription",
            (
                "generation_config.top_k",
                "generation_config.speech_config",
                "output_audio_transcription",
            ),
        ),
        # JavaScript writes indices
        ("tools.0", ("tools",)),
        ("tools.0,tools.1", ("tools",)),
        ("tools.0.functionDeclarations", ("tools",)),
        # locks without constraints are bare names
        ("temperature", ("generation_config.temperature",)),
        ("responseModalities, speech_config", (
            "generation_config.response_modalities", "generation_config.speech_config",
        )),
        (
            "generation_config.speechConfig.voice_config.prebuiltVoiceConfig.voiceName",
            (
                "generation_config.speech_config.voice_config.prebuilt_voice_config.voice_name",
            ),
        ),
        ("realtimeInputConfig.automaticActivityDetection.disabled", (
            "realtime_input_config.automatic_activity_detection.disabled",
        )),
    ],
)  # fmt: skip
def test_masks_are_read_as_sdks_write_them(mask: str, paths: tuple[str, ...]) -> None:
    assert mask_paths(mask) == paths


@pytest.mark.parametrize(
    "mask",
    ["nothing", "generationConfig.nothing", "model.name.", "setup.model", "generationConfig..topK",
     "*", "model;tools", "tools.", ",".join(["model"] * 300)],
)  # fmt: skip
def test_what_a_setup_does_not_have_is_no_path(mask: str) -> None:
    with pytest.raises(ClientFault, match="field_mask is invalid"):
        mask_paths(mask)


CLIENT = setup(
    model="models/client",
    systemInstruction={"parts": [{"text": "obey me"}]},
    generationConfig={"temperature": 2.0, "topK": 5, "responseModalities": ["TEXT"]},
    tools=[{"googleSearch": {}}],
)
BOUND = setup(
    model="models/token",
    systemInstruction={"parts": [{"text": "be kind"}]},
    generationConfig={"temperature": 0.5},
)


def seen(effective: Setup) -> dict[str, Any]:
    dumped: dict[str, Any] = effective.model_dump(exclude_unset=True, exclude_none=True)
    return dumped


def test_with_neither_the_client_decides() -> None:
    assert constrain_setup(CLIENT, None, None) == CLIENT


def test_with_a_setup_alone_nothing_of_the_clients_counts() -> None:
    assert seen(constrain_setup(CLIENT, BOUND, None)) == seen(BOUND)


def test_a_model_that_the_token_leaves_open_is_the_clients() -> None:
    open_model = setup(generationConfig={"temperature": 0.5})
    effective = constrain_setup(CLIENT, open_model, None)
    assert (effective.model, effective.tools) == ("models/client", [])


def test_with_both_what_is_masked_is_the_tokens_and_the_rest_the_clients() -> None:
    mask = mask_paths("model,generationConfig.temperature,generationConfig.topK,tools")
    effective = constrain_setup(CLIENT, BOUND, mask)
    assert effective.model == "models/token"
    assert effective.tools == []
    assert effective.system_instruction == CLIENT.system_instruction
    config = effective.generation_config
    assert config is not None
    assert (config.temperature, config.top_k) == (0.5, None)
    assert config.response_modalities == ["TEXT"]


def test_with_a_mask_alone_what_is_masked_is_nobodys() -> None:
    effective = constrain_setup(CLIENT, None, mask_paths("temperature,systemInstruction"))
    assert effective.system_instruction is None
    assert effective.generation_config is not None
    assert effective.generation_config.temperature is None
    assert effective.generation_config.top_k == 5


@pytest.mark.parametrize("bound", [None, setup(model="m")])
@pytest.mark.parametrize(
    "path",
    ["tools", "systemInstruction", "generationConfig.topK", "generationConfig.responseModalities",
     "sessionResumption.transparent"],
)  # fmt: skip
def test_what_is_cleared_is_as_if_never_sent(path: str, bound: Setup | None) -> None:
    client = CLIENT.model_copy(
        update={
            "session_resumption": setup(sessionResumption={"transparent": True}).session_resumption
        }
    )
    *above, name = mask_paths(path)[0].split(".")
    effective: Any = constrain_setup(client, bound, mask_paths(path))
    for step in above:
        effective = getattr(effective, step)
    assert name not in effective.model_fields_set


def test_an_option_that_is_cleared_is_not_refused_for_having_been_sent() -> None:
    client = setup(model="m", sessionResumption={"transparent": True})
    effective = constrain_setup(client, None, mask_paths("sessionResumption.transparent"))
    session_setup(effective, Reading(strict=True))


def test_a_lock_holds_where_a_lenient_reader_moves_misplaced_fields() -> None:
    misplaced = setup(model="m", temperature=2.0)
    effective = constrain_setup(misplaced, BOUND, mask_paths("generationConfig.temperature"))
    assert effective.generation_config is not None
    assert effective.generation_config.temperature == 0.5


def test_nothing_is_made_where_both_have_nothing() -> None:
    path = "generationConfig.speechConfig.voiceConfig"
    assert constrain_setup(setup(model="m"), setup(model="m"), mask_paths(path)) == setup(model="m")


@pytest.mark.parametrize("mask", [None, ("session_resumption",), ("model",)])
def test_a_handle_is_the_clients_in_any_case(mask: tuple[str, ...] | None) -> None:
    client = setup(model="m", sessionResumption={"handle": "mine"})
    bound = setup(model="m", sessionResumption={"handle": "another's"})
    effective = constrain_setup(client, bound, mask)
    assert effective.session_resumption is not None
    assert effective.session_resumption.handle == "mine"
    fresh = constrain_setup(setup(model="m"), bound, ("session_resumption",))
    assert fresh.session_resumption is not None
    assert fresh.session_resumption.handle == ""


def test_where_the_token_allows_no_resumption_a_handle_is_none() -> None:
    client = setup(model="m", sessionResumption={"handle": "mine"})
    assert constrain_setup(client, setup(model="m"), None).session_resumption is None


def test_nothing_is_changed_in_place() -> None:
    client, bound = CLIENT.model_copy(deep=True), BOUND.model_copy(deep=True)
    constrain_setup(CLIENT, BOUND, mask_paths("temperature,model,tools,systemInstruction.parts"))
    assert (client, bound) == (CLIENT, BOUND)
    assert CLIENT.model_fields_set == client.model_fields_set


TEMPERATURES = st.none() | st.floats(0, 2)
VOICES = st.none() | st.text(max_size=5)
SETUPS = st.builds(
    lambda model, temperature, top_k, voice, said, disabled: setup(
        model=model,
        generationConfig={
            "temperature": temperature,
            "topK": top_k,
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}},
        },
        systemInstruction=None if said is None else {"parts": [{"text": said}]},
        realtimeInputConfig={"automaticActivityDetection": {"disabled": disabled}},
    ),
    st.text(max_size=5), TEMPERATURES, st.none() | st.integers(1, 9), VOICES, VOICES, st.booleans(),
)  # fmt: skip
PATHS = st.sets(
    st.sampled_from((
        "model", "generation_config.temperature", "generation_config.top_k", "generation_config",
        "generation_config.speech_config.voice_config.prebuilt_voice_config.voice_name",
        "system_instruction", "system_instruction.parts", "realtime_input_config",
        "realtime_input_config.automatic_activity_detection.disabled",
    )),
).map(lambda paths: tuple(sorted(paths)))  # fmt: skip


def value_at(wire: Any, path: str) -> Any:
    for name in path.split("."):
        wire = getattr(wire, name, None) or None
    return wire


@given(SETUPS, SETUPS, st.none() | SETUPS, PATHS)
def test_what_is_locked_never_depends_on_the_client(
    one: Setup, other: Setup, bound: Setup | None, mask: tuple[str, ...]
) -> None:
    first, second = constrain_setup(one, bound, mask), constrain_setup(other, bound, mask)
    for path in mask:
        assert value_at(first, path) == value_at(second, path) == value_at(bound, path)
