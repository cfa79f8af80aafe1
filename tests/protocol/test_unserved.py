"""Fields that change nothing are told once, or refused when strict; other sessions are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vivavoce.errors import ClientFault
from vivavoce.protocol.dialect import GeminiDialect


def told(*frames: Any) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    dialect = GeminiDialect(on_unserved=lambda *what: found.append(what))
    for frame in frames:
        (dialect.read_setup if "setup" in frame else dialect.decode)(json.dumps(frame))
    return found


def test_what_later_messages_ask_for_in_vain_is_told_once() -> None:
    part = {"text": "Look.", "videoMetadata": {"fps": 1}, "thoughtSignature": ""}
    turns = [{"role": "user", "parts": [part, part]}]
    search = {"googleSearch": {"blockingConfidence": 1}}
    update = {"tools": {"tools": [search, {"googleMaps": {}}]}}
    content = {"clientContent": {"turns": turns, "turnComplete": True}}
    assert told({"setup": {"model": "m"}}, content, content, {"contextUpdate": update}) == [
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
