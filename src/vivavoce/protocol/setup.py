"""Wire setup as a validated `SessionSetup`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

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
    Transcription,
    TurnCoverage,
)
from vivavoce.domain.voices import canonical_voice
from vivavoce.protocol import close, wire_setup
from vivavoce.protocol.content import paragraphs
from vivavoce.protocol.tools import tools_of
from vivavoce.protocol.wire import OnUnknown
from vivavoce.protocol.wire_base import OnMismatch, not_served

IMAGE_TOKENS = {"": 258, "LOW": 64, "MEDIUM": 256, "HIGH": 256, "ULTRA_HIGH": 256}
"""What an image costs at a `mediaResolution`, and without one."""

W = TypeVar("W")
T = TypeVar("T")

EXCLUDED = frozenset(
    name for name, mark in not_served(wire_setup.GenerationConfig).items() if not mark.in_live
)
"""Generation settings that the documentation excludes from Live sessions."""


def session_setup(
    wire: wire_setup.Setup,
    *,
    strict: bool,
    enterprise: bool,
    report: OnUnknown,
    on_mismatch: OnMismatch = lambda sentence, quoted="": None,
) -> SessionSetup:
    """What a client asked for. Raises `ClientFault` for what cannot be."""
    if not wire.model:
        raise close.invalid("Invalid value at 'setup.model' (TYPE_STRING): a model is required.")
    generation = wire.generation_config or wire_setup.GenerationConfig()
    _require_conversation(wire.model, generation)
    if strict:
        _require_documented(wire, generation, enterprise)
    speech = generation.speech_config or wire_setup.SpeechConfig()
    resumption = wire.session_resumption
    return SessionSetup(
        model=wire.model,
        modality=_modality(generation.response_modalities),
        instruction=paragraphs(wire.system_instruction) if wire.system_instruction else "",
        tools=_tools(wire, report, None if strict else on_mismatch),
        voice=_voice(speech.voice_config, strict, on_mismatch),
        language=speech.language_code,
        sampling=_sampling(generation),
        thinking=_maybe(_thinking, generation.thinking_config),
        realtime=_realtime(wire.realtime_input_config or wire_setup.RealtimeInputConfig()),
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


def _require_conversation(model: str, generation: wire_setup.GenerationConfig) -> None:
    """Refuse other kinds of sessions, lenient or not: to converse instead is no useful reading."""
    if does := other_task(model):
        raise close.model_not_served(model_id(model), does)
    if generation.translation_config is not None:
        raise close.translation_not_served()


def _require_documented(
    wire: wire_setup.Setup, generation: wire_setup.GenerationConfig, enterprise: bool
) -> None:
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


def _tools(wire: wire_setup.Setup, report: OnUnknown, on_mismatch: OnMismatch | None) -> Tools:
    tools = tools_of(wire.tools, "setup.tools", report, on_mismatch)
    calling = wire.tool_config and wire.tool_config.function_calling_config
    if calling and calling.mode == "NONE":
        return Tools(builtin=tools.builtin)
    return tools


def _voice(config: wire_setup.VoiceConfig | None, strict: bool, on_mismatch: OnMismatch) -> str:
    if config is None:
        return ""
    prebuilt = config.prebuilt_voice_config
    wanted = (prebuilt.voice_name if prebuilt else "") or config.voice
    known = canonical_voice(wanted)
    if wanted and known is None and strict:
        raise close.invalid('There is no voice "{}".', wanted[:40])
    if wanted and known is None:
        on_mismatch("a voice that is not known is asked for: the default one speaks")
    return known or ""


_RANGES = (("temperature", 2.0), ("top_p", 1.0), ("top_k", None), ("max_output_tokens", None))


def _sampling(generation: wire_setup.GenerationConfig) -> Sampling:
    for name, most in _RANGES:
        value = getattr(generation, name)
        if value is not None and (value < 0 or (most is not None and value > most)):
            between = f"between 0 and {most:g}" if most else "0 or more"
            raise close.invalid(f"Invalid value at 'setup.generation_config.{name}': {between}.")
    return Sampling(
        temperature=generation.temperature,
        # zero is proto's way of saying that a field is not set
        top_p=generation.top_p or None,
        top_k=generation.top_k or None,
        max_output_tokens=generation.max_output_tokens or None,
        presence_penalty=generation.presence_penalty,
        frequency_penalty=generation.frequency_penalty,
        seed=generation.seed,
    )


def _thinking(wire: wire_setup.ThinkingConfig) -> Thinking:
    return Thinking(wire.include_thoughts, wire.thinking_budget, wire.thinking_level)


def _realtime(wire: wire_setup.RealtimeInputConfig) -> RealtimeInput:
    detection = wire.automatic_activity_detection or wire_setup.AutomaticActivityDetection()
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


def _transcription(wire: wire_setup.Transcription) -> Transcription:
    hints = wire.language_hints.language_codes if wire.language_hints else []
    return Transcription(
        language_codes=tuple(wire.language_codes or hints),
        custom_vocabulary=tuple(wire.custom_vocabulary or wire.adaptation_phrases),
    )


def _compression(wire: wire_setup.ContextWindowCompression) -> Compression:
    trigger = _not_negative(wire.trigger_tokens, "trigger_tokens")
    target = wire.sliding_window.target_tokens if wire.sliding_window else None
    return Compression(trigger or None, _not_negative(target, "target_tokens") or None)
