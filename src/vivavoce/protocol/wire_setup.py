"""Wire models of `setup`, the first message of every session."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from vivavoce.protocol.misplaced_fields import relocate_fields
from vivavoce.protocol.values import (
    ACTIVITY_HANDLING,
    END_SENSITIVITY,
    MEDIA_RESOLUTION,
    MODALITY,
    START_SENSITIVITY,
    THINKING_LEVEL,
    TRANSCRIPTION_MODE,
    TURN_COVERAGE,
    Bytes,
    Flag,
    Int32,
    Int64,
    Number,
)
from vivavoce.protocol.wire_base import (
    NOT_IN_LIVE,
    NOT_SERVED,
    NotServed,
    OnMismatch,
    Repeated,
    Wire,
)
from vivavoce.protocol.wire_content import Content, Ignored
from vivavoce.protocol.wire_tools import Tool, ToolConfig

# --- generationConfig ------------------------------------------------------------------------


class PrebuiltVoiceConfig(Wire):
    """A voice by its name."""

    voice_name: str = ""


class ReplicatedVoiceConfig(Wire):
    """A voice by a sample of it."""

    mime_type: str = ""
    GATHERS: ClassVar[bool] = False

    voice_sample_audio: Bytes = b""
    consent_audio: Bytes = b""
    voice_consent_signature: Ignored | None = None


class VoiceConfig(Wire):
    """One of three ways to name a voice; when lenient also a plain string."""

    prebuilt_voice_config: PrebuiltVoiceConfig | None = None
    replicated_voice_config: Annotated[ReplicatedVoiceConfig | None, NOT_SERVED] = None
    voice: str = ""

    @classmethod
    def lift(cls, value: Any) -> Any:
        return {"voice": value} if isinstance(value, str) else value


class SpeechConfig(Wire):
    """How the model speaks."""

    voice_config: VoiceConfig | None = None
    language_code: str = ""
    multi_speaker_voice_config: Annotated[Ignored | None, NOT_SERVED] = None


class ThinkingConfig(Wire):
    """Whether and how much the model reasons before it answers."""

    include_thoughts: Flag = False
    thinking_budget: Int32 | None = None
    thinking_level: Annotated[str, BeforeValidator(THINKING_LEVEL.read)] = ""


class TranslationConfig(Wire):
    """Into which language a translating model speaks."""

    target_language_code: str = ""
    echo_target_language: Flag = False


class GenerationConfig(Wire):
    """How the model answers."""

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
    # pydantic keeps this name for itself
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
    """How the server finds speech in the sound."""

    disabled: Flag = False
    start_of_speech_sensitivity: Annotated[str, BeforeValidator(START_SENSITIVITY.read)] = ""
    end_of_speech_sensitivity: Annotated[str, BeforeValidator(END_SENSITIVITY.read)] = ""
    prefix_padding_ms: Int32 | None = None
    silence_duration_ms: Int32 | None = None


class RealtimeInputConfig(Wire):
    """How realtime input is cut into turns."""

    automatic_activity_detection: AutomaticActivityDetection | None = None
    activity_handling: Annotated[str, BeforeValidator(ACTIVITY_HANDLING.read)] = ""
    turn_coverage: Annotated[str, BeforeValidator(TURN_COVERAGE.read)] = ""
    interim_transcript_timestamp_enabled: Annotated[Flag, NOT_SERVED] = False


class SessionResumption(Wire):
    """Presence asks for handles; a handle continues a session."""

    handle: str = ""
    transparent: Flag = False


class SlidingWindow(Wire):
    """Compression that drops the oldest content."""

    target_tokens: Int64 | None = None


class ContextWindowCompression(Wire):
    """When the context is made smaller, and how far."""

    trigger_tokens: Int64 | None = None
    sliding_window: SlidingWindow | None = None


class LanguageHints(Wire):
    """An older place for language codes."""

    language_codes: Repeated[str] = Field(default_factory=list)


class Transcription(Wire):
    """Presence asks for a transcript; the rest are hints for it."""

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
        """Makes a list of one language."""
        for key in cls.LANGUAGE:
            if key in fields:
                report("languageCode of a transcription is read as languageCodes")
                fields.setdefault("language_codes", [fields.pop(key)])
        return fields


class OutputTranscription(Transcription):
    """The same for what the model says, whose words are known: hints change nothing."""

    language_codes: Annotated[Repeated[str], NOT_SERVED] = Field(default_factory=list)
    custom_vocabulary: Annotated[Repeated[str], NOT_SERVED] = Field(default_factory=list)
    adaptation_phrases: Annotated[Repeated[str], NOT_SERVED] = Field(default_factory=list)
    language_hints: Annotated[LanguageHints | None, NOT_SERVED] = None


class Proactivity(Wire):
    """Whether the model may stay silent, or speak unasked."""

    proactive_audio: Annotated[Flag, NOT_SERVED] = False
    proactive_video: Annotated[Flag, NOT_SERVED] = False


class HistoryConfig(Wire):
    """Whether the first content is history."""

    initial_history_in_client_content: Flag = False


class AvatarConfig(Wire):
    """A face for the voice; accepted and not looked into."""

    avatar_name: str = ""
    customized_avatar: Ignored | None = None
    audio_bitrate_bps: Int32 | None = None
    video_bitrate_bps: Int32 | None = None


class SafetySetting(Wire):
    """A threshold for a kind of harm; accepted and not looked into."""

    category: Any = None
    threshold: Any = None
    method: Any = None


class Setup(Wire):
    """The whole first message."""

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
        """Moves settings that stand in another object to where they belong, if unset there."""
        return relocate_fields(cls, fields, report)
