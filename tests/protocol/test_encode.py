"""What we say, as clients need to read it. The rules are those of the specification's 3.1."""

from __future__ import annotations

import base64
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from google.genai import types

from vivavoce.core.messages import (
    GenerationComplete,
    GoAway,
    Grounding,
    InputTranscript,
    Interrupted,
    Message,
    ModelAudio,
    ModelCode,
    ModelCodeResult,
    ModelText,
    OutputTranscript,
    ResumptionUpdate,
    ServerCall,
    ServerResponse,
    SetupComplete,
    Support,
    TokenCount,
    ToolCallCancellation,
    ToolCallRequest,
    TurnComplete,
    TurnReason,
    UrlContext,
    VoiceActivity,
)
from vivavoce.domain.content import Page, RetrievalStatus, Source, ToolCall, ToolKind
from vivavoce.domain.ids import CallId, SessionId
from vivavoce.protocol.encode import (
    MAX_CHARS,
    MAX_FRAME_BYTES,
    dump_json,
    encode_message,
    spell_duration,
)

PCM = bytes(range(256)) * 10
USAGE = TokenCount(
    prompt=120, cached=8, response_text=5, response_audio=50, thoughts=3, tools=2, prompt_audio=60,
    prompt_images=30,
)  # fmt: skip
CALL = ToolCall(CallId("function-call-1"), "dim", {"lamp_name": "desk", "Level": 0, "on": False})

EVERYTHING: list[Message] = [
    SetupComplete(SessionId("s-1")),
    ModelAudio(PCM),
    ModelText("Hello"),
    ModelText("hm", thought=True),
    InputTranscript("Good morning."),
    OutputTranscript(" there"),
    OutputTranscript("end", finished=True),
    GenerationComplete(),
    Interrupted(),
    TurnComplete(),
    TurnComplete(USAGE, TurnReason.NEED_MORE_INPUT),
    TurnComplete(TokenCount()),
    ToolCallRequest((CALL, ToolCall(CallId("b"), "stop", {}))),
    ToolCallCancellation((CallId("a"), CallId("b"))),
    VoiceActivity(True, 0.44),
    VoiceActivity(False, 0.0),
    ResumptionUpdate("h-1"),
    ResumptionUpdate(None),
    GoAway(50.0),
]
BOTH = pytest.mark.parametrize("enterprise", [False, True])
EACH = pytest.mark.parametrize("message", EVERYTHING, ids=repr)


def spoken(message: Message, enterprise: bool = False) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(encode_message(message, enterprise=enterprise))
    return frame


def fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Every field of ours in a frame; what stands in `args` is the user's."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            if key != "args":
                yield from fields(item)
    if isinstance(value, list):
        for item in value:
            yield from fields(item)


# --- the hard rules ----------------------------------------------------------------------------


@BOTH
@EACH
def test_rule_3_1_1_keys_are_camel_case(message: Message, enterprise: bool) -> None:
    names = [name for name, _ in fields(spoken(message, enterprise))]
    assert names
    assert all(re.fullmatch("[a-z]+([A-Z][a-z]+)*", name) for name in names)


@BOTH
@EACH
def test_rule_3_1_2_false_booleans_zeros_and_empty_strings_are_omitted(
    message: Message, enterprise: bool
) -> None:
    for name, value in fields(spoken(message, enterprise)):
        assert value not in (False, 0, "", [], None), name


@BOTH
@EACH
def test_rule_3_1_3_every_message_has_a_key_that_clients_know(
    message: Message, enterprise: bool
) -> None:
    kinds = {
        "setupComplete", "serverContent", "toolCall", "toolCallCancellation", "goAway",
        "sessionResumptionUpdate", "voiceActivity",
    }  # fmt: skip
    frame = spoken(message, enterprise)
    assert len(frame.keys() & kinds) == 1
    assert frame.keys() - kinds <= {"usageMetadata"}


@EACH
def test_rule_3_1_4_interrupted_stands_alone(message: Message) -> None:
    content = spoken(message).get("serverContent", {})
    assert ("interrupted" in content) == isinstance(message, Interrupted)
    assert len(content.keys() - {"turnCompleteReason"}) <= 1


@pytest.mark.parametrize("message", [ModelAudio(PCM), ModelText("x"), ModelText("x", True)])
def test_rule_3_1_5_a_model_turn_has_one_part(message: Message) -> None:
    turn = spoken(message)["serverContent"]["modelTurn"]
    assert turn["role"] == "model"
    assert len(turn["parts"]) == 1


@BOTH
@EACH
def test_rule_3_1_6_only_int32_fields_are_numbers(message: Message, enterprise: bool) -> None:
    for name, value in fields(spoken(message, enterprise)):
        if type(value) in (int, float):
            assert name.endswith("TokenCount") or name == "tokenCount", name
            assert type(value) is int


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(50, "50s"), (12.5, "12.500s"), (0.44, "0.440s"), (0, "0s"), (-1, "0s"), (59.9996, "60s")],
)
def test_rule_3_1_7_durations_are_strings(seconds: float, text: str) -> None:
    assert spell_duration(seconds) == text
    assert spoken(GoAway(seconds)) == {"goAway": {"timeLeft": text}}


@pytest.mark.parametrize("size", [1, 2, 3, 4, 480, 4800])
def test_rule_3_1_8_base64_is_standard_and_padded(size: int) -> None:
    pcm = (b"\xfb\xff\xfe" * size)[:size]
    part = spoken(ModelAudio(pcm))["serverContent"]["modelTurn"]["parts"][0]
    assert part == {
        "inlineData": {
            "mimeType": "audio/pcm;rate=24000",
            "data": base64.b64encode(pcm).decode(),
        }
    }


def test_rule_3_1_10_a_frame_that_python_would_refuse_is_never_made() -> None:
    largest = 16 * 24000 * 2
    assert (
        len(encode_message(ModelAudio(b"\0" * largest), enterprise=False))
        < MAX_FRAME_BYTES
        == 1 << 20
    )
    with pytest.raises(ValueError, match="ModelAudio makes a frame of"):
        encode_message(ModelAudio(b"\0" * largest * 2), enterprise=False)
    with pytest.raises(ValueError, match="ModelText makes a frame of"):
        encode_message(ModelText("x" * MAX_FRAME_BYTES), enterprise=False)


# --- each message ------------------------------------------------------------------------------


def test_setup_complete_names_the_session() -> None:
    assert spoken(SetupComplete(SessionId("s-1"))) == {"setupComplete": {"sessionId": "s-1"}}


def test_a_thought_is_marked() -> None:
    parts = [{"text": "hm", "thought": True}]
    expected = {"serverContent": {"modelTurn": {"role": "model", "parts": parts}}}
    assert spoken(ModelText("hm", thought=True)) == expected


def test_finished_is_spelled_on_the_enterprise_path_only() -> None:
    transcript = InputTranscript("Good morning.", finished=True)
    text = {"text": "Good morning."}
    assert spoken(transcript) == {"serverContent": {"inputTranscription": text}}
    finished = {"serverContent": {"inputTranscription": text | {"finished": True}}}
    assert spoken(transcript, enterprise=True) == finished
    fragment = {"serverContent": {"outputTranscription": {"text": " the"}}}
    assert spoken(OutputTranscript(" the"), enterprise=True) == fragment


def test_a_transcript_without_words_is_not_said() -> None:
    assert encode_message(OutputTranscript("", finished=True), enterprise=False) == b""
    assert encode_message(InputTranscript("", finished=False), enterprise=True) == b""


def test_usage_travels_with_turn_complete() -> None:
    assert spoken(TurnComplete(USAGE, TurnReason.NEED_MORE_INPUT)) == {
        "serverContent": {"turnComplete": True, "turnCompleteReason": "NEED_MORE_INPUT"},
        "usageMetadata": {
            "promptTokenCount": 120,
            "cachedContentTokenCount": 8,
            "responseTokenCount": 55,
            "toolUsePromptTokenCount": 2,
            "thoughtsTokenCount": 3,
            "totalTokenCount": 180,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 30},
                {"modality": "IMAGE", "tokenCount": 30},
                {"modality": "AUDIO", "tokenCount": 60},
            ],
            "responseTokensDetails": [
                {"modality": "TEXT", "tokenCount": 5},
                {"modality": "AUDIO", "tokenCount": 50},
            ],
        },
    }


def test_the_enterprise_path_counts_candidates_too() -> None:
    usage = spoken(TurnComplete(USAGE), enterprise=True)["usageMetadata"]
    assert usage["candidatesTokenCount"] == usage["responseTokenCount"] == 55
    assert usage["candidatesTokensDetails"] == usage["responseTokensDetails"]


def test_a_turn_that_cost_nothing_says_nothing_of_it() -> None:
    assert spoken(TurnComplete(TokenCount())) == {"serverContent": {"turnComplete": True}}


def test_arguments_stay_as_they_are_and_are_never_absent() -> None:
    calls = (CALL, ToolCall(CallId("b"), "stop", MappingProxyType({})))
    assert spoken(ToolCallRequest(calls)) == {
        "toolCall": {
            "functionCalls": [
                {
                    "id": "function-call-1",
                    "name": "dim",
                    "args": {"lamp_name": "desk", "Level": 0, "on": False},
                },
                {"id": "b", "name": "stop", "args": {}},
            ]
        }
    }


def test_cancellation_lists_ids() -> None:
    frame = spoken(ToolCallCancellation((CallId("a"), CallId("b"))))
    assert frame == {"toolCallCancellation": {"ids": ["a", "b"]}}


def test_voice_activity_has_both_names() -> None:
    assert spoken(VoiceActivity(True, 0.44))["voiceActivity"] == {
        "type": "ACTIVITY_START",
        "voiceActivityType": "ACTIVITY_START",
        "audioOffset": "0.440s",
    }
    assert spoken(VoiceActivity(False, 2.0))["voiceActivity"]["type"] == "ACTIVITY_END"


def test_a_handle_and_resumable_come_together_or_not_at_all() -> None:
    assert spoken(ResumptionUpdate("h")) == {
        "sessionResumptionUpdate": {"newHandle": "h", "resumable": True}
    }
    assert spoken(ResumptionUpdate(None)) == {"sessionResumptionUpdate": {}}


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"a": "\ud83d\ude00 \ud83d"}, {"a": "😀 �"}),
        ({"\ud83d": ("x", [1, None])}, {"�": ["x", [1, None]]}),
        ({"a": 1 << 70, "b": -(1 << 70)}, {"a": float(1 << 70), "b": -float(1 << 70)}),
        ({"a": 10**400, "b": -(10**400)}, {"a": None, "b": None}),
        ({3: True}, {"3": True}),
        ({"deep": MappingProxyType({"x": "\udc00"})}, {"deep": {"x": "�"}}),
    ],
)
def test_odd_objects_of_a_model_become_json(args: Mapping[Any, Any], expected: Any) -> None:
    assert json.loads(dump_json(args)) == expected


def test_what_has_no_json_form_is_an_error() -> None:
    with pytest.raises(TypeError):
        dump_json({"a": object()})


# --- as the Python SDK reads it -------------------------------------------------------------------


@BOTH
@EACH
def test_the_python_sdk_reads_every_message(message: Message, enterprise: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDK's own deprecations
        types = pytest.importorskip("google.genai.types", reason="google-genai is not installed")
        converters = pytest.importorskip("google.genai._live_converters")
    convert = f"_LiveServerMessage_from_{'vertex' if enterprise else 'mldev'}"
    frame = getattr(converters, convert)(spoken(message, enterprise))
    read = types.LiveServerMessage._from_response(response=frame, kwargs={})
    match message:
        case SetupComplete(session):
            assert read.setup_complete.session_id == session
        case ModelAudio(pcm):
            assert read.data == pcm
        case ModelText(text, thought):
            [part] = read.server_content.model_turn.parts
            assert (part.text, bool(part.thought)) == (text, thought)
        case InputTranscript(text, _):
            assert read.server_content.input_transcription.text == text
        case OutputTranscript(text, finished):
            transcription = read.server_content.output_transcription
            assert transcription.text == text
            assert bool(transcription.finished) == (finished and enterprise)
        case GenerationComplete():
            assert read.server_content.generation_complete is True
        case Interrupted():
            assert read.server_content.interrupted is True
        case TurnComplete(usage, _):
            assert read.server_content.turn_complete is True
            if usage == USAGE:
                assert read.usage_metadata.response_token_count == 55
                assert read.usage_metadata.total_token_count == 180
        case ToolCallRequest(calls):
            assert [(c.id, c.name, c.args) for c in read.tool_call.function_calls] == [
                (c.id, c.name, c.args) for c in calls
            ]
        case ToolCallCancellation(ids):
            assert read.tool_call_cancellation.ids == list(ids)
        case VoiceActivity(started, _):
            kind = read.voice_activity.voice_activity_type.value
            assert kind == ("ACTIVITY_START" if started else "ACTIVITY_END")
        case ResumptionUpdate(handle):
            update = read.session_resumption_update
            assert (update.new_handle, bool(update.resumable)) == (handle, handle is not None)
        case GoAway():
            assert read.go_away.time_left == "50s"


ID = CallId("call-1")
SOURCE = Source("https://www.example.org/quake", "The quake", "It had a magnitude of 7.0.")


def spelled(message: Message) -> Any:
    return json.loads(encode_message(message, enterprise=False))


def part(message: Message) -> Any:
    (only,) = spelled(message)["serverContent"]["modelTurn"]["parts"]
    return only


def test_grounding_as_the_sdk_reads_it() -> None:
    support = Support(0, 12, "It was small", (0,), (0.8,))
    further = Support(13, 20, "Was it?", (0,), (1.0,))
    grounding = Grounding(("how strong",), (SOURCE,), (support, further))
    wire = spelled(grounding)["serverContent"]["groundingMetadata"]
    read = types.GroundingMetadata.model_validate(wire)
    assert read.web_search_queries == ["how strong"]
    assert read.grounding_chunks is not None
    (chunk,) = read.grounding_chunks
    assert chunk.web is not None
    assert (chunk.web.uri, chunk.web.title) == (SOURCE.uri, "The quake")
    assert chunk.web.domain == "www.example.org"
    assert read.grounding_supports is not None
    first, second = (each.segment for each in read.grounding_supports)
    assert first is not None
    assert second is not None
    assert (first.start_index, first.end_index, first.text) == (None, 12, "It was small")
    assert (second.start_index, second.end_index) == (13, 20)
    assert read.grounding_supports[0].confidence_scores == [0.8]


def test_the_entry_point_escapes_what_it_shows_and_leads_nowhere() -> None:
    wire = spelled(Grounding(('<img src="https://evil.example/x">',), (), ()))
    shown = wire["serverContent"]["groundingMetadata"]["searchEntryPoint"]["renderedContent"]
    assert "&lt;img" in shown
    assert "<img" not in shown
    assert "href" not in shown


def test_a_search_without_findings_is_sent_as_its_queries_alone() -> None:
    wire = spelled(Grounding(("x",), (), ()))["serverContent"]["groundingMetadata"]
    assert set(wire) == {"webSearchQueries", "searchEntryPoint"}


def test_code_and_its_result_are_parts_of_their_own() -> None:
    code = part(ModelCode(ID, "print(1)"))["executableCode"]
    assert (code["language"], code["code"]) == ("PYTHON", "print(1)")
    result = part(ModelCodeResult(ID, "OUTCOME_OK", "1\n"))["codeExecutionResult"]
    assert types.CodeExecutionResult.model_validate(result).outcome is types.Outcome.OUTCOME_OK
    assert result["output"] == "1\n"


def test_what_is_empty_is_left_out() -> None:
    assert part(ModelCodeResult(ID, "OUTCOME_OK", "")) == {
        "codeExecutionResult": {"outcome": "OUTCOME_OK", "id": ID}
    }
    bare = Grounding(("q",), (Source("https://[broken", "", "text"),), ())
    (chunk,) = spelled(bare)["serverContent"]["groundingMetadata"]["groundingChunks"]
    assert chunk == {"web": {"uri": "https://[broken"}}, "what only looks like an address, too"


def test_what_became_of_addresses() -> None:
    pages = (
        Page("https://a.example/", RetrievalStatus.SUCCESS, "A", "text"),
        Page("http://10.0.0.1/", RetrievalStatus.UNSAFE),
    )
    wire = spelled(UrlContext(pages))["serverContent"]["urlContextMetadata"]
    read = types.UrlContextMetadata.model_validate(wire)
    assert read.url_metadata is not None
    assert [each.url_retrieval_status for each in read.url_metadata] == [
        types.UrlRetrievalStatus.URL_RETRIEVAL_STATUS_SUCCESS,
        types.UrlRetrievalStatus.URL_RETRIEVAL_STATUS_UNSAFE,
    ]
    assert "text" not in json.dumps(wire)


@pytest.mark.parametrize(
    ("kind", "tool_type", "args"),
    [
        (ToolKind.SEARCH, "GOOGLE_SEARCH_WEB", {"query": "x"}),
        (ToolKind.URL, "URL_CONTEXT", {"query": "x"}),
        (ToolKind.MCP, None, {"name": "f", "arguments": {"query": "x"}}),
    ],
)
def test_the_servers_calls_for_those_who_asked(kind: ToolKind, tool_type: Any, args: Any) -> None:
    call = ToolCall(ID, "f", {"query": "x"})
    asked = part(ServerCall(call, kind))["toolCall"]
    assert (asked["id"], asked.get("toolType"), asked["args"]) == (ID, tool_type, args)
    answered = part(ServerResponse(call, kind, {"output": 2}))["toolResponse"]
    assert (answered["id"], answered["response"]) == (ID, {"output": 2})


@pytest.mark.parametrize(
    "message",
    [
        ModelCode(ID, "é" * 2_000_000),
        ModelCodeResult(ID, "OUTCOME_OK", "é" * 2_000_000),
        ServerResponse(ToolCall(ID, "f", {}), ToolKind.MCP, {"output": "é" * 2_000_000}),
        Grounding(("q" * 10**6,), (Source("u" * 10**6, "t" * 10**6, "x" * 10**6),) * 20, ()),
    ],
)
def test_no_frame_grows_beyond_what_clients_read(message: Message) -> None:
    frame = encode_message(message, enterprise=False)
    assert len(frame) < MAX_FRAME_BYTES / 2
    assert MAX_CHARS < MAX_FRAME_BYTES
