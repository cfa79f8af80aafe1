"""Content as domain words."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from vivavoce.domain.content import (
    Blob,
    CodeResult,
    Content,
    ExecutableCode,
    FileRef,
    Part,
    Role,
    Scheduling,
    Text,
    ToolCall,
    ToolResult,
)
from vivavoce.domain.ids import CallId
from vivavoce.errors import ClientFault
from vivavoce.protocol import content
from vivavoce.protocol.base import Reading
from vivavoce.protocol.content import (
    Instruction,
    convert_tool_result,
    convert_turns,
    join_paragraphs,
)


def wire(value: Any, strict: bool = False) -> content.Content:
    return content.Content.model_validate(value, context={"reading": Reading(strict)})


PARTS: list[tuple[dict[str, Any], tuple[Part, ...]]] = [
    ({"text": "hi"}, (Text("hi"),)),
    ({"text": "hm", "thought": True}, (Text("hm", thought=True),)),
    ({"text": ""}, ()),
    ({"inlineData": {"mime_type": "image/png", "data": "_w=="}}, (Blob(b"\xff", "image/png"),)),
    (
        {"file_data": {"fileUri": "gs://a", "mimeType": "image/png"}},
        (FileRef("gs://a", "image/png"),),
    ),
    (
        {"functionCall": {"id": "a", "name": "f", "args": {"x_y": 1}}},
        (ToolCall(CallId("a"), "f", {"x_y": 1}),),
    ),
    ({"functionCall": {"name": "f"}}, (ToolCall(CallId(""), "f", {}),)),
    (
        {"function_response": {"name": "f", "response": {"output": 1}}},
        (ToolResult(CallId(""), "f", {"output": 1}),),
    ),
    ({"executableCode": {"language": "PYTHON", "code": "1"}}, (ExecutableCode("1"),)),
    (
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        (CodeResult("OUTCOME_OK", "1"),),
    ),
    ({"codeExecutionResult": {"output": "1"}}, (CodeResult("OUTCOME_UNSPECIFIED", "1"),)),
    ({"toolCall": {"id": "a"}, "videoMetadata": {"fps": 1}, "mediaResolution": {"level": 1}}, ()),
]


def read(
    *turns: content.Content, strict: bool = False, enterprise: bool = False
) -> tuple[list[Content | Instruction], list[str]]:
    """The contributions, and what was reported of them."""
    reported: list[str] = []

    def report(sentence: str, *, quoted: str = "") -> None:
        reported.append(sentence)

    said = convert_turns(turns, Reading(strict, enterprise, on_mismatch=report))
    return list(said), reported


@pytest.mark.parametrize(("part", "expected"), PARTS)
def test_each_kind_of_part(part: dict[str, Any], expected: tuple[Part, ...]) -> None:
    said, reported = read(wire({"parts": [part]}, strict=True), strict=True)
    assert said == ([Content(Role.USER, expected)] if expected else [])
    assert bool(reported) == (not expected)


@pytest.mark.parametrize(
    ("role", "expected"),
    [("", Role.USER), ("user", Role.USER), ("model", Role.MODEL), ("Model", Role.MODEL)],
)
def test_roles(role: str, expected: Role) -> None:
    for strict in (False, True):
        said, reported = read(wire({"role": role, "parts": [{"text": "a"}]}), strict=strict)
        assert said == [Content(expected, (Text("a"),))]
        assert reported == []


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("system", [Instruction("a\n\nb")]),
        ("Developer", [Instruction("a\n\nb")]),
        ("assistant", [Content(Role.MODEL, (Text("a"), Text("b")))]),
        ("human", [Content(Role.USER, (Text("a"), Text("b")))]),
        ("tool", []),
        ("function", []),
        ("narrator", []),
        ("user2", []),
    ],
)
def test_no_other_role_is_taken_for_the_users_words(
    role: str, expected: list[Content | Instruction]
) -> None:
    turn = wire({"role": role, "parts": [{"text": "a"}, {"text": "b"}]})
    said, reported = read(turn)
    assert said == expected
    assert bool(reported) == (not any(isinstance(one, Instruction) for one in expected))
    with pytest.raises(ClientFault, match="valid role: user, model"):
        read(turn, strict=True)


def test_a_strict_reader_takes_instructions_where_they_are_documented() -> None:
    turn = wire({"role": "system", "parts": [{"text": "a"}]})
    assert read(turn, strict=True, enterprise=True)[0] == [Instruction("a")]
    with pytest.raises(ClientFault, match="valid role: user, model"):
        read(wire({"role": "developer"}), strict=True, enterprise=True)


def test_results_are_taken_from_the_role_of_functions() -> None:
    answer = {"functionResponse": {"name": "f", "response": {"x": 1}}}
    said, reported = read(wire({"role": "function", "parts": [answer, {"text": "aside"}]}))
    assert said == [Content(Role.USER, (ToolResult(CallId(""), "f", {"x": 1}),))]
    assert len(reported) == 1


def test_turns_without_anything_in_them_are_left_out_and_reported() -> None:
    turns = [wire({}), wire("a"), wire({"parts": [{"text": ""}]}), wire("b")]
    said, reported = read(*turns)
    assert said == [Content(Role.USER, (Text("a"),)), Content(Role.USER, (Text("b"),))]
    assert len(reported) == 2


@pytest.mark.parametrize(
    "instruction",
    [
        {"role": "system", "parts": [{"text": "One."}, {"text": ""}, {"text": "Two."}]},
        {"parts": ["One.", {"inlineData": {"data": "AA", "mimeType": "image/png"}}, "Two."]},
        ["One.", "Two."],
        "One.\n\nTwo.",
    ],
)
def test_each_part_of_an_instruction_is_a_paragraph(instruction: Any) -> None:
    assert join_paragraphs(wire(instruction)) == "One.\n\nTwo."


def result(**fields: Any) -> ToolResult:
    answer = {"id": "a", "name": "f"} | fields
    read = content.FunctionResponse.model_validate(answer, context={"reading": Reading()})
    return convert_tool_result(read)


@pytest.mark.parametrize(
    ("fields", "scheduling", "response"),
    [
        ({"response": {"r": 1}}, "WHEN_IDLE", {"r": 1}),
        ({"response": {"r": 1}, "scheduling": "INTERRUPT"}, "INTERRUPT", {"r": 1}),
        ({"response": {"r": 1, "scheduling": "SILENT"}}, "SILENT", {"r": 1}),
        ({"response": {"r": 1, "scheduling": "INTERRUPTED"}}, "INTERRUPT", {"r": 1}),
        ({"response": {"scheduling": "silent"}, "scheduling": 0}, "SILENT", {}),
        ({"response": {"scheduling": "SCHEDULING_UNSPECIFIED"}}, "WHEN_IDLE", {}),
        (
            {"response": {"scheduling": "SILENT"}, "scheduling": "WHEN_IDLE"},
            "WHEN_IDLE",
            {"scheduling": "SILENT"},
        ),
        (
            {"response": {"scheduling": "every Monday"}},
            "WHEN_IDLE",
            {"scheduling": "every Monday"},
        ),
        ({"response": {"scheduling": {"day": 1}}}, "WHEN_IDLE", {"scheduling": {"day": 1}}),
        ({"response": {}, "scheduling": "someday"}, "WHEN_IDLE", {}),
    ],
)
def test_scheduling_of_an_answer(
    fields: dict[str, Any], scheduling: str, response: dict[str, Any]
) -> None:
    read = result(**fields)
    assert (read.scheduling, read.response) == (Scheduling[scheduling], response)


def test_an_answer_may_go_on_and_carry_media() -> None:
    parts = [
        {"inline_data": {"mime_type": "image/png", "data": "/w=="}},
        {"fileData": {"fileUri": "gs://a", "mimeType": "audio/wav"}},
    ]
    read = result(response={}, will_continue=True, parts=parts)
    assert read.will_continue
    assert read.parts == (Blob(b"\xff", "image/png"), FileRef("gs://a", "audio/wav"))


PNG, WAV = b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WAVE"


def media(mime_type: str, data: bytes, strict: bool = False) -> tuple[str, list[str]]:
    """The type under which a medium in content is kept, and what is reported of it."""
    told: list[str] = []
    blob = {"mimeType": mime_type, "data": base64.b64encode(data).decode()}
    turn = wire({"role": "user", "parts": [{"inlineData": blob}]})
    reading = Reading(strict, on_mismatch=lambda what, quoted="": told.append(what))
    (content,) = convert_turns([turn], reading)
    assert isinstance(content, Content)
    (part,) = content.parts
    assert isinstance(part, Blob)
    return part.mime_type, told


def test_a_medium_without_a_type_is_read_as_it_looks_and_reported() -> None:
    kept, told = media("", PNG)
    assert (kept, len(told)) == ("image/png", 1)
    kept, told = media("application/octet-stream", WAV)
    assert (kept, len(told)) == (media("audio/wav", WAV)[0], 1)
    assert media("image/png", PNG) == ("image/png", [])


def test_sound_that_cannot_be_read_is_reported_or_refused() -> None:
    kept, told = media("audio/mpeg", b"ID3")
    assert (kept, len(told)) == ("audio/mpeg", 1)
    with pytest.raises(ClientFault, match="Unsupported audio MIME type"):
        media("audio/mpeg", b"ID3", strict=True)


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("audio/pcm", 16000),
        ("audio/pcm;rate=16000", 16000),
        ("audio/pcm; rate=48000", 48000),
        ("Audio/PCM ; Rate = 8000", 8000),
        ('audio/pcm;rate="24000"', 24000),
        ("audio/x-pcm;rate=44100;channels=1", 44100),
        ("audio/L16;rate=24000", 24000),
        ("audio/pcm;endian=little", 16000),
        ("audio/pcm;", 16000),
        ("audio/wav", None),
        ("image/jpeg", None),
        ("", None),
        ("audio/pcm" + ";" * 200, None),
    ],
)
def test_the_rate_of_a_type(name: str, rate: int | None) -> None:
    assert content.pcm_rate(name) == rate


@pytest.mark.parametrize("rate", ["9999999", "-16000", "16k", "", "1.5", "１６０００"])
def test_a_senseless_rate_is_refused_with_advice(rate: str) -> None:
    with pytest.raises(ClientFault, match="send audio/pcm;rate=16000") as caught:
        content.pcm_rate(f"audio/pcm;rate={rate}")
    assert caught.value.code == 1007


def test_which_rates_can_be_heard_is_said_in_one_place() -> None:
    assert content.pcm_rate("audio/pcm;rate=0") == 0
    assert content.pcm_rate("audio/pcm;rate=384001") == 384001


def test_more_than_one_channel_is_refused() -> None:
    with pytest.raises(ClientFault, match="send one channel"):
        content.pcm_rate("audio/pcm;rate=16000;channels=2")


def test_images() -> None:
    assert content.image_type(" Image/JPEG") == "image/jpeg"
    assert content.image_type("video/mp4") is None


def test_a_long_name_is_quoted_in_part() -> None:
    assert content.unsupported_medium("audio", "x" * 99, "no").reason == (
        f'Unsupported audio MIME type "{"x" * 40}…": no.'
    )
