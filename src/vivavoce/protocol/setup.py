"""Wire models of the setup message, and their conversion to `SessionSetup`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BeforeValidator, Field

from vivavoce.domain import setup as domain
from vivavoce.domain.content import Tools
from vivavoce.domain.model_family import model_id, other_task
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
    TurnCoverage,
    canonical_voice,
)
from vivavoce.protocol import close
from vivavoce.protocol.base import (
    ACTIVITY_HANDLING,
    END_SENSITIVITY,
    MEDIA_RESOLUTION,
    MODALITY,
    NOT_IN_LIVE,
    NOT_SERVED,
    START_SENSITIVITY,
    THINKING_LEVEL,
    TRANSCRIPTION_MODE,
    TURN_COVERAGE,
    Bytes,
    Flag,
    Int32,
    Int64,
    NotServed,
    Number,
    OnMismatch,
    Reading,
    Repeated,
    Wire,
    not_served,
)
from vivavoce.protocol.content import Content, Ignored, join_paragraphs
from vivavoce.protocol.lenient import relocate_fields
from vivavoce.protocol.tools import Tool, ToolConfig, domain_tools

# --- generationConfig ------------------------------------------------------------------------


class PrebuiltVoiceConfig(Wire):
    """Wire model of a voice by name."""

    voice_name: str = ""


class ReplicatedVoiceConfig(Wire):
    """Wire model of a voice by a sample; not served."""

    mime_type: str = ""
    GATHERS: ClassVar[bool] = False

    voice_sample_audio: Bytes = b""
    consent_audio: Bytes = b""
    voice_consent_signature: Ignored | None = None


class VoiceConfig(Wire):
    """Wire model of a voice in one of three forms; when lenient also a string."""

    prebuilt_voice_config: PrebuiltVoiceConfig | None = None
    replicated_voice_config: Annotated[ReplicatedVoiceConfig | None, NOT_SERVED] = None
    voice: str = ""

    @classmethod
    def lift(cls, value: Any) -> Any:
        return {"voice": value} if isinstance(value, str) else value


class SpeechConfig(Wire):
    """Wire model of `speechConfig`: voice and language."""

    voice_config: VoiceConfig | None = None
    language_code: str = ""
    multi_speaker_voice_config: Annotated[Ignored | None, NOT_SERVED] = None


class ThinkingConfig(Wire):
    """Wire model of `thinkingConfig`: reasoning before an answer."""

    include_thoughts: Flag = False
    thinking_budget: Int32 | None = None
    thinking_level: Annotated[str, BeforeValidator(THINKING_LEVEL.read)] = ""


class TranslationConfig(Wire):
    """Wire model of the target language of translation; not served."""

    target_language_code: str = ""
    echo_target_language: Flag = False


class GenerationConfig(Wire):
    """Wire model of `generationConfig`: modality, sampling, speech, reasoning."""

    response_modalities: Repeated[Annotated[str, BeforeValidator(MODALITY.read)]] = Field(
        default_factory=list
    )
    temperature: Number | None = None
    top_p: Number | None = None
    top_k: Int32 | None = None
    max_output_tokens: Int32 | None = None
    candidate_count: Annotated[Int32 | None, NotServed(harmless=frozenset({1}))] = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    seed: Int32 | None = None
    media_resolution: Annotated[str, BeforeValidator(MEDIA_RESOLUTION.read)] = ""
    speech_config: SpeechConfig | None = None
    thinking_config: ThinkingConfig | None = None
    enable_affective_dialog: Annotated[Flag, NOT_SERVED] = False
    translation_config: TranslationConfig | None = None
    audio_transcription_config: Annotated[Any, NOT_SERVED] = None
    response_format: Annotated[Any, NOT_SERVED] = None
    response_json_schema: Annotated[Any, NOT_SERVED] = None
    enable_enhanced_civic_answers: Annotated[Any, NOT_SERVED] = None
    # pydantic reserves the name `model_config`.
    configured_model: Annotated[Any, NOT_SERVED] = Field(default=None, alias="model_config")
    model_selection_config: Annotated[Any, NOT_SERVED] = None
    response_logprobs: Annotated[Any, NOT_IN_LIVE] = None
    logprobs: Annotated[Any, NOT_IN_LIVE] = None
    response_mime_type: Annotated[Any, NOT_IN_LIVE] = None
    response_schema: Annotated[Any, NOT_IN_LIVE] = None
    stop_sequences: Annotated[Any, NOT_IN_LIVE] = None
    routing_config: Annotated[Any, NOT_IN_LIVE] = None
    audio_timestamp: Annotated[Any, NOT_IN_LIVE] = None


# --- the other sections -----------------------------------------------------------------------


class AutomaticActivityDetection(Wire):
    """Wire model of automatic voice activity detection."""

    disabled: Flag = False
    start_of_speech_sensitivity: Annotated[str, BeforeValidator(START_SENSITIVITY.read)] = ""
    end_of_speech_sensitivity: Annotated[str, BeforeValidator(END_SENSITIVITY.read)] = ""
    prefix_padding_ms: Int32 | None = None
    silence_duration_ms: Int32 | None = None


class RealtimeInputConfig(Wire):
    """Wire model of `realtimeInputConfig`: activity detection, handling, coverage."""

    automatic_activity_detection: AutomaticActivityDetection | None = None
    activity_handling: Annotated[str, BeforeValidator(ACTIVITY_HANDLING.read)] = ""
    turn_coverage: Annotated[str, BeforeValidator(TURN_COVERAGE.read)] = ""
    interim_transcript_timestamp_enabled: Annotated[Flag, NOT_SERVED] = False


class SessionResumption(Wire):
    """Wire model of `sessionResumption`: presence requests handles, a handle resumes."""

    handle: str = ""
    transparent: Flag = False


class SlidingWindow(Wire):
    """Wire model of compression that drops the oldest content."""

    target_tokens: Int64 | None = None


class ContextWindowCompression(Wire):
    """Wire model of `contextWindowCompression`."""

    trigger_tokens: Int64 | None = None
    sliding_window: SlidingWindow | None = None


class LanguageHints(Wire):
    """Wire model of language codes in their older place."""

    language_codes: Repeated[str] = Field(default_factory=list)


class Transcription(Wire):
    """Wire model of `inputAudioTranscription`: presence requests it, the rest are hints."""

    language_codes: Repeated[str] = Field(default_factory=list)
    custom_vocabulary: Repeated[str] = Field(default_factory=list)
    adaptation_phrases: Repeated[str] = Field(default_factory=list)
    language_auto: Annotated[Ignored | None, NOT_SERVED] = None
    language_hints: LanguageHints | None = None
    word_timestamp: Annotated[Flag, NOT_SERVED] = False
    diarization: Annotated[Flag, NOT_SERVED] = False
    mode: Annotated[
        str,
        BeforeValidator(TRANSCRIPTION_MODE.read),
        NotServed(harmless=frozenset({"VERBATIM"})),
    ] = ""
    source_text: Annotated[str, NOT_SERVED] = ""

    LANGUAGE: ClassVar[tuple[str, ...]] = ("languageCode", "language_code")

    @classmethod
    def reads(cls, key: str) -> bool:
        return key in cls.LANGUAGE or super().reads(key)

    @classmethod
    def adjust(cls, fields: dict[str, Any], report: OnMismatch) -> dict[str, Any]:
        """Convert a single language to a list."""
        for key in cls.LANGUAGE:
            if key in fields:
                report("languageCode of a transcription is read as languageCodes")
                fields.setdefault("language_codes", [fields.pop(key)])
        return fields


class OutputTranscription(Transcription):
    """Wire model of `outputAudioTranscription`, in which hints have no effect."""

    language_codes: Annotated[Repeated[str], NOT_SERVED] = Field(default_factory=list)
    custom_vocabulary: Annotated[Repeated[str], NOT_SERVED] = Field(default_factory=list)
    adaptation_phrases: Annotated[Repeated[str], NOT_SERVED] = Field(default_factory=list)
    language_hints: Annotated[LanguageHints | None, NOT_SERVED] = None


class Proactivity(Wire):
    """Wire model of `proactivity`: the model may stay silent, or speak unasked."""

    proactive_audio: Annotated[Flag, NOT_SERVED] = False
    proactive_video: Annotated[Flag, NOT_SERVED] = False


class HistoryConfig(Wire):
    """Wire model of `historyConfig`: initial history in the first content."""

    initial_history_in_client_content: Flag = False


class AvatarConfig(Wire):
    """Wire model of `avatarConfig`; accepted and ignored."""

    avatar_name: str = ""
    customized_avatar: Ignored | None = None
    audio_bitrate_bps: Int32 | None = None
    video_bitrate_bps: Int32 | None = None


class SafetySetting(Wire):
    """Wire model of a safety setting; accepted and ignored."""

    category: Any = None
    threshold: Any = None
    method: Any = None


class Setup(Wire):
    """Wire model of `setup`, the first message."""

    model: str = ""
    generation_config: GenerationConfig | None = None
    system_instruction: Content | None = None
    tools: Repeated[Tool] = Field(default_factory=list)
    tool_config: ToolConfig | None = None
    realtime_input_config: RealtimeInputConfig | None = None
    session_resumption: SessionResumption | None = None
    context_window_compression: ContextWindowCompression | None = None
    input_audio_transcription: Transcription | None = None
    output_audio_transcription: OutputTranscription | None = None
    proactivity: Proactivity | None = None
    explicit_vad_signal: Flag = False
    history_config: HistoryConfig | None = None
    avatar_config: Annotated[AvatarConfig | None, NOT_SERVED] = None
    safety_settings: Annotated[Repeated[SafetySetting], NOT_SERVED] = Field(default_factory=list)
    labels: Annotated[dict[str, str], NotServed(needs_content=True)] = Field(default_factory=dict)

    LENIENT_ONLY: ClassVar[frozenset[str]] = frozenset({"tool_config"})

    @classmethod
    def adjust(cls, fields: dict[str, Any], report: OnMismatch) -> dict[str, Any]:
        """Move settings that are in another object to where they belong, if unset there."""
        return relocate_fields(cls, fields, report)


# --- conversion ----------------------------------------------------------------------------------

IMAGE_TOKENS = {"": 258, "LOW": 64, "MEDIUM": 256, "HIGH": 256, "ULTRA_HIGH": 256}
"""Tokens of an image at a `mediaResolution`, and without one."""

W = TypeVar("W")
T = TypeVar("T")

EXCLUDED = frozenset(
    name for name, mark in not_served(GenerationConfig).items() if not mark.in_live
)
"""Generation settings that the documentation excludes from Live sessions."""


def session_setup(wire: Setup, reading: Reading) -> SessionSetup:
    """Convert the wire model to a validated `SessionSetup`. Raises `ClientFault`."""
    if not wire.model:
        raise close.invalid("Invalid value at 'setup.model' (TYPE_STRING): a model is required.")
    generation = wire.generation_config or GenerationConfig()
    _require_conversation(wire.model, generation)
    if reading.strict:
        _require_documented(wire, generation, reading.enterprise)
    speech = generation.speech_config or SpeechConfig()
    resumption = wire.session_resumption
    return SessionSetup(
        model=wire.model,
        modality=_modality(generation.response_modalities),
        instruction=join_paragraphs(wire.system_instruction) if wire.system_instruction else "",
        tools=_tools(wire, reading),
        voice=_voice(speech.voice_config, reading),
        language=speech.language_code,
        sampling=_sampling(generation),
        thinking=_maybe(_thinking, generation.thinking_config),
        realtime=_realtime(wire.realtime_input_config or RealtimeInputConfig()),
        input_transcription=_maybe(_transcription, wire.input_audio_transcription),
        output_transcription=_maybe(_transcription, wire.output_audio_transcription),
        resumption=Resumption(resumption.handle, resumption.transparent) if resumption else None,
        compression=_maybe(_compression, wire.context_window_compression),
        seeds_history=bool(
            wire.history_config and wire.history_config.initial_history_in_client_content
        ),
        signals_activity=wire.explicit_vad_signal,
        image_tokens=IMAGE_TOKENS[generation.media_resolution],
        shows_server_calls=bool(
            wire.tool_config and wire.tool_config.include_server_side_tool_invocations
        ),
    )


def _maybe(convert: Callable[[W], T], wire: W | None) -> T | None:
    return None if wire is None else convert(wire)


def _require_conversation(model: str, generation: GenerationConfig) -> None:
    """Raise `ClientFault` for translation and transcription sessions, lenient or not."""
    if does := other_task(model):
        raise close.model_not_served(model_id(model), does)
    if generation.translation_config is not None:
        raise close.translation_not_served()


def _require_documented(wire: Setup, generation: GenerationConfig, enterprise: bool) -> None:
    if excluded := sorted(EXCLUDED & generation.model_fields_set):
        raise close.invalid(f"{excluded[0]} is not supported in a Live session.")
    if (generation.candidate_count or 1) != 1:
        raise close.invalid("candidate_count must be 1 in a Live session.")
    resumption = wire.session_resumption
    if resumption and "transparent" in resumption.model_fields_set and not enterprise:
        raise close.invalid(close.unknown_name("transparent", "setup.session_resumption"))


def _modality(wanted: list[str]) -> Modality:
    named = [modality for modality in wanted if modality]
    if not named:
        return Modality.AUDIO
    if len(set(named)) > 1 or named[0] not in Modality.__members__:
        raise close.unsupported_modalities(", ".join(named))
    return Modality(named[0])


def _tools(wire: Setup, reading: Reading) -> Tools:
    tools = domain_tools(wire.tools, "setup.tools", reading)
    calling = wire.tool_config and wire.tool_config.function_calling_config
    if calling and calling.mode == "NONE":
        return Tools(builtin=tools.builtin)
    return tools


def _voice(config: VoiceConfig | None, reading: Reading) -> str:
    if config is None:
        return ""
    prebuilt = config.prebuilt_voice_config
    wanted = (prebuilt.voice_name if prebuilt else "") or config.voice
    known = canonical_voice(wanted)
    if wanted and known is None and reading.strict:
        raise close.invalid('There is no voice "{}".', wanted[:40])
    if wanted and known is None:
        reading.on_mismatch("a voice that is not known is asked for: the default one speaks")
    return known or ""


_RANGES = (("temperature", 2.0), ("top_p", 1.0), ("top_k", None), ("max_output_tokens", None))


def _sampling(generation: GenerationConfig) -> Sampling:
    for name, most in _RANGES:
        value = getattr(generation, name)
        if value is not None and (value < 0 or (most is not None and value > most)):
            between = f"between 0 and {most:g}" if most else "0 or more"
            raise close.invalid(f"Invalid value at 'setup.generation_config.{name}': {between}.")
    return Sampling(
        temperature=generation.temperature,
        # In proto, zero is the value of a field that is not set.
        top_p=generation.top_p or None,
        top_k=generation.top_k or None,
        max_output_tokens=generation.max_output_tokens or None,
        presence_penalty=generation.presence_penalty,
        frequency_penalty=generation.frequency_penalty,
        seed=generation.seed,
    )


def _thinking(wire: ThinkingConfig) -> Thinking:
    return Thinking(wire.include_thoughts, wire.thinking_budget, wire.thinking_level)


def _realtime(wire: RealtimeInputConfig) -> RealtimeInput:
    detection = wire.automatic_activity_detection or AutomaticActivityDetection()
    coverage = wire.turn_coverage
    return RealtimeInput(
        detection=ActivityDetection(
            disabled=detection.disabled,
            start_sensitivity=Sensitivity(detection.start_of_speech_sensitivity or "UNSPECIFIED"),
            end_sensitivity=Sensitivity(detection.end_of_speech_sensitivity or "UNSPECIFIED"),
            prefix_padding_ms=_not_negative(detection.prefix_padding_ms, "prefix_padding_ms"),
            silence_duration_ms=_not_negative(detection.silence_duration_ms, "silence_duration_ms"),
        ),
        interrupts=wire.activity_handling != "NO_INTERRUPTION",
        coverage=TurnCoverage(f"TURN_INCLUDES_{coverage}") if coverage else None,
    )


def _not_negative(value: int | None, name: str) -> int | None:
    if value is not None and value < 0:
        raise close.invalid(f"{name} must not be negative: {value}.")
    return value


def _transcription(wire: Transcription) -> domain.Transcription:
    hints = wire.language_hints.language_codes if wire.language_hints else []
    return domain.Transcription(
        language_codes=tuple(wire.language_codes or hints),
        custom_vocabulary=tuple(wire.custom_vocabulary or wire.adaptation_phrases),
    )


def _compression(wire: ContextWindowCompression) -> Compression:
    trigger = _not_negative(wire.trigger_tokens, "trigger_tokens")
    target = wire.sliding_window.target_tokens if wire.sliding_window else None
    return Compression(trigger or None, _not_negative(target, "target_tokens") or None)
