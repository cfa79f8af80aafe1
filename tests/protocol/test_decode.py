"""Reading what clients say: kindness, strictness, and the sentences of refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioStreamEnded,
    ClientInput,
    ContentReceived,
    ContextUpdated,
    TextReceived,
    ToolResponsesReceived,
)
from vivavoce.domain.audio import AudioChunk, VideoFrame
from vivavoce.domain.content import Content, Role, Scheduling, Text, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.errors import ClientFault
from vivavoce.protocol.decode import MAX_PARTS_PER_EVENT
from vivavoce.protocol.dialect import GeminiDialect

PCM = b"\x01\x02\x03\x04"
BLOB = {"data": "AQIDBA==", "mimeType": "audio/pcm;rate=16000"}


def heard(message: Any, strict: bool = False) -> list[ClientInput]:
    return list(GeminiDialect(strict).decode(json.dumps(message)))


def refusal(message: Any, strict: bool = False) -> str:
    dialect = GeminiDialect(strict)
    read = dialect.read_setup if "setup" in message else dialect.decode
    with pytest.raises(ClientFault) as caught:
        read(json.dumps(message))
    assert caught.value.code == 1007
    return caught.value.reason


# --- realtime input ------------------------------------------------------------------------------


def test_one_blob_is_read_alike_by_both_paths() -> None:
    """The short path knows only the usual shape; an unusual one means the same."""
    usual: list[dict[str, Any]] = [
        {"realtimeInput": {"audio": BLOB}},
        {"realtime_input": {"audio": {"data": "AQIDBA==", "mime_type": "audio/pcm"}}},
        {"realtimeInput": {"mediaChunks": [BLOB]}},
        {"realtimeInput": {"media_chunks": [BLOB]}},
    ]
    unusual: list[dict[str, Any]] = [
        {"realtimeInput": {"audio": BLOB, "text": None}},
        {"realtimeInput": {"audio": BLOB | {"displayName": "mic"}}, "setup": None},
        {"realtimeInput": {"mediaChunks": BLOB}},
        {"realtimeInput": {"audio": {"data": "AQIDBA=="}}},
        {"realtimeInput": {"audio": {"data": "AQIDBA==", "mimeType": ""}}},
    ]
    for message in usual + unusual:
        assert heard(message) == [AudioChunk(PCM, 16000)], message


def test_empty_data_is_legal_and_means_nothing() -> None:
    assert heard({"realtimeInput": {"audio": BLOB | {"data": ""}}}) == []
    assert heard({"realtimeInput": {"video": {"data": "", "mimeType": "image/png"}}}) == []
    assert heard({"realtimeInput": {"audio": {"mimeType": "audio/pcm"}}}) == []


def test_marks_stand_around_what_they_mark() -> None:
    everything = {
        "activityEnd": {},
        "audioStreamEnd": True,
        "text": "look",
        "video": {"data": "AQ==", "mimeType": "image/jpeg"},
        "audio": BLOB,
        "mediaChunks": [BLOB],
        "activityStart": {},
    }
    assert heard({"realtimeInput": everything}) == [
        ActivityStarted(0),
        AudioChunk(PCM),
        AudioChunk(PCM),
        VideoFrame(b"\x01", "image/jpeg"),
        TextReceived("look"),
        AudioStreamEnded(0),
        ActivityEnded(0),
    ]


def test_presence_counts_for_objects_and_truth_for_booleans() -> None:
    assert heard({"realtimeInput": {"activityStart": {}}}) == [ActivityStarted(0)]
    assert heard({"realtimeInput": {"activityStart": None}}) == []
    assert heard({"realtimeInput": {"audioStreamEnd": False}}) == []
    assert heard({"realtimeInput": {"text": ""}}) == []
    assert heard({"realtimeInput": {"text": " "}}) == [TextReceived(" ")]


@pytest.mark.parametrize(
    ("kind", "mime_type", "reason"),
    [
        (
            "audio",
            "audio/mp3",
            'Unsupported audio MIME type "audio/mp3": send audio/pcm;rate=16000.',
        ),
        (
            "audio",
            "image/png",
            'Unsupported audio MIME type "image/png": send audio/pcm;rate=16000.',
        ),
        ("video", "video/mp4", 'Unsupported video MIME type "video/mp4": send image/jpeg.'),
        ("video", "audio/pcm", 'Unsupported video MIME type "audio/pcm": send image/jpeg.'),
        ("audio", "audio/pcm;rate=x", "send audio/pcm;rate=16000"),
        ("audio", "audio/pcm;channels=2", "send one channel"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_medium_that_cannot_be_taken_is_named(
    kind: str, mime_type: str, reason: str, wrapped: bool
) -> None:
    blob = {"data": "AQIDBA==", "mimeType": mime_type}
    beside = {"text": None} if wrapped else {}
    message = {"realtimeInput": {kind: blob, **beside}}
    assert reason in refusal(message, strict=True)
    if mime_type not in ("image/png", "audio/pcm"):  # what is only in the wrong field is taken
        assert reason in refusal(message)


def test_a_blob_without_a_type_is_refused_where_it_could_be_anything() -> None:
    assert "Unsupported audio" in refusal({"realtimeInput": {"mediaChunks": [{"data": "AQ=="}]}})
    assert "Unsupported audio" in refusal({"realtimeInput": {"audio": {"data": "AQ=="}}}, True)
    assert "Unsupported video" in refusal({"realtimeInput": {"video": {"data": "AQ=="}}})


def test_bad_base64_is_located() -> None:
    reason = "Invalid JSON payload received. Base64 decoding failed at 'realtime_input.audio.data'."
    assert refusal({"realtimeInput": {"audio": BLOB | {"data": "A*"}}}) == reason
    assert refusal({"realtimeInput": {"audio": BLOB | {"data": "A"}}}) == reason
    assert "TYPE_BYTES" in refusal({"realtimeInput": {"audio": BLOB | {"data": 3}}})


# --- content, tools, context ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "turns",
    [
        "hi",
        ["hi"],
        {"parts": [{"text": "hi"}]},
        [{"parts": {"text": "hi"}}],
        [["hi"]],
        ["hi", None],
    ],
)
def test_a_lenient_reader_takes_simpler_turns(turns: Any) -> None:
    expected = ContentReceived((Content(Role.USER, (Text("hi"),)),), turn_complete=True)
    assert heard({"clientContent": {"turns": turns, "turnComplete": True}}) == [expected]
    assert "client_content.turns" in refusal({"clientContent": {"turns": turns}}, strict=True)


def test_an_answer_to_a_call_needs_a_name_or_at_least_an_id() -> None:
    bare = {"toolResponse": {"functionResponses": {"id": "a", "response": {}}}}
    assert heard(bare) == [ToolResponsesReceived((ToolResult(CallId("a"), "", {}),))]
    nameless: dict[str, Any] = {"toolResponse": {"functionResponses": [{"response": {}}]}}
    expected = (
        "Invalid value at 'tool_response.function_responses[0].name': a function name is required."
    )
    assert refusal(nameless) == expected
    assert refusal({"toolResponse": {"functionResponses": [{"id": "a"}]}}, strict=True) == expected


def test_an_answer_without_a_response_is_empty_unless_strict() -> None:
    message = {"toolResponse": {"functionResponses": [{"id": "a", "name": "f"}]}}
    assert heard(message) == [ToolResponsesReceived((ToolResult(CallId("a"), "f", {}),))]
    assert "response': an object is required" in refusal(message, strict=True)


def test_the_users_own_json_is_never_respelled() -> None:
    response = {"turn_complete": 1, "turnComplete": None, "nested": [{"mime_type": {"a_b": "x"}}]}
    answers = [{"id": "a", "name": "f", "response": response}]
    [event] = heard({"toolResponse": {"functionResponses": answers}})
    assert isinstance(event, ToolResponsesReceived)
    assert event.results[0].response == response
    call = {"name": "f", "args": {"room_name": 1, "roomName": 2, "null": None}}
    [said] = heard({"clientContent": {"turns": [{"parts": [{"functionCall": call}]}]}})
    assert isinstance(said, ContentReceived)
    [part] = said.turns[0].parts
    assert getattr(part, "args", None) == call["args"]


def test_scheduling_beside_the_response_wins() -> None:
    answer = {"name": "f", "scheduling": "silent", "response": {"scheduling": "INTERRUPT"}}
    [event] = heard({"toolResponse": {"functionResponses": [answer]}})
    assert isinstance(event, ToolResponsesReceived)
    assert event.results[0].scheduling is Scheduling.SILENT
    assert event.results[0].response == {"scheduling": "INTERRUPT"}


def test_a_context_update_reads_tools_as_setup_does() -> None:
    update = {"tools": {"tools": [{"functionDeclarations": [{"name": "f"}]}]}}
    [event] = heard({"contextUpdate": update})
    assert isinstance(event, ContextUpdated)
    assert event.tools is not None
    assert [f.name for f in event.tools.functions] == ["f"]
    bad = {"tools": {"tools": [{}, {"functionDeclarations": [{"name": "2f"}]}]}}
    where = "context_update.tools.tools[1].function_declarations[0].name"
    assert where in refusal({"contextUpdate": bad})


# --- unknown names --------------------------------------------------------------------------------

DECLARED = {"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"x": 1}}}}
UNKNOWN = [
    ({"foo": 1}, "foo", ""),
    ({"setup": {"model": "m", "fooBar": 1}}, "fooBar", "setup"),
    ({"setup": {"model": "m", "generationConfig": {"x_y": 1}}}, "x_y", "setup.generation_config"),
    ({"setup": {"model": "m", "temperature": 1}}, "temperature", "setup"),
    ({"setup": {"model": "m", "toolConfig": {}}}, "toolConfig", "setup"),
    (
        {"setup": {"model": "m", "sessionResumption": {"transparent": True}}},
        "transparent",
        "setup.session_resumption",
    ),
    (
        {"setup": {"model": "m", "inputAudioTranscription": {"language": "en"}}},
        "language",
        "setup.input_audio_transcription",
    ),
    (
        {"setup": {"model": "m", "tools": [{}, {"functionDeclarations": [{"nme": ""}]}]}},
        "nme",
        "setup.tools[1].function_declarations[0]",
    ),
    ({"setup": {"model": "m", "tools": [{"magic": {}}]}}, "magic", "setup.tools[0]"),
    (
        {"setup": {"model": "m", "tools": [{"functionDeclarations": [DECLARED]}]}},
        "x",
        "setup.tools[0].function_declarations[0].parameters.properties[0].value",
    ),
    ({"realtimeInput": {"audio": BLOB | {"rate": 1}}}, "rate", "realtime_input.audio"),
    ({"realtimeInput": {"voice": BLOB}}, "voice", "realtime_input"),
    (
        {"clientContent": {"turns": [{"parts": [{"text": ""}, {"txt": ""}]}]}},
        "txt",
        "client_content.turns[0].parts[1]",
    ),
    (
        {"tool_response": {"functionResponses": [{"name": "f", "response": {}, "ok": 1}]}},
        "ok",
        "tool_response.function_responses[0]",
    ),
    ({"contextUpdate": {"tools": {"tool": []}}}, "tool", "context_update.tools"),
]


@pytest.mark.parametrize(("message", "name", "path"), UNKNOWN)
def test_an_unknown_name_is_refused_with_its_path_when_strict(
    message: dict[str, Any], name: str, path: str
) -> None:
    at = f" at '{path}'" if path else ""
    expected = f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
    assert refusal(message, strict=True) == expected


LENIENTLY_KNOWN = {"temperature", "toolConfig", "transparent"}


@pytest.mark.parametrize(("message", "name", "path"), UNKNOWN)
def test_an_unknown_name_is_skipped_and_reported_when_lenient(
    message: dict[str, Any], name: str, path: str
) -> None:
    told: list[tuple[str, str]] = []
    dialect = GeminiDialect(on_unknown=lambda *where: told.append(where))
    if name == "nme":  # the declaration is then nameless, which is a fault of its own
        message["setup"]["tools"][1]["functionDeclarations"][0]["name"] = "f"
    (dialect.read_setup if "setup" in message else dialect.decode)(json.dumps(message))
    assert told == ([] if name in LENIENTLY_KNOWN else [(path, name)])


def test_several_unknown_names_share_the_reason() -> None:
    assert refusal({"clientContent": {"a": 1, "b": 2}}, strict=True).splitlines() == [
        f"Invalid JSON payload received. Unknown name \"{name}\" at 'client_content': "
        "Cannot find field."
        for name in "ab"
    ]


# --- strict and lenient ---------------------------------------------------------------------------


def test_both_spellings_of_one_field() -> None:
    message = {"clientContent": {"turnComplete": False, "turn_complete": True}}
    assert heard(message) == [ContentReceived((), turn_complete=True)]
    assert refusal(message, strict=True) == (
        "Invalid JSON payload received. \"turn_complete\" at 'client_content' is given in both "
        "spellings."
    )


def test_a_message_must_be_one_kind_when_strict() -> None:
    generic = "Request contains an invalid argument."
    assert heard({}) == []
    assert refusal({}, strict=True) == generic
    two = {"realtimeInput": {"text": "a"}, "clientContent": {}}
    assert heard(two) == [ContentReceived((), turn_complete=False), TextReceived("a")]
    assert refusal(two, strict=True) == generic


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"clientContent": 1}, "Invalid value at 'client_content' (TYPE_MESSAGE), 1"),
        (
            {"clientContent": {"turnComplete": "true"}},
            "Invalid value at 'client_content.turn_complete' (TYPE_BOOL), \"true\"",
        ),
        (
            {"clientContent": {"turns": [{"role": 1, "parts": []}]}},
            "Invalid value at 'client_content.turns[0].role' (TYPE_STRING), 1",
        ),
        (
            {"toolResponse": {"functionResponses": [{"name": "f", "willContinue": 1}]}},
            "Invalid value at 'tool_response.function_responses[0].will_continue' (TYPE_BOOL), 1",
        ),
        (
            {"realtimeInput": {"text": "x", "audio": ["y" * 80]}},
            "Invalid value at 'realtime_input.audio' (TYPE_MESSAGE), [\"" + "y" * 38 + "…",
        ),
    ],
)
def test_values_of_a_wrong_type_are_refused_always(
    message: dict[str, Any], reason: str, strict: bool
) -> None:
    assert refusal(message, strict) == reason


def test_a_lone_value_where_an_array_belongs_is_refused_when_strict() -> None:
    message = {"toolResponse": {"functionResponses": {"name": "f", "response": {}}}}
    reason = 'Invalid value at \'tool_response.function_responses\' (TYPE_REPEATED), {"name":"f"'
    assert refusal(message, strict=True).startswith(reason)


def test_deep_nesting_is_refused_before_anybody_recurses() -> None:
    deep: Any = "bottom"
    for _ in range(70):
        deep = [deep]
    message = {"toolResponse": {"functionResponses": [{"name": "f", "response": {"x": deep}}]}}
    assert "nested more than 64 levels" in refusal(message)


def test_many_parts_of_a_turn_come_in_several_steps() -> None:
    parts = [{"text": str(number)} for number in range(2 * MAX_PARTS_PER_EVENT + 50)]
    turns = [{"parts": [{"text": "before"}]}, {"role": "model", "parts": parts}]
    events = heard({"clientContent": {"turns": turns, "turnComplete": True}})
    steps = [event for event in events if isinstance(event, ContentReceived)]
    assert steps == events
    assert [event.turn_complete for event in steps] == [False, False, False, True]
    contents = [content for event in steps for content in event.turns]
    assert [content.role for content in contents] == [Role.USER, *[Role.MODEL] * 3]
    said = [part.text for content in contents for part in content.parts if isinstance(part, Text)]
    assert said == ["before", *(part["text"] for part in parts)]
    for event in steps:
        assert sum(len(content.parts) for content in event.turns) <= MAX_PARTS_PER_EVENT
