"""Dialogues on the wire: a script's wishes as a client spells them, and frames as messages."""

from __future__ import annotations

import base64
from typing import Any

from conformance.wire import Json, content, parts
from support.scripted_engines import BUILTIN
from vivavoce.core.messages import (
    GenerationComplete,
    GoAway,
    Grounding,
    InputTranscript,
    Interrupted,
    Message,
    ModelAudio,
    ModelCode,
    ModelCodeResult,
    ModelText,
    OutputTranscript,
    ResumptionUpdate,
    ServerCall,
    ServerResponse,
    SetupComplete,
    Support,
    ToolCallCancellation,
    ToolCallRequest,
    TurnComplete,
    TurnReason,
    UrlContext,
    VoiceActivity,
)
from vivavoce.domain.content import (
    Behavior,
    Page,
    RetrievalStatus,
    Source,
    ToolCall,
    ToolKind,
    Tools,
)
from vivavoce.domain.ids import CallId, SessionId
from vivavoce.domain.setup import SessionSetup

MCP_SERVER: Json = {"name": "desk", "streamableHttpTransport": {"url": "http://localhost/mcp"}}
"""What a client that has one would name; a scripted server connects to none."""


def realtime(**said: Any) -> Json:
    return {"realtimeInput": said}


def setup_of(setup: SessionSetup) -> Json:
    """A setup as a client would spell it."""
    detection: Json = {}
    if setup.realtime.detection.disabled:
        detection["disabled"] = True
    if (silence := setup.realtime.detection.silence_duration_ms) is not None:
        detection["silenceDurationMs"] = silence
    if (padding := setup.realtime.detection.prefix_padding_ms) is not None:
        detection["prefixPaddingMs"] = padding
    spelt: Json = {
        "model": setup.model,
        "generationConfig": {"responseModalities": [setup.modality.value]},
        "realtimeInputConfig": {"automaticActivityDetection": detection},
    }
    if not setup.realtime.interrupts:
        spelt["realtimeInputConfig"]["activityHandling"] = "NO_INTERRUPTION"
    if setup.input_transcription is not None:
        spelt |= {"inputAudioTranscription": {}, "outputAudioTranscription": {}}
    if setup.seeds_history:
        spelt["historyConfig"] = {"initialHistoryInClientContent": True}
    if setup.signals_activity:
        spelt["explicitVadSignal"] = True
    if setup.shows_server_calls:
        spelt["toolConfig"] = {"includeServerSideToolInvocations": True}
    if tools := tools_of(setup.tools):
        spelt["tools"] = tools
    return spelt


def tools_of(tools: Tools) -> list[Json]:
    """Tools as a client would ask for them: the server's by their kinds."""
    functions = [
        {"name": f.name}
        | ({} if f.behavior is Behavior.UNSPECIFIED else {"behavior": f.behavior.value})
        for f in tools.functions
    ]
    spelt: list[Json] = [{"functionDeclarations": functions}] if functions else []
    for kind in dict.fromkeys(tool.kind for tool in tools.server):
        spelt.append({BUILTIN[kind]: [MCP_SERVER] if kind is ToolKind.MCP else {}})
    return spelt


def read(message: Json) -> list[Message]:
    """A message of the wire as the core's own, as far as dialogues ask."""
    inside = content(message)
    if "setupComplete" in message:
        return [SetupComplete(SessionId(message["setupComplete"].get("sessionId", "")))]
    if call := message.get("toolCall"):
        wanted = [ToolCall(CallId(c["id"]), c["name"], c["args"]) for c in call["functionCalls"]]
        return [ToolCallRequest(tuple(wanted))]
    if gone := message.get("toolCallCancellation"):
        return [ToolCallCancellation(tuple(CallId(name) for name in gone["ids"]))]
    if activity := message.get("voiceActivity"):
        return [VoiceActivity(activity["type"] == "ACTIVITY_START", 0.0)]
    if "goAway" in message:
        return [GoAway(0.0)]
    if update := message.get("sessionResumptionUpdate"):
        return [ResumptionUpdate(update.get("newHandle"))]
    if found := inside.get("groundingMetadata"):
        return [_grounding(found)]
    if read := inside.get("urlContextMetadata"):
        return [UrlContext(tuple(map(_page, read["urlMetadata"])))]
    if heard := inside.get("inputTranscription"):
        return [InputTranscript(heard["text"])]
    if said := inside.get("outputTranscription"):
        return [OutputTranscript(said["text"])]
    if inside.get("generationComplete"):
        return [GenerationComplete()]
    if inside.get("interrupted"):
        return [Interrupted()]
    if inside.get("turnComplete"):
        reason = inside.get("turnCompleteReason")
        return [TurnComplete(reason=TurnReason(reason) if reason else None)]
    return [_part(part) for part in parts(message)]


def _part(part: Json) -> Message:
    if blob := part.get("inlineData"):
        return ModelAudio(base64.b64decode(blob["data"]))
    if code := part.get("executableCode"):
        return ModelCode(CallId(code["id"]), code["code"], code["language"])
    if ran := part.get("codeExecutionResult"):
        return ModelCodeResult(CallId(ran["id"]), ran["outcome"], ran.get("output", ""))
    if call := part.get("toolCall"):
        return ServerCall(ToolCall(CallId(call["id"]), "", call.get("args", {})), ToolKind.MCP)
    if answer := part.get("toolResponse"):
        call = ToolCall(CallId(answer["id"]), "", {})
        return ServerResponse(call, ToolKind.MCP, answer["response"])
    return ModelText(part["text"], bool(part.get("thought")))


def _grounding(found: Json) -> Grounding:
    supports = tuple(
        Support(
            each["segment"].get("startIndex", 0),
            each["segment"]["endIndex"],
            each["segment"]["text"],
            tuple(each["groundingChunkIndices"]),
            tuple(each["confidenceScores"]),
        )
        for each in found.get("groundingSupports", [])
    )
    webs = [chunk["web"] for chunk in found.get("groundingChunks", [])]
    sources = tuple(Source(web["uri"], web.get("title", ""), "") for web in webs)
    return Grounding(tuple(found["webSearchQueries"]), sources, supports)


def _page(read: Json) -> Page:
    status = read["urlRetrievalStatus"].removeprefix("URL_RETRIEVAL_STATUS_")
    return Page(read["retrievedUrl"], RetrievalStatus(status))
