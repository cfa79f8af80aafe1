from __future__ import annotations

import json

import pytest

from vivavoce.client import messages
from vivavoce.client.messages import (
    ExecutableCodeMessage,
    GenerationCompleteMessage,
    GroundingMessage,
    InputTranscriptionMessage,
    InterruptedMessage,
    ResumptionUpdateMessage,
    ServerMessage,
    SessionClosed,
    SessionOptions,
    SetupCompleteMessage,
    TextMessage,
    ToolCallCancellationMessage,
    TurnCompleteMessage,
    audio_rate,
    read_frame,
    shorten_reason,
)
from vivavoce.domain.content import ToolDeclaration
from vivavoce.domain.ids import CallId


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"setupComplete": {}}, [SetupCompleteMessage("")]),
        (
            {"serverContent": {"modelTurn": {"parts": [{"text": "hm", "thought": True}]}}},
            [TextMessage("hm", thought=True)],
        ),
        (
            {"serverContent": {"inputTranscription": {"text": "hello"}}},
            [InputTranscriptionMessage("hello")],
        ),
        ({"serverContent": {"interrupted": True}}, [InterruptedMessage()]),
        (
            {"serverContent": {"modelTurn": {"parts": [{"executableCode": {"code": "1"}}]}}},
            [ExecutableCodeMessage("1")],
        ),
        (
            {
                "serverContent": {
                    "groundingMetadata": {
                        "groundingChunks": [{"web": {"title": "T", "uri": "u"}}, {}]
                    },
                    "turnComplete": True,
                }
            },
            [GroundingMessage((("T", "u"), ("", ""))), TurnCompleteMessage()],
        ),
        (
            {"serverContent": {"generationComplete": True, "turnComplete": True}},
            [GenerationCompleteMessage(), TurnCompleteMessage()],
        ),
        ({"toolCallCancellation": {"ids": ["a"]}}, [ToolCallCancellationMessage((CallId("a"),))]),
        ({"goAway": {"timeLeft": "50s"}}, []),
        (
            {"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}},
            [ResumptionUpdateMessage("h")],
        ),
        ({"sessionResumptionUpdate": {}}, [ResumptionUpdateMessage("")]),
        ({"somethingNew": {}}, []),
        ({}, []),
    ],
)
def test_what_a_frame_means(frame: object, expected: list[ServerMessage]) -> None:
    assert read_frame(json.dumps(frame)) == expected
    assert read_frame(json.dumps(frame).encode()) == expected


@pytest.mark.parametrize("frame", ["no json", "[]", b"\xff"])
def test_a_frame_that_is_no_object_is_an_error(frame: bytes | str) -> None:
    with pytest.raises(SessionClosed):
        read_frame(frame)


def test_rates() -> None:
    assert audio_rate("audio/pcm;rate=16000") == 16_000
    assert audio_rate("audio/pcm; Rate=8000") == 8_000
    assert audio_rate("audio/pcm") == 24_000


def test_options_become_a_setup() -> None:
    function = ToolDeclaration("lights", "Switch.", {"type": "object"})
    wishes = SessionOptions(
        "models/m", "Kore", "Be brief.", "en-US", "TEXT", (function,), ("googleSearch",), False
    )
    assert wishes.setup_message() == {
        "setup": {
            "model": "models/m",
            "generationConfig": {
                "responseModalities": ["TEXT"],
                "speechConfig": {
                    "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}},
                    "languageCode": "en-US",
                },
            },
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "tools": [
                {"googleSearch": {}},
                {
                    "functionDeclarations": [
                        {
                            "name": "lights",
                            "description": "Switch.",
                            "parametersJsonSchema": {"type": "object"},
                        }
                    ]
                },
            ],
        }
    }
    assert SessionOptions("m").setup_message()["setup"]["outputAudioTranscription"] == {}


@pytest.mark.parametrize(("handle", "asked"), [(None, None), ("", {}), ("h-1", {"handle": "h-1"})])
def test_handles_are_asked_for_only_when_wanted(
    handle: str | None, asked: dict[str, str] | None
) -> None:
    assert SessionOptions(handle=handle).setup_message()["setup"].get("sessionResumption") == asked


def test_sound_is_marked_with_its_rate() -> None:
    audio = messages.audio_message(b"\xfb\xff", 8_000)["realtimeInput"]["audio"]
    assert audio == {"data": "+/8=", "mimeType": "audio/pcm;rate=8000"}


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("", ""),
        ("models/x is not found", "models/x is not found"),
        ("word " * 24 + "end", "word " * 23 + "word …"),
        ("word " * 23 + "a, b", "word " * 23 + "a, b"),
        ("word " * 24 + "en", "word " * 24 + "en"),
        ("word " * 24 + "en.", "word " * 24 + "en."),
        ("wörd " * 20 + "ü", "wörd " * 19 + "wörd …"),
        ("ü" * 60, "ü" * 60 + " …"),
    ],
)
def test_a_reason_that_its_frame_cut_ends_with_a_whole_word(reason: str, shown: str) -> None:
    assert shorten_reason(reason) == shown
