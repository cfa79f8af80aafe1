"""Wire models of `setup`, the first message of every session."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field
from pydantic.alias_generators import to_snake

from vivavoce.protocol.values import (
    ACTIVITY_HANDLING,
    BEHAVIOR,
    CALLING_MODE,
    END_SENSITIVITY,
    MEDIA_RESOLUTION,
    MODALITY,
    START_SENSITIVITY,
    THINKING_LEVEL,
    TRANSCRIPTION_MODE,
    TURN_COVERAGE,
    Bytes,
    Duration,
    Flag,
    Int32,
    Int64,
    Number,
    Timestamp,
)
from vivavoce.protocol.wire_base import Repeated, Wire, spellings
from vivavoce.protocol.wire_content import Content, Ignored

# --- generationConfig ------------------------------------------------------------------------


class PrebuiltVoiceConfig(Wire):
    voice_name: str = ""


class ReplicatedVoiceConfig(Wire):
    mime_type: str = ""
    voice_sample_audio: Bytes = b""
    consent_audio: Bytes = b""
    voice_consent_signature: Ignored | None = None


class VoiceConfig(Wire):
    """One of three ways to name a voice; when lenient also a plain string."""

    prebuilt_voice_config: PrebuiltVoiceConfig | None = None
    replicated_voice_config: ReplicatedVoiceConfig | None = None
    voice: str = ""

    @classmethod
    def lift(cls, value: Any) -> Any:
        return {"voice": value} if isinstance(value, str) else value


class SpeechConfig(Wire):
    voice_config: VoiceConfig | None = None
    language_code: str = ""
    multi_speaker_voice_config: Ignored | None = None


class ThinkingConfig(Wire):
    include_thoughts: Flag = False
    thinking_budget: Int32 | None = None
    thinking_level: Annotated[str, BeforeValidator(THINKING_LEVEL.read)] = ""


class TranslationConfig(Wire):
    target_language_code: str = ""
    echo_target_language: Flag = False


class GenerationConfig(Wire):
    """How the model answers. Fields typed `Any` exist in SDKs and mean nothing in Live."""

    response_modalities: Repeated[Annotated[str, BeforeValidator(MODALITY.read)]] = Field(
        default_factory=list
    )
    temperature: Number | None = None
    top_p: Number | None = None
    top_k: Int32 | None = None
    max_output_tokens: Int32 | None = None
    candidate_count: Int32 | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    seed: Int32 | None = None
    media_resolution: Annotated[str, BeforeValidator(MEDIA_RESOLUTION.read)] = ""
    speech_config: SpeechConfig | None = None
    thinking_config: ThinkingConfig | None = None
    enable_affective_dialog: Flag = False
    translation_config: TranslationConfig | None = None
    audio_transcription_config: Any = None
    response_format: Any = None
    response_json_schema: Any = None
    enable_enhanced_civic_answers: Any = None
    # pydantic keeps this name for itself
    configured_model: Any = Field(default=None, alias="model_config")
    response_logprobs: Any = None
    logprobs: Any = None
    response_mime_type: Any = None
    response_schema: Any = None
    stop_sequences: Any = None
    routing_config: Any = None
    audio_timestamp: Any = None


# --- tools -----------------------------------------------------------------------------------


class FunctionDeclaration(Wire):
    """A function. Its schemas stay plain JSON: their keys are partly the user's own words."""

    name: str = ""
    description: str = ""
    parameters: dict[str, Any] | None = None
    parameters_json_schema: Any = None
    response: dict[str, Any] | None = None
    response_json_schema: Any = None
    behavior: Annotated[str, BeforeValidator(BEHAVIOR.read)] = ""


class Interval(Wire):
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None


class GoogleSearch(Wire):
    search_types: Ignored | None = None
    time_range_filter: Interval | None = None
    exclude_domains: Repeated[str] = Field(default_factory=list)
    blocking_confidence: Any = None


class FileSearch(Wire):
    file_search_store_names: Repeated[str] = Field(default_factory=list)
    top_k: Int32 | None = None
    metadata_filter: str = ""


class ComputerUse(Wire):
    environment: Any = None
    excluded_predefined_functions: Repeated[str] = Field(default_factory=list)
    enable_prompt_injection_detection: Any = None
    disabled_safety_policies: Any = None


class StreamableHttpTransport(Wire):
    url: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    timeout: Duration | None = None
    sse_read_timeout: Duration | None = None
    terminate_on_close: Flag = False


class McpServer(Wire):
    name: str = ""
    streamable_http_transport: StreamableHttpTransport | None = None


class Tool(Wire):
    """Normally one key, but several are taken."""

    function_declarations: Repeated[FunctionDeclaration] = Field(default_factory=list)
    google_search: GoogleSearch | None = None
    google_search_retrieval: Ignored | None = None
    code_execution: Ignored | None = None
    url_context: Ignored | None = None
    google_maps: Ignored | None = None
    file_search: FileSearch | None = None
    computer_use: ComputerUse | None = None
    mcp_servers: Repeated[McpServer] = Field(default_factory=list)
    retrieval: Ignored | None = None
    enterprise_web_search: Ignored | None = None
    parallel_ai_search: Ignored | None = None
    exa_ai_search: Ignored | None = None


class FunctionCallingConfig(Wire):
    mode: Annotated[str, BeforeValidator(CALLING_MODE.read)] = ""
    allowed_function_names: Repeated[str] = Field(default_factory=list)


class ToolConfig(Wire):
    function_calling_config: FunctionCallingConfig | None = None
    retrieval_config: Any = None


# --- the other sections -----------------------------------------------------------------------


class AutomaticActivityDetection(Wire):
    disabled: Flag = False
    start_of_speech_sensitivity: Annotated[str, BeforeValidator(START_SENSITIVITY.read)] = ""
    end_of_speech_sensitivity: Annotated[str, BeforeValidator(END_SENSITIVITY.read)] = ""
    prefix_padding_ms: Int32 | None = None
    silence_duration_ms: Int32 | None = None


class RealtimeInputConfig(Wire):
    automatic_activity_detection: AutomaticActivityDetection | None = None
    activity_handling: Annotated[str, BeforeValidator(ACTIVITY_HANDLING.read)] = ""
    turn_coverage: Annotated[str, BeforeValidator(TURN_COVERAGE.read)] = ""
    interim_transcript_timestamp_enabled: Flag = False


class SessionResumption(Wire):
    handle: str = ""
    transparent: Flag = False


class SlidingWindow(Wire):
    target_tokens: Int64 | None = None


class ContextWindowCompression(Wire):
    trigger_tokens: Int64 | None = None
    sliding_window: SlidingWindow | None = None


class LanguageHints(Wire):
    language_codes: Repeated[str] = Field(default_factory=list)


class Transcription(Wire):
    language_codes: Repeated[str] = Field(default_factory=list)
    custom_vocabulary: Repeated[str] = Field(default_factory=list)
    adaptation_phrases: Repeated[str] = Field(default_factory=list)
    language_auto: Ignored | None = None
    language_hints: LanguageHints | None = None
    word_timestamp: Flag = False
    diarization: Flag = False
    mode: Annotated[str, BeforeValidator(TRANSCRIPTION_MODE.read)] = ""
    source_text: str = ""


class Proactivity(Wire):
    proactive_audio: Flag = False
    proactive_video: Flag = False


class HistoryConfig(Wire):
    initial_history_in_client_content: Flag = False


class AvatarConfig(Wire):
    avatar_name: str = ""
    customized_avatar: Ignored | None = None
    audio_bitrate_bps: Int32 | None = None
    video_bitrate_bps: Int32 | None = None


class SafetySetting(Wire):
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
    output_audio_transcription: Transcription | None = None
    proactivity: Proactivity | None = None
    explicit_vad_signal: Flag = False
    history_config: HistoryConfig | None = None
    avatar_config: AvatarConfig | None = None
    safety_settings: Repeated[SafetySetting] = Field(default_factory=list)
    labels: dict[str, str] = Field(default_factory=dict)

    LENIENT_ONLY: ClassVar[frozenset[str]] = frozenset({"tool_config"})

    @classmethod
    def adjust(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Moves generation settings from `setup` itself to where they belong, if unset there."""
        known = spellings(GenerationConfig)
        misplaced = [key for key in fields if known.get(to_snake(key)) and not _own(cls, key)]
        config = fields.get("generation_config", {})
        if not misplaced or not isinstance(config, dict):
            return fields
        config = GenerationConfig.respell(config, strict=False)
        for key in misplaced:
            config.setdefault(known[to_snake(key)], fields.pop(key))
        return fields | {"generation_config": config}


def _own(model: type[Wire], key: str) -> bool:
    return key in spellings(model)
