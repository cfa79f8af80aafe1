from __future__ import annotations

import json

import pytest

from vivavoce.client import messages
from vivavoce.client.messages import (
    CallsWithdrawn,
    CodeShown,
    GenerationComplete,
    GoAway,
    Grounded,
    HandleOffered,
    Heard,
    Interrupted,
    LiveError,
    Ready,
    ServerMessage,
    SessionOptions,
    Text,
    TurnComplete,
    rate_of,
    read,
    whole_words,
)
from vivavoce.domain.content import ToolDeclaration
from vivavoce.domain.ids import CallId


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"setupComplete": {}}, [Ready("")]),
        (
            {"serverContent": {"modelTurn": {"parts": [{"text": "hm", "thought": True}]}}},
            [Text("hm", thought=True)],
        ),
        ({"serverContent": {"inputTranscription": {"text": "hello"}}}, [Heard("hello")]),
        ({"serverContent": {"interrupted": True}}, [Interrupted()]),
        (
            {"serverContent": {"modelTurn": {"parts": [{"executableCode": {"code": "1"}}]}}},
            [CodeShown("1")],
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
            [Grounded((("T", "u"), ("", ""))), TurnComplete({})],
        ),
        (
            {"serverContent": {"generationComplete": True, "turnComplete": True}},
            [GenerationComplete(), TurnComplete({})],
        ),
        ({"toolCallCancellation": {"ids": ["a"]}}, [CallsWithdrawn((CallId("a"),))]),
        ({"goAway": {"timeLeft": "50s"}}, [GoAway("50s")]),
        (
            {"sessionResumptionUpdate": {"newHandle": "h", "resumable": True}},
            [HandleOffered("h")],
        ),
        ({"sessionResumptionUpdate": {}}, [HandleOffered("")]),
        ({"somethingNew": {}}, []),
        ({}, []),
    ],
)
def test_what_a_frame_means(frame: object, expected: list[ServerMessage]) -> None:
    assert read(json.dumps(frame)) == expected
    assert read(json.dumps(frame).encode()) == expected


@pytest.mark.parametrize("frame", ["no json", "[]", b"\xff"])
def test_a_frame_that_is_no_object_is_an_error(frame: bytes | str) -> None:
    with pytest.raises(LiveError):
        read(frame)


def test_rates() -> None:
    assert rate_of("audio/pcm;rate=16000") == 16_000
    assert rate_of("audio/pcm; Rate=8000") == 8_000
    assert rate_of("audio/pcm") == 24_000


def test_wishes_become_a_setup() -> None:
    function = ToolDeclaration("lights", "Switch.", {"type": "object"})
    wishes = SessionOptions(
        "models/m", "Kore", "Be brief.", "en-US", "TEXT", (function,), ("googleSearch",), False
    )
    assert wishes.setup() == {
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
    assert SessionOptions("m").setup()["setup"]["outputAudioTranscription"] == {}


@pytest.mark.parametrize(("handle", "asked"), [(None, None), ("", {}), ("h-1", {"handle": "h-1"})])
def test_handles_are_asked_for_only_when_wanted(
    handle: str | None, asked: dict[str, str] | None
) -> None:
    assert SessionOptions(handle=handle).setup()["setup"].get("sessionResumption") == asked


def test_sound_is_marked_with_its_rate() -> None:
    audio = messages.audio(b"\xfb\xff", 8_000)["realtimeInput"]["audio"]
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
    assert whole_words(reason) == shown
