"""What broke real clients when it was missing: the wire's share, one test an item.

The numbers are those of section 2 of the project's notes on clients (2.1 transport, 2.2 reading,
2.3 writing).
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from vivavoce.core.events import ClientInput, ContentReceived, TextReceived
from vivavoce.core.messages import (
    Interrupted,
    Message,
    ModelAudio,
    SetupComplete,
    TokenCount,
    ToolCallRequest,
    TurnComplete,
)
from vivavoce.domain.audio import AudioChunk, VideoFrame
from vivavoce.domain.content import BuiltinTool, Role, ToolCall
from vivavoce.domain.ids import CallId, SessionId
from vivavoce.domain.model_family import model_id
from vivavoce.domain.setup import Modality, Sensitivity, SessionSetup
from vivavoce.protocol.dialect import GeminiDialect
from vivavoce.protocol.paths import find_credential, parse_live_path


def setup(**fields: Any) -> SessionSetup:
    return GeminiDialect().read_setup(json.dumps({"setup": {"model": "models/m"} | fields}))


def only(message: dict[str, Any]) -> ClientInput:
    [one] = GeminiDialect().decode(json.dumps(message))
    return one


def spoken(message: Message) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(GeminiDialect().encode(message))
    return frame


# --- 2.1 transport -----------------------------------------------------------------


@pytest.mark.parametrize(
    "tail",
    [
        "google.ai.generativelanguage.v1.GenerativeService.BidiGenerateContent",
        "google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
        "google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained",
        "google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent",
        "google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent",
        "google.firebase.vertexai.v1beta.GenerativeService/BidiGenerateContent",
        "google.firebase.vertexai.v1beta.LlmBidiService/BidiGenerateContent/locations/europe-west1",
    ],
)
@pytest.mark.parametrize("prefix", ["/ws/", "//ws/", "/live/ws/", "/live//ws/"])
def test_2_1_2_and_3_paths_with_double_slashes_and_prefixes(prefix: str, tail: str) -> None:
    assert parse_live_path(prefix + tail) is not None


def test_2_1_4_a_token_stands_in_two_headers_at_once() -> None:
    token = "auth_tokens/abc"
    headers = {"Authorization": f"Token {token}", "x-goog-api-key": token}
    found = find_credential({}, headers)
    assert found is not None
    assert (found.value, found.is_token) == (token, True)


def test_2_1_6_ten_seconds_of_sound_in_one_message() -> None:
    frame = {"realtimeInput": {"audio": {"data": "AAAA" * 106_667, "mimeType": "audio/pcm"}}}
    chunk = only(frame)
    assert isinstance(chunk, AudioChunk)
    assert len(chunk.data) == 320_001


# --- 2.2 reading -----------------------------------------------------------------


@pytest.mark.parametrize("outer", ["client_content", "clientContent"])
@pytest.mark.parametrize("inner", ["turnComplete", "turn_complete"])
def test_2_2_spellings_mix_within_one_message(outer: str, inner: str) -> None:
    assert only({outer: {inner: True}}) == ContentReceived((), turn_complete=True)


def test_2_2_spellings_of_a_setup_change_at_every_level() -> None:
    read = setup(
        generation_config={"speech_config": {"voiceConfig": {"prebuilt_voice_config": {
            "voiceName": "Puck"}}}},
        realtimeInputConfig={"automatic_activity_detection": {
            "startOfSpeechSensitivity": "START_SENSITIVITY_LOW", "silence_duration_ms": 100}},
        contextWindowCompression={"sliding_window": {"targetTokens": "7"}},
        historyConfig={"initial_history_in_client_content": True},
    )  # fmt: skip
    assert read.voice == "Puck"
    assert read.realtime.detection.start_sensitivity is Sensitivity.LOW
    assert read.realtime.detection.silence_duration_ms == 100
    assert read.compression is not None
    assert read.compression.target_tokens == 7
    assert read.seeds_history


@pytest.mark.parametrize("key", ["parameters", "parametersJsonSchema", "parameters_json_schema"])
@pytest.mark.parametrize("kind", ["OBJECT", "object"])
def test_2_2_function_declarations_in_three_forms(key: str, kind: str) -> None:
    if key != "parameters":
        kind = "object"
    declaration = {"name": "f", key: {"type": kind, "properties": {"a_b": {"type": "string"}}}}
    [function] = setup(tools=[{"functionDeclarations": [declaration]}]).tools.functions
    assert function.parameters == {"type": "object", "properties": {"a_b": {"type": "string"}}}


def test_2_2_url_safe_and_standard_base64_are_the_same_sound() -> None:
    chunks = [
        only({"realtimeInput": {"audio": {"data": data, "mimeType": "audio/pcm"}}})
        for data in ("-_-_", "+/+/", "-/+_")
    ]
    assert chunks == [AudioChunk(b"\xfb\xff\xbf")] * 3


def test_2_2_modalities_as_a_plain_string() -> None:
    assert setup(generation_config={"response_modalities": "TEXT"}).modality is Modality.TEXT


@pytest.mark.parametrize("role", ["system", "user", None])
def test_2_2_the_role_of_an_instruction_does_not_matter(role: str | None) -> None:
    read = setup(systemInstruction={"role": role, "parts": [{"text": "Be brief."}]})
    assert read.instruction == "Be brief."


@pytest.mark.parametrize(
    "name",
    [
        "models/x",
        "publishers/google/models/x",
        "projects/P/models/x",
        "projects/P/locations/L/publishers/google/models/x",
        "x",
    ],
)
def test_2_2_model_names_in_every_form(name: str) -> None:
    assert model_id(setup(model=name).model) == "x"


def test_2_2_tools_and_fields_that_the_server_lacks_are_taken() -> None:
    read = setup(
        tools=[{"googleSearch": {}}, {"functionDeclarations": [{"name": "f"}]}, {"novelTool": {}}],
        novelField={"a": 1},
    )
    assert read.tools.builtin == (BuiltinTool("googleSearch"),)
    assert [function.name for function in read.tools.functions] == ["f"]


@pytest.mark.parametrize(
    ("mime_type", "rate"),
    [
        ("audio/pcm;rate=16000", 16000),
        ("audio/pcm;rate=24000", 24000),
        ("audio/pcm;rate=8000", 8000),
        ("audio/pcm", 16000),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_2_2_rates_of_input_sound(mime_type: str, rate: int, chunked: bool) -> None:
    blob = {"data": "AAAA", "mimeType": mime_type}
    fields = {"mediaChunks": [blob]} if chunked else {"audio": blob}
    assert only({"realtimeInput": fields}) == AudioChunk(b"\0\0\0", rate)


@pytest.mark.parametrize("mime_type", ["image/jpeg", "image/png"])
def test_2_2_video_is_jpeg_or_png(mime_type: str) -> None:
    frame = {"realtimeInput": {"video": {"data": "AAAA", "mimeType": mime_type}}}
    assert only(frame) == VideoFrame(b"\0\0\0", mime_type)


def test_2_2_content_without_turns_still_asks_for_an_answer() -> None:
    asked = ContentReceived((), turn_complete=True)
    assert only({"clientContent": {"turns": [], "turnComplete": True}}) == asked


def test_2_2_turns_of_one_role_in_a_row_and_a_lone_dot() -> None:
    turns = [
        {"role": "user", "parts": [{"text": "a"}]},
        {"role": "user", "parts": [{"text": "b"}]},
        {"role": "model", "parts": [{"text": "greet"}]},
        {"role": "user", "parts": [{"text": "."}]},
    ]
    event = only({"clientContent": {"turns": turns, "turnComplete": True}})
    assert isinstance(event, ContentReceived)
    assert [(turn.role, turn.text) for turn in event.turns] == [
        (Role.USER, "a"),
        (Role.USER, "b"),
        (Role.MODEL, "greet"),
        (Role.USER, "."),
    ]


@pytest.mark.parametrize("text", [" ", "."])
def test_2_6_a_trigger_of_one_character_arrives(text: str) -> None:
    assert only({"realtime_input": {"text": text}}) == TextReceived(text)


# --- 2.3 writing -----------------------------------------------------------------


def test_2_3_one_payload_kind_a_message_and_usage_rides_along() -> None:
    turn = spoken(TurnComplete(TokenCount(prompt=3)))
    assert turn.keys() == {"serverContent", "usageMetadata"}
    assert turn["serverContent"] == {"turnComplete": True}
    calls = (ToolCall(CallId("a"), "f", {}),)
    for message in (SetupComplete(SessionId("s")), ToolCallRequest(calls), Interrupted()):
        assert len(spoken(message)) == 1


def test_2_3_the_mime_type_of_speech_is_exact() -> None:
    [part] = spoken(ModelAudio(b"\0\0"))["serverContent"]["modelTurn"]["parts"]
    assert part["inlineData"]["mimeType"] == "audio/pcm;rate=24000"


def test_2_3_calls_carry_their_ids() -> None:
    calls = (ToolCall(CallId("a"), "f", {}), ToolCall(CallId("b"), "g", {"x": 1}))
    spelled = spoken(ToolCallRequest(calls))["toolCall"]["functionCalls"]
    assert [call["id"] for call in spelled] == ["a", "b"]
