"""The dialect as the host and the edge use it, over frames in the shapes real clients send."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vivavoce.core.events import (
    ContentReceived,
    ContextUpdated,
    TextReceived,
    ToolResponsesReceived,
)
from vivavoce.core.messages import Interrupted, OutputTranscript
from vivavoce.domain.audio import AudioChunk, VideoFrame
from vivavoce.domain.content import (
    Behavior,
    BuiltinTool,
    Content,
    Role,
    Scheduling,
    Text,
    ToolDeclaration,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.setup import (
    ActivityDetection,
    Compression,
    Modality,
    RealtimeInput,
    Resumption,
    Sampling,
    Sensitivity,
    SessionSetup,
    Thinking,
    Transcription,
    TurnCoverage,
)
from vivavoce.errors import ClientFault
from vivavoce.protocol.dialect import MAX_REMEMBERED, MAX_REPORTED, GeminiDialect

FRAMES = [
    json.loads(line)
    for line in Path(__file__).with_name("client_frames.jsonl").read_text().splitlines()
]
SETUPS = {entry["client"]: entry["frame"] for entry in FRAMES if entry["expect"] == ["setup"]}
LATER = [entry for entry in FRAMES if entry["expect"] != ["setup"]]

NATIVE_AUDIO = "models/gemini-2.5-flash-native-audio-preview-12-2025"
LISTENS = Transcription()

EXPECTED = {
    "python": SessionSetup(
        model=NATIVE_AUDIO,
        instruction="Be brief.\n\nBe kind.",
        tools=Tools(
            (
                ToolDeclaration("turn_on_the_lights"),
                ToolDeclaration(
                    "dim",
                    parameters={"properties": {"lampName": {"type": "string"}}, "type": "object"},
                    behavior=Behavior.NON_BLOCKING,
                ),
            ),
            (BuiltinTool("googleSearch"),),
        ),
        voice="Kore",
        language="en-US",
        sampling=Sampling(top_k=40),
        thinking=Thinking(include_thoughts=True, budget=0),
        realtime=RealtimeInput(
            ActivityDetection(
                start_sensitivity=Sensitivity.HIGH,
                end_sensitivity=Sensitivity.LOW,
                prefix_padding_ms=50,
                silence_duration_ms=250,
            ),
            interrupts=False,
            coverage=TurnCoverage.ALL_INPUT,
        ),
        input_transcription=LISTENS,
        output_transcription=Transcription(("en-US",), ("vivavoce",)),
        resumption=Resumption(),
        compression=Compression(25600, 12800),
        seeds_history=True,
    ),
    "javascript": SessionSetup(
        model="models/gemini-3.8-live",
        instruction="Answer in verse.",
        tools=Tools(
            (
                ToolDeclaration(
                    "get_weather",
                    "Weather of a place",
                    {
                        "type": "object",
                        "properties": {"placeName": {"type": ["string", "null"]}},
                        "required": ["placeName"],
                    },
                ),
            )
        ),
        voice="Puck",
        thinking=Thinking(level="LOW"),
        realtime=RealtimeInput(ActivityDetection(disabled=True)),
        input_transcription=LISTENS,
        resumption=Resumption("h-1"),
        compression=Compression(25600, 12800),
    ),
    "adk": SessionSetup(
        model=NATIVE_AUDIO,
        instruction="You are a helper.",
        input_transcription=LISTENS,
        output_transcription=LISTENS,
    ),
    "pipecat": SessionSetup(
        model=NATIVE_AUDIO,
        voice="Puck",
        language="en-US",
        sampling=Sampling(max_output_tokens=4096),
        input_transcription=LISTENS,
        output_transcription=LISTENS,
        resumption=Resumption(),
        seeds_history=True,
    ),
    "pipecat-js": SessionSetup(model=NATIVE_AUDIO, voice="Puck"),
    "raw": SessionSetup(
        model="gemini-live",
        modality=Modality.TEXT,
        instruction="Speak plainly.",
        voice="Leda",
        sampling=Sampling(temperature=0.5),
    ),
}


@pytest.mark.parametrize("client", EXPECTED)
def test_the_setup_of_each_client_says_what_it_means(client: str) -> None:
    assert GeminiDialect().read_setup(json.dumps(SETUPS[client])) == EXPECTED[client]


@pytest.mark.parametrize("client", sorted(EXPECTED.keys() - {"raw", "pipecat-js"}))
def test_the_setups_of_the_sdks_pass_a_strict_reader(client: str) -> None:
    setup = {k: v for k, v in SETUPS[client]["setup"].items() if k != "proactivity"}
    expected = EXPECTED[client]
    if expected.output_transcription is not None:
        setup["outputAudioTranscription"] = {}
        expected = replace(expected, output_transcription=Transcription())
    frame = json.dumps({"setup": setup}).encode()
    assert GeminiDialect(strict=True).read_setup(frame) == expected


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "entry", LATER, ids=lambda entry: f"{entry['client']}-{entry['expect'][0]}"
)
def test_each_later_frame_is_the_events_it_looks_like(entry: dict[str, Any], strict: bool) -> None:
    dialect = GeminiDialect(strict=strict)
    marks = {"ActivityStarted", "ActivityEnded"} & set(entry["expect"])
    detection = {"automaticActivityDetection": {"disabled": bool(marks)}}
    setup = {"setup": {"model": "m", "realtimeInputConfig": detection}}
    dialect.read_setup(json.dumps(setup))
    incoming = dialect.decode(json.dumps(entry["frame"]))
    assert [type(one).__name__ for one in incoming] == entry["expect"]


def only(frame: dict[str, Any]) -> Any:
    [one] = GeminiDialect().decode(json.dumps(frame))
    return one


def test_sound_of_python_and_javascript_is_the_same() -> None:
    frames = [e["frame"] for e in LATER if e["expect"] == ["AudioChunk"]]
    chunks = [only(frame) for frame in frames]
    assert {chunk.data for chunk in chunks} == {b"\xff\xfe\xfd\xfc"}
    assert [chunk.rate for chunk in chunks] == [16000, 16000, 16000, 8000]


def test_turns_keep_their_order_and_roles() -> None:
    turns = [
        {"role": "model", "parts": [{"text": "Greet."}]},
        {"parts": [{"text": "."}]},
        {"role": "user", "parts": [{"text": "Hello"}, {"text": " there"}]},
    ]
    assert only({"client_content": {"turns": turns, "turnComplete": False}}) == ContentReceived(
        (
            Content(Role.MODEL, (Text("Greet."),)),
            Content(Role.USER, (Text("."),)),
            Content(Role.USER, (Text("Hello"), Text(" there"))),
        ),
        turn_complete=False,
    )


def test_a_tool_response_carries_scheduling_wherever_it_stands() -> None:
    answers = [
        {"id": "a", "name": "f", "response": {"result": 1, "scheduling": "SILENT"}},
        {"id": "b", "name": "f", "response": {"result": 2}, "scheduling": "INTERRUPT"},
    ]
    assert only({"toolResponse": {"functionResponses": answers}}) == ToolResponsesReceived(
        (
            ToolResult(CallId("a"), "f", {"result": 1}, Scheduling.SILENT),
            ToolResult(CallId("b"), "f", {"result": 2}, Scheduling.INTERRUPT),
        )
    )


def test_an_update_tells_no_tools_from_no_change() -> None:
    assert only({"contextUpdate": {"tools": {"tools": []}}}) == ContextUpdated(None, Tools())
    assert only({"contextUpdate": {"tools": {}}}) == ContextUpdated(None, Tools())
    assert only({"context_update": {"system_instruction": "Sing."}}) == ContextUpdated(
        "Sing.", None
    )


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "frame",
    [
        {"clientContent": {"turnComplete": True}},
        {"realtimeInput": {"audio": {"data": "AAAA", "mimeType": "audio/pcm"}}},
        {},
        {"setup": None},
    ],
)
def test_anything_before_setup_is_refused(frame: dict[str, Any], strict: bool) -> None:
    with pytest.raises(ClientFault) as caught:
        GeminiDialect(strict).read_setup(json.dumps(frame))
    assert (caught.value.code, caught.value.reason) == (
        1007,
        "Request contains an invalid argument.",
    )


@pytest.mark.parametrize("strict", [False, True])
def test_a_second_setup_is_refused(strict: bool) -> None:
    with pytest.raises(ClientFault) as caught:
        GeminiDialect(strict).decode('{"setup":{"model":"models/m"}}')
    assert (caught.value.code, caught.value.reason) == (
        1007,
        "Request contains an invalid argument.",
    )


def test_what_stands_beside_the_setup_is_a_frame_of_its_own() -> None:
    dialect = GeminiDialect()
    setup = {"setup": {"model": "m"}, "realtimeInput": {"text": "first"}}
    assert dialect.read_setup(json.dumps(setup)).model == "m"
    assert dialect.decode(dialect.beside_setup) == [TextReceived("first")]


@pytest.mark.parametrize("beside", [{}, {"colour": "red"}])
def test_beside_most_setups_stands_nothing(beside: Any) -> None:
    dialect = GeminiDialect()
    dialect.read_setup(json.dumps({"setup": {"model": "m"}, **beside}))
    assert dialect.beside_setup == b""


def unserved_of(*frames: Any) -> list[tuple[str, str]]:
    heard: list[tuple[str, str]] = []
    dialect = GeminiDialect(on_unserved=lambda *what: heard.append(what))
    for frame in frames:
        (dialect.read_setup if "setup" in frame else dialect.decode)(json.dumps(frame))
    return heard


def test_what_nothing_here_serves_is_reported_once() -> None:
    setup = {
        "model": "m",
        "contextWindowCompression": {"triggerTokens": 9},
        "proactivity": {"proactiveAudio": True},
        "generationConfig": {"enableAffectiveDialog": True, "temperature": 1},
    }
    assert unserved_of({"setup": setup}) == [
        ("field", "setup.generation_config.enable_affective_dialog"),
        ("field", "setup.proactivity.proactive_audio"),
    ]


def test_others_tell_of_what_they_do_not_serve_through_the_dialect_and_once() -> None:
    heard: list[tuple[str, str]] = []
    dialect = GeminiDialect(on_unserved=lambda *what: heard.append(what))
    for kind in ("googleMaps", "googleMaps", "fileSearch"):
        dialect.report_unserved("tool", kind)
    assert heard == [("tool", "googleMaps"), ("tool", "fileSearch")]


def test_marks_of_the_wrong_mode_are_reported_once() -> None:
    start: Any = {"realtimeInput": {"activityStart": {}}}
    off = {"realtimeInput": {"audioStreamEnd": True}}
    manual = {"realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}

    assert unserved_of({"setup": {"model": "m"}}, start, start, off) == [
        ("signal", "Activity marks while automatic activity detection is on")
    ]
    assert unserved_of({"setup": {"model": "m", **manual}}, start, off) == [
        ("signal", "audioStreamEnd while automatic activity detection is off")
    ]


def test_several_kinds_in_one_message_take_effect_in_order() -> None:
    frame = json.dumps(
        {
            "realtimeInput": {"text": "last"},
            "toolResponse": {"functionResponses": [{"id": "a", "name": "f", "response": {}}]},
            "clientContent": {"turns": [{"parts": [{"text": "hello"}]}]},
            "contextUpdate": {"systemInstruction": {"parts": [{"text": "Sing."}]}},
        }
    )
    kinds = [type(one).__name__ for one in GeminiDialect().decode(frame)]
    assert kinds == ["ContextUpdated", "ContentReceived", "ToolResponsesReceived", "TextReceived"]
    with pytest.raises(ClientFault, match="invalid argument"):
        GeminiDialect(strict=True).decode(frame)


def test_unknown_names_are_skipped_and_each_is_reported_once() -> None:
    heard: list[tuple[str, str]] = []
    dialect = GeminiDialect(on_unknown=lambda path, name: heard.append((path, name)))
    frame = json.dumps({"realtimeInput": {"text": "hi", "mood": 1}, "novelty": {}})
    for _ in range(2):
        assert dialect.decode(frame) == [TextReceived("hi")]
    assert sorted(heard) == [("", "novelty"), ("realtime_input", "mood")]


def test_a_client_that_makes_up_names_does_not_fill_the_log() -> None:
    heard: list[str] = []
    dialect = GeminiDialect(on_unknown=lambda path, name: heard.append(name))
    dialect.decode(json.dumps({f"x{n}": n for n in range(MAX_REPORTED + 50)}))
    assert len(heard) == MAX_REPORTED


def test_long_names_are_known_again_by_their_beginning() -> None:
    heard: list[str] = []
    dialect = GeminiDialect(on_unknown=lambda path, name: heard.append(name))
    for end in ("", "a", "b"):
        dialect.decode(json.dumps({"x" * MAX_REMEMBERED + end: 1}))
    dialect.decode(json.dumps({"y" * MAX_REMEMBERED: 1}))
    assert [name[0] for name in heard] == ["x", "y"]


def test_what_this_dialect_has_no_words_for_is_empty() -> None:
    closing = OutputTranscript("", finished=True)
    assert GeminiDialect().encode(closing) == b""
    assert GeminiDialect(enterprise=True).encode(closing) == (
        b'{"serverContent":{"outputTranscription":{"finished":true}}}'
    )
    assert GeminiDialect().encode(Interrupted()) == b'{"serverContent":{"interrupted":true}}'


@pytest.mark.parametrize(
    ("mark", "manual"), [("activityStart", True), ("activityEnd", True), ("audioStreamEnd", False)]
)
def test_marks_in_the_wrong_mode_are_refused_only_when_strict(mark: str, manual: bool) -> None:
    frame = json.dumps({"realtimeInput": {mark: True if mark == "audioStreamEnd" else {}}})
    for strict in (False, True):
        for disabled in (False, True):
            dialect = GeminiDialect(strict)
            detection = {"automaticActivityDetection": {"disabled": disabled}}
            setup = {"setup": {"model": "m", "realtimeInputConfig": detection}}
            dialect.read_setup(json.dumps(setup))
            if strict and disabled != manual:
                with pytest.raises(ClientFault, match="not allowed while automatic activity"):
                    dialect.decode(frame)
            else:
                assert len(dialect.decode(frame)) == 1


def test_media_carry_their_bytes_and_types() -> None:
    sound = {"realtimeInput": {"audio": {"data": "AAE=", "mimeType": "audio/pcm;rate=48000"}}}
    assert only(sound) == AudioChunk(b"\x00\x01", 48000)
    image = {"realtimeInput": {"video": {"data": "AAE=", "mimeType": "image/PNG"}}}
    assert only(image) == VideoFrame(b"\x00\x01", "image/png")


def test_what_later_messages_ask_for_in_vain_is_reported_once() -> None:
    part = {"text": "Look.", "videoMetadata": {"fps": 1}, "thoughtSignature": ""}
    turns = [{"role": "user", "parts": [part, part]}]
    search = {"googleSearch": {"blockingConfidence": 1}}
    update = {"tools": {"tools": [search, {"googleMaps": {}}]}}
    content = {"clientContent": {"turns": turns, "turnComplete": True}}
    assert unserved_of({"setup": {"model": "m"}}, content, content, {"contextUpdate": update}) == [
        ("field", "client_content.turns.parts.video_metadata"),
        ("field", "context_update.tools.tools.google_search.blocking_confidence"),
    ]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"labels": {"team": "a"}}, "labels"),
        (
            {"outputAudioTranscription": {"languageCodes": ["de"]}},
            "output_audio_transcription.language_codes",
        ),
        ({"proactivity": {"proactiveVideo": True}}, "proactivity.proactive_video"),
        ({"avatarConfig": {}}, "avatar_config"),
        ({"safetySettings": [{"category": "x"}]}, "safety_settings"),
        ({"inputAudioTranscription": {"mode": "SMART"}}, "input_audio_transcription.mode"),
        ({"tools": [{"googleSearch": {"searchTypes": {}}}]}, "tools.google_search.search_types"),
        (
            {"generationConfig": {"responseFormat": {"text": {}}}},
            "generation_config.response_format",
        ),
    ],
)
def test_a_strict_reader_refuses_what_would_change_nothing(fields: Any, path: str) -> None:
    frame = json.dumps({"setup": {"model": "m", **fields}})
    with pytest.raises(ClientFault) as caught:
        GeminiDialect(strict=True).read_setup(frame)
    assert caught.value.code == 1008
    assert caught.value.reason == f"'setup.{path}' is not served here: leave it out."
    assert GeminiDialect().read_setup(frame).model == "m"


@pytest.mark.parametrize("fields", [{"labels": {}}, {"proactivity": {"proactiveAudio": False}},
                                    {"inputAudioTranscription": {"mode": "VERBATIM"}}])  # fmt: skip
def test_what_asks_for_nothing_is_not_refused(fields: Any) -> None:
    assert GeminiDialect(strict=True).read_setup(json.dumps({"setup": {"model": "m", **fields}}))


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("model", "config", "reason"),
    [
        ("models/gemini-3.5-transcribe-live", {}, "gemini-3.5-transcribe-live only transcribes, "),
        ("gemini-3.5-live-translate-preview", {}, "gemini-3.5-live-translate-preview only tra"),
        ("gemini-3.8-live", {"translationConfig": {"targetLanguageCode": "fr"}},
         "Live translation is not served here: leave out translation_config and name a model "),
    ],
)  # fmt: skip
def test_a_session_that_is_no_conversation_is_refused_at_once(
    strict: bool, model: str, config: Any, reason: str
) -> None:
    frame = json.dumps({"setup": {"model": model, "generationConfig": config}})
    with pytest.raises(ClientFault) as caught:
        GeminiDialect(strict=strict).read_setup(frame)
    assert caught.value.code == 1008
    assert caught.value.reason.startswith(reason)
    assert caught.value.reason.endswith("name a model that converses.")
    assert len(caught.value.reason.encode()) <= 123
