"""Setups: defaults, ranges, kindness and strictness. Whole setups stand in test_dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vivavoce.domain.content import BuiltinTool
from vivavoce.domain.setup import (
    Compression,
    Modality,
    Resumption,
    Sampling,
    SessionSetup,
    Thinking,
    Transcription,
    TurnCoverage,
)
from vivavoce.errors import ClientFault
from vivavoce.protocol.dialect import GeminiDialect


def setup(*, strict: bool = False, enterprise: bool = False, **fields: Any) -> SessionSetup:
    frame = json.dumps({"setup": {"model": "models/m"} | fields})
    return GeminiDialect(strict, enterprise).read_setup(frame)


def generation(strict: bool = False, **fields: Any) -> SessionSetup:
    return setup(strict=strict, generationConfig=fields)


def refusal(**fields: Any) -> str:
    with pytest.raises(ClientFault) as caught:
        setup(**fields)
    assert caught.value.code == 1007
    return caught.value.reason


def test_a_model_is_all_that_is_needed() -> None:
    assert setup(strict=True) == SessionSetup(model="models/m")


@pytest.mark.parametrize("model", ["", None])
def test_no_model_is_refused(model: str | None) -> None:
    assert refusal(model=model) == (
        "Invalid value at 'setup.model' (TYPE_STRING): a model is required."
    )


@pytest.mark.parametrize(
    ("modalities", "expected"),
    [
        ([], Modality.AUDIO),
        (None, Modality.AUDIO),
        (["MODALITY_UNSPECIFIED"], Modality.AUDIO),
        (["AUDIO"], Modality.AUDIO),
        (["text"], Modality.TEXT),
        ("TEXT", Modality.TEXT),
        (["TEXT", "TEXT"], Modality.TEXT),
        ([3], Modality.AUDIO),
        (["SMELL"], Modality.AUDIO),
    ],
)
def test_one_modality_and_audio_by_default(modalities: Any, expected: Modality) -> None:
    assert generation(responseModalities=modalities).modality is expected


@pytest.mark.parametrize("modalities", [["TEXT", "AUDIO"], ["IMAGE"], ["VIDEO"]])
def test_other_combinations_are_refused_by_name(modalities: list[str]) -> None:
    assert refusal(generationConfig={"responseModalities": modalities}) == (
        f"The requested combination of response modalities ({', '.join(modalities)}) is not "
        "supported by the model."
    )


def test_sampling_is_read_and_zero_limits_are_no_limits() -> None:
    full = {"temperature": 0, "topP": 0.5, "topK": 40.0, "maxOutputTokens": "9", "seed": 7,
            "presencePenalty": 1, "frequencyPenalty": "-1.5", "candidateCount": 1}  # fmt: skip
    assert generation(strict=True, **full).sampling == Sampling(0.0, 0.5, 40, 9, 1.0, -1.5, 7)
    assert generation(topK=0, topP=0, maxOutputTokens=0).sampling == Sampling()


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("temperature", -0.1, "between 0 and 2"),
        ("temperature", 2.1, "between 0 and 2"),
        ("top_p", 1.5, "between 0 and 1"),
        ("top_k", -1, "0 or more"),
        ("max_output_tokens", -1, "0 or more"),
    ],
)
def test_values_out_of_range_are_refused(field: str, value: float, allowed: str) -> None:
    assert refusal(generationConfig={field: value}) == (
        f"Invalid value at 'setup.generation_config.{field}': {allowed}."
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"realtimeInputConfig": {"automaticActivityDetection": {"silenceDurationMs": -1}}},
        {"realtimeInputConfig": {"automaticActivityDetection": {"prefixPaddingMs": -1}}},
        {"contextWindowCompression": {"triggerTokens": "-1"}},
        {"contextWindowCompression": {"slidingWindow": {"targetTokens": -1}}},
    ],
)
def test_durations_and_counts_are_not_negative(fields: dict[str, Any]) -> None:
    assert "must not be negative: -1." in refusal(**fields)


def test_sections_may_be_present_and_empty() -> None:
    empty = setup(
        strict=True,
        generationConfig={"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {}}},
                          "thinkingConfig": {}},
        realtimeInputConfig={"automaticActivityDetection": {}},
        sessionResumption={},
        contextWindowCompression={},
        inputAudioTranscription={},
        outputAudioTranscription={},
        proactivity={},
        historyConfig={},
        tools=[],
        systemInstruction={},
        safetySettings=[],
        labels={},
    )  # fmt: skip
    assert empty == SessionSetup(
        model="models/m",
        thinking=Thinking(),
        resumption=Resumption(),
        compression=Compression(),
        input_transcription=Transcription(),
        output_transcription=Transcription(),
    )


@pytest.mark.parametrize(
    ("config", "voice"),
    [
        ({"prebuiltVoiceConfig": {"voiceName": "zephyr"}}, "Zephyr"),
        ({"voice": "KORE"}, "Kore"),
        ("Leda", "Leda"),
        ({"prebuiltVoiceConfig": {"voiceName": "Nobody"}}, ""),
        ({"replicatedVoiceConfig": {"voiceSampleAudio": "AA=="}}, ""),
    ],
)
def test_voices_by_any_name(config: Any, voice: str) -> None:
    assert generation(speechConfig={"voiceConfig": config}).voice == voice


def test_an_unknown_voice_is_refused_when_strict() -> None:
    config = {"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Nobody"}}}}
    assert refusal(strict=True, generationConfig=config) == 'There is no voice "Nobody".'


def test_transcription_hints_also_in_their_older_places() -> None:
    old = {"languageHints": {"languageCodes": ["de"]}, "adaptationPhrases": ["a"]}
    assert setup(inputAudioTranscription=old).input_transcription == Transcription(("de",), ("a",))
    new = {"languageCodes": ["de", "fr"], "customVocabulary": ["b"], "wordTimestamp": True}
    assert setup(outputAudioTranscription=new | old).output_transcription == Transcription(
        ("de", "fr"),
        ("b",),
    )


def test_settings_of_generation_are_moved_from_where_they_are_misplaced() -> None:
    moved = setup(
        response_modalities=["TEXT"],
        temperature=1,
        speechConfig={"languageCode": "fr"},
        thinkingConfig={"thinkingBudget": 5},
        generationConfig={"temperature": 0.5, "top_k": 3},
    )
    assert moved.modality is Modality.TEXT
    assert moved.sampling == Sampling(temperature=0.5, top_k=3)
    assert moved.language == "fr"
    assert moved.thinking == Thinking(budget=5)


def test_a_wrong_generation_config_is_not_hidden_by_a_misplaced_setting() -> None:
    assert "'setup.generation_config' (TYPE_MESSAGE)" in refusal(temperature=1, generationConfig=3)


def test_forbidding_calls_leaves_out_the_functions() -> None:
    tools = [{"functionDeclarations": [{"name": "f"}], "googleSearch": {}}]
    for mode, count in (("NONE", 0), ("AUTO", 1), ("none", 0)):
        config = {"functionCallingConfig": {"mode": mode}}
        found = setup(tools=tools, toolConfig=config).tools
        assert len(found.functions) == count
        assert found.builtin == (BuiltinTool("googleSearch"),)
    assert len(setup(tools=tools, tool_config={}).tools.functions) == 1


EXCLUDED = [
    "responseLogprobs", "logprobs", "responseMimeType", "responseSchema", "stopSequences",
    "routingConfig", "audioTimestamp",
]  # fmt: skip


@pytest.mark.parametrize("field", EXCLUDED)
def test_settings_that_live_sessions_lack_are_refused_only_when_strict(field: str) -> None:
    assert setup(generationConfig={field: "x"}) == SessionSetup(model="models/m")
    reason = refusal(strict=True, generationConfig={field: "x"})
    assert reason.endswith("is not supported in a Live session.")


def test_one_candidate_is_all_there_is() -> None:
    assert generation(candidateCount=2) == SessionSetup(model="models/m")
    assert "candidate_count must be 1" in refusal(
        strict=True, generationConfig={"candidateCount": 2}
    )


def test_transparent_resumption_belongs_to_the_enterprise_path() -> None:
    wanted = {"transparent": True, "handle": "h"}
    assert setup(sessionResumption=wanted).resumption == Resumption("h", True)
    enterprise = setup(strict=True, enterprise=True, sessionResumption=wanted)
    assert enterprise.resumption == Resumption("h", True)
    assert refusal(strict=True, sessionResumption=wanted) == (
        'Invalid JSON payload received. Unknown name "transparent" at '
        "'setup.session_resumption': Cannot find field."
    )


@pytest.mark.parametrize(
    ("spelling", "coverage"),
    [
        ("TURN_INCLUDES_ONLY_ACTIVITY", TurnCoverage.ONLY_ACTIVITY),
        ("turn_includes_all_input", TurnCoverage.ALL_INPUT),
        (3, TurnCoverage.AUDIO_ACTIVITY_AND_ALL_VIDEO),
        ("TURN_COVERAGE_UNSPECIFIED", None),
        ("TURN_INCLUDES_NOTHING", None),
    ],
)
def test_coverage(spelling: Any, coverage: TurnCoverage | None) -> None:
    assert setup(realtimeInputConfig={"turnCoverage": spelling}).realtime.coverage is coverage


@pytest.mark.parametrize(
    ("path", "config"),
    [
        ("realtime_input_config.turn_coverage", {"realtimeInputConfig": {"turnCoverage": "x"}}),
        (
            "generation_config.response_modalities[1]",
            {"generationConfig": {"responseModalities": ["TEXT", "x"]}},
        ),
    ],
)
def test_an_unknown_enum_value_is_refused_when_strict(path: str, config: dict[str, Any]) -> None:
    setup(**config)
    assert refusal(strict=True, **config) == f"Invalid value at 'setup.{path}' (TYPE_ENUM), \"x\""


def test_signals_and_history() -> None:
    wanted = setup(
        explicitVadSignal=True,
        historyConfig={"initialHistoryInClientContent": True},
    )
    assert wanted.signals_activity
    assert wanted.seeds_history


@pytest.mark.parametrize(
    ("resolution", "tokens"),
    [
        (None, 258),
        ("MEDIA_RESOLUTION_UNSPECIFIED", 258),
        ("MEDIA_RESOLUTION_LOW", 64),
        ("MEDIA_RESOLUTION_MEDIUM", 256),
        ("MEDIA_RESOLUTION_HIGH", 256),
    ],
)
def test_a_resolution_is_what_an_image_costs(resolution: str | None, tokens: int) -> None:
    generation = {} if resolution is None else {"mediaResolution": resolution}
    frame = json.dumps({"setup": {"model": "m", "generationConfig": generation}})

    assert GeminiDialect().read_setup(frame).image_tokens == tokens
