"""Fields in other places, and forms of other APIs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vivavoce.core.events import (
    ClientInput,
    ContentReceived,
    ContextUpdated,
    TextReceived,
    ToolResponsesReceived,
)
from vivavoce.domain.audio import AudioChunk, VideoFrame
from vivavoce.domain.content import (
    Blob,
    Content,
    FileRef,
    Role,
    Text,
    ToolDeclaration,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.setup import SessionSetup
from vivavoce.errors import ClientFault
from vivavoce.protocol.dialect import GeminiDialect

MODEL = "models/m"
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}}


class Reader:
    """A lenient dialect that keeps what it reports."""

    def __init__(self, strict: bool = False) -> None:
        self.unknown: list[str] = []
        self.mismatches: list[str] = []
        self._dialect = GeminiDialect(
            strict,
            on_unknown=lambda path, name: self.unknown.append(name),
            on_mismatch=lambda sentence, quoted="": self.mismatches.append(sentence),
        )

    def setup(self, **fields: Any) -> SessionSetup:
        return self._dialect.read_setup(json.dumps({"setup": {"model": MODEL} | fields}))

    def decode(self, message: Any) -> list[ClientInput]:
        return list(self._dialect.decode(json.dumps(message)))


SETUPS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"temperature": 1}, {"generationConfig": {"temperature": 1}}),
    ({"generation_config": {"inputAudioTranscription": {}}}, {"inputAudioTranscription": {}}),
    ({"generationConfig": {"output_audio_transcription": {}}}, {"outputAudioTranscription": {}}),
    (
        {"generationConfig": {"realtimeInputConfig": {"activityHandling": "NO_INTERRUPTION"}}},
        {"realtimeInputConfig": {"activityHandling": "NO_INTERRUPTION"}},
    ),
    ({"generationConfig": {"systemInstruction": "Be."}}, {"systemInstruction": "Be."}),
    (
        {"generationConfig": {"tools": [{"functionDeclarations": [{"name": "f"}]}]}},
        {"tools": [{"functionDeclarations": [{"name": "f"}]}]},
    ),
    (
        {"silenceDurationMs": 300, "voiceName": "Kore"},
        {
            "realtimeInputConfig": {"automaticActivityDetection": {"silenceDurationMs": 300}},
            "generationConfig": {
                "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}
            },
        },
    ),
    (
        {"generationConfig": {"speechConfig": {"thinkingConfig": {"thinkingBudget": 0}}}},
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
    ),
    (
        {"realtimeInputConfig": {"generationConfig": {"sessionResumption": {"handle": "h"}}}},
        {"sessionResumption": {"handle": "h"}},
    ),
]


@pytest.mark.parametrize(("misplaced", "placed"), SETUPS)
def test_a_setting_in_another_object_is_moved_to_its_own(
    misplaced: dict[str, Any], placed: dict[str, Any]
) -> None:
    reader, right = Reader(), Reader()
    assert reader.setup(**misplaced) == right.setup(**placed)
    assert reader.setup(**misplaced) != Reader().setup(), "the setting is one that shows"
    assert reader.unknown == []
    assert reader.mismatches
    assert len(reader.mismatches) > len(right.mismatches)
    with pytest.raises(ClientFault, match="Unknown name"):
        Reader(strict=True).setup(**misplaced)


def test_what_stands_in_its_place_counts_and_the_other_is_reported() -> None:
    reader = Reader()
    setup = reader.setup(temperature=1, generationConfig={"temperature": 0.5})
    assert setup.sampling.temperature == 0.5
    assert len(reader.mismatches) == 1


def test_one_language_of_a_transcription_is_a_list_of_it() -> None:
    reader = Reader()
    setup = reader.setup(inputAudioTranscription={"languageCode": "de"})
    assert setup.input_transcription is not None
    assert setup.input_transcription.language_codes == ("de",)
    assert setup.language == ""
    assert reader.mismatches


def test_settings_beside_the_setup_are_its_own() -> None:
    reader = Reader()
    frame = {"setup": {"model": MODEL}, "generationConfig": {"temperature": 1}}
    setup = reader._dialect.read_setup(json.dumps(frame))
    assert setup.sampling.temperature == 1
    assert reader._dialect.beside_setup == b""
    assert reader.mismatches


def test_a_long_unknown_name_is_no_field() -> None:
    reader = Reader()
    reader.setup(**{"A" * 100_000: 1})
    assert len(reader.unknown) == 1


TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "f", "description": "d", "parameters": NUMBER}},
    {"type": "function", "name": "f", "description": "d", "parameters": NUMBER, "strict": True},
    {"name": "f", "description": "d", "input_schema": NUMBER},
    {"name": "f", "description": "d", "inputSchema": NUMBER},
    {"type": "custom", "name": "f", "description": "d", "parametersJsonSchema": NUMBER},
    {"name": "f", "description": "d", "parameters_json_schema": NUMBER},
    {"name": "f", "description": "d", "parameters": NUMBER},
    {"functions": [{"name": "f", "description": "d", "parameters": NUMBER}]},
    {"functionDeclarations": {"name": "f", "description": "d", "inputSchema": NUMBER}},
]


@pytest.mark.parametrize("tool", TOOLS)
def test_functions_in_the_form_of_other_apis_are_functions(tool: Any) -> None:
    reader = Reader()
    expected = (ToolDeclaration("f", "d", NUMBER),)
    assert reader.setup(tools=[tool]).tools.functions == expected
    assert reader.mismatches
    (update,) = Reader().decode({"contextUpdate": {"tools": [tool]}})
    assert update == ContextUpdated(None, Tools(expected))


@pytest.mark.parametrize(
    ("tool", "kind"),
    [
        ("google_search", "googleSearch"),
        ("googleSearch", "googleSearch"),
        ({"type": "web_search_20250305", "name": "web_search"}, "googleSearch"),
        ({"type": "code_interpreter"}, "codeExecution"),
    ],
)
def test_tools_of_the_server_in_the_form_of_other_apis(tool: Any, kind: str) -> None:
    reader = Reader()
    assert [one.kind for one in reader.setup(tools=[tool]).tools.builtin] == [kind]
    assert reader.mismatches


PNG = b"\x89PNG\r\n\x1a\n"
PARTS: list[tuple[Any, Any]] = [
    ({"type": "text", "text": "a"}, Text("a")),
    ({"type": "input_text", "text": "a"}, Text("a")),
    ("a", Text("a")),
    (
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        Blob(PNG, "image/png"),
    ),
    (
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
        Blob(PNG, "image/png"),
    ),
    (
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
        FileRef("https://a.example/b.png", "image/*"),
    ),
    (
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
        },
        Blob(PNG, "image/png"),
    ),
    (
        {"type": "input_audio", "input_audio": {"data": "AAA=", "format": "wav"}},
        Blob(b"\0\0", "audio/pcm;rate=16000"),
    ),
    ({"mimeType": "image/png", "data": "iVBORw0KGgo="}, Blob(PNG, "image/png")),
]


@pytest.mark.parametrize(("part", "expected"), PARTS)
def test_parts_in_the_form_of_other_apis(part: Any, expected: Any) -> None:
    turns = [{"role": "user", "content": [part]}, {"role": "assistant", "content": "b"}]
    reader = Reader()
    (said,) = reader.decode({"clientContent": {"turns": turns, "turnComplete": True}})
    model = Content(Role.MODEL, (Text("b"),))
    assert said == ContentReceived((Content(Role.USER, (expected,)), model), True)
    assert reader.mismatches


A = (Content(Role.USER, (Text("a"),)),)
TURN = {"role": "user", "parts": [{"text": "a"}]}
CONTENTS: list[Any] = [
    {"clientContent": {"turns": [{"text": "a"}], "turnComplete": True}},
    {"clientContent": {"turns": {"text": "a"}, "turnComplete": True}},
    {"clientContent": {"turns": [{"role": "user", "text": "a"}], "turnComplete": True}},
    {"clientContent": {"turns": [{"role": "user", "content": "a"}], "turnComplete": True}},
    {"clientContent": {"text": "a", "turnComplete": True}},
    {"clientContent": TURN | {"turnComplete": True}},
    {"clientContent": {"role": "user", "content": "a", "turn_complete": True}},
    {"clientContent": {"contents": [TURN], "turnComplete": True}},
    {"clientContent": {"messages": [{"role": "user", "content": "a"}], "turnComplete": True}},
    {"clientContent": {"turns": [TURN]}, "turnComplete": True},
    {"turns": [TURN], "turnComplete": True},
    {"realtimeInput": {"turns": [TURN], "turnComplete": True}},
    {"realtimeInput": {"clientContent": {"turns": [TURN], "turnComplete": True}}},
    {"clientContent": [TURN]},
    {"clientContent": "a"},
    {"contents": [TURN]},
    {"contents": "a"},
    {"content": TURN},
    {"messages": [{"role": "user", "content": "a"}], "turnComplete": True},
    {"role": "user", "parts": [{"text": "a"}]},
    {"parts": [{"text": "a"}], "turn_complete": True},
]


@pytest.mark.parametrize("message", CONTENTS)
def test_content_in_other_forms_and_places_is_content(message: Any) -> None:
    reader = Reader()
    said = [one for one in reader.decode(message) if isinstance(one, ContentReceived)]
    assert said == [ContentReceived(A, True)]
    assert reader.mismatches
    with pytest.raises(ClientFault):
        Reader(strict=True).decode(message)


def test_the_order_of_instructions_and_content_is_kept() -> None:
    turns = [
        {"role": "system", "parts": [{"text": "Be one."}]},
        TURN,
        {"role": "system", "parts": [{"text": "Be two."}]},
    ]
    assert Reader().decode({"clientContent": {"turns": turns, "turnComplete": True}}) == [
        ContextUpdated("Be one.", None),
        ContentReceived(A, False),
        ContextUpdated("Be two.", None),
        ContentReceived((), True),
    ]
    assert Reader().decode({"clientContent": {"turns": turns[:1]}}) == [
        ContextUpdated("Be one.", None)
    ]
    assert Reader().decode({"clientContent": {"turns": [TURN | {"role": "narrator"}]}}) == []


RESULT = ToolResult(CallId("1"), "f", {"x": 1})
RESULTS: list[tuple[Any, ToolResult]] = [
    ({"toolResponse": {"id": "1", "name": "f", "response": {"x": 1}}}, RESULT),
    ({"toolResponse": [{"id": "1", "name": "f", "response": {"x": 1}}]}, RESULT),
    ({"functionResponses": [{"id": "1", "name": "f", "response": {"x": 1}}]}, RESULT),
    ({"functionResponse": {"id": "1", "name": "f", "response": {"x": 1}}}, RESULT),
    (
        {"toolResponse": {"functionResponse": {"id": "1", "name": "f", "response": {"x": 1}}}},
        RESULT,
    ),
    (
        {"toolResponse": {"functionResponses": {"id": "1", "name": "f", "output": "ok"}}},
        ToolResult(CallId("1"), "f", {"output": "ok"}),
    ),
    (
        {"toolResponse": {"functionResponses": [{"id": "1", "name": "f", "response": "ok"}]}},
        ToolResult(CallId("1"), "f", {"result": "ok"}),
    ),
    (
        {"toolResponse": {"functionResponses": [{"call_id": "1", "name": "f", "result": [1]}]}},
        ToolResult(CallId("1"), "f", {"result": [1]}),
    ),
]


@pytest.mark.parametrize(("message", "expected"), RESULTS)
def test_answers_in_other_forms_are_answers(message: Any, expected: ToolResult) -> None:
    reader = Reader()
    assert reader.decode(message) == [ToolResponsesReceived((expected,))]
    assert reader.mismatches
    with pytest.raises(ClientFault):
        Reader(strict=True).decode(message)


MEDIA: list[tuple[Any, ClientInput]] = [
    ({"audio": {"data": "AAA=", "mimeType": "audio/wav"}}, AudioChunk(b"\0\0", 16000)),
    ({"audio": {"data": "AAA=", "mimeType": "audio/raw;rate=8000"}}, AudioChunk(b"\0\0", 8000)),
    ({"audio": {"data": "AAA=", "mimeType": "audio/lpcm"}}, AudioChunk(b"\0\0", 16000)),
    ({"video": {"data": "AAA=", "mimeType": "audio/pcm"}}, AudioChunk(b"\0\0", 16000)),
    ({"audio": {"data": "AAA=", "mimeType": "image/png"}}, VideoFrame(b"\0\0", "image/png")),
    ({"video": {"data": "iVBORw0KGgo="}}, VideoFrame(PNG, "image/png")),
    ({"data": "AAA=", "mimeType": "audio/pcm"}, AudioChunk(b"\0\0", 16000)),
    ({"media": {"data": "AAA=", "mimeType": "audio/pcm"}}, AudioChunk(b"\0\0", 16000)),
    ({"inlineData": {"data": "AAA=", "mimeType": "audio/pcm"}}, AudioChunk(b"\0\0", 16000)),
    ([{"data": "AAA=", "mimeType": "audio/pcm"}], AudioChunk(b"\0\0", 16000)),
    ("hello", TextReceived("hello")),
    ({"mediaChunks": [{"data": "AAA=", "mimeType": "audio/wav"}]}, AudioChunk(b"\0\0", 16000)),
]


@pytest.mark.parametrize(("medium", "expected"), MEDIA)
def test_a_medium_is_taken_for_what_it_is(medium: Any, expected: ClientInput) -> None:
    reader = Reader()
    assert reader.decode({"realtimeInput": medium}) == [expected]
    assert reader.mismatches
    with pytest.raises(ClientFault):
        Reader(strict=True).decode({"realtimeInput": medium})


def test_every_chunk_of_media_is_taken() -> None:
    chunk = {"data": "AAA=", "mimeType": "audio/pcm"}
    message = {"realtimeInput": {"mediaChunks": [chunk, chunk]}}
    assert Reader().decode(message) == 2 * [AudioChunk(b"\0\0", 16000)]
    with pytest.raises(ClientFault, match="media_chunks"):
        Reader(strict=True).decode(message)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"realtimeInput": {}},
        {"realtimeInput": {"text": ""}},
        {"realtimeInput": {"audioStreamEnd": False}},
        {"toolResponse": {}},
        {"contextUpdate": {}},
        {"clientContent": {"turns": [{"role": "narrator", "parts": [{"text": "a"}]}]}},
        {"unheardOf": 1},
    ],
)
def test_a_message_that_changes_nothing_is_reported(message: Any) -> None:
    reader = Reader()
    for one in reader.decode(message):
        assert one in (ToolResponsesReceived(()), ContextUpdated(None, None))
    assert reader.mismatches


def test_text_beside_the_messages_is_realtime_text() -> None:
    reader = Reader()
    assert reader.decode({"text": "hello"}) == [TextReceived("hello")]
    assert reader.mismatches


def test_a_mismatch_is_reported_once() -> None:
    reader = Reader()
    for _ in range(3):
        reader.decode({"realtimeInput": {}})
    assert len(reader.mismatches) == 1


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"realtimeInputConfig": {"activityHandling": "INTERRUPT"}}, "INTERRUPT"),
        ({"realtimeInputConfig": {"turnCoverage": "these are my words"}}, "…"),
    ],
)
def test_a_value_that_an_enum_does_not_have_is_reported(fields: dict[str, Any], shown: str) -> None:
    reader = Reader()
    assert reader.setup(**fields) == Reader().setup()
    (sentence,) = reader.mismatches
    assert shown in sentence


def test_a_voice_that_is_not_known_is_reported() -> None:
    reader = Reader()
    assert reader.setup(speechConfig={"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "X"}}})
    assert any("voice" in sentence for sentence in reader.mismatches)


@pytest.mark.parametrize("name", ["media", "inlineData"])
def test_a_medium_alone_is_heard(name: str) -> None:
    reader = Reader()
    medium = {name: {"data": "AAA=", "mimeType": "audio/pcm"}}
    assert reader.decode(medium) == [AudioChunk(b"\0\0", 16000)]
    assert reader.mismatches
    with pytest.raises(ClientFault):
        Reader(strict=True).decode(medium)


def test_a_field_in_both_spellings_is_reported() -> None:
    reader = Reader()
    turns = {"turnComplete": False, "turn_complete": True, "turns": [TURN]}
    assert reader.decode({"clientContent": turns}) == [ContentReceived(A, True)]
    assert any("both spellings" in sentence for sentence in reader.mismatches)


@pytest.mark.parametrize(
    "first",
    [
        {"setup": {"model": "m", "turns": [TURN], "turnComplete": True}},
        {"setup": {"model": "m"}, "contents": [TURN]},
        {"setup": {"model": "m"}, "clientContent": {"turns": [TURN], "turnComplete": True}},
    ],
)
def test_content_in_or_beside_the_setup_is_the_next_message(first: Any) -> None:
    dialect = GeminiDialect()
    dialect.read_setup(json.dumps(first))
    assert dialect.decode(dialect.beside_setup) == [ContentReceived(A, True)]


UNUSED: list[tuple[Any, str]] = [
    ({"clientContent": {"messages": [TURN], "contents": [TURN]}}, "messages"),
    ({"clientContent": {"turns": [{"content": "a", "name": "x"}]}}, "name"),
    (
        {"clientContent": {"turns": [{"parts": [{"type": "text", "text": "a", "cache": 1}]}]}},
        "cache",
    ),
    (
        {"contextUpdate": {"tools": [{"type": "function", "name": "f", "strict": True}]}},
        "strict",
    ),
    ({"contextUpdate": {"tools": [{"type": "web_search", "max_uses": 5}]}}, "max_uses"),
]


@pytest.mark.parametrize(("message", "name"), UNUSED)
def test_what_is_not_used_of_another_form_is_reported_as_unknown(message: Any, name: str) -> None:
    unknown: list[str] = []
    dialect = GeminiDialect(on_unknown=lambda _, name: unknown.append(name))
    assert dialect.decode(json.dumps(message))
    assert unknown == [name]
