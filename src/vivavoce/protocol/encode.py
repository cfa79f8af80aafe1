"""Encode core messages as frames of JSON.

The rules that real clients depend on: camelCase; nothing that is false, zero or empty; one kind
of payload and one part a frame; int64 and durations as strings; standard base64 with padding;
frames far below 1 MiB. What the server's own tools brought back comes from outside: it is
bounded, and the markup that is shown to people holds nothing of it unescaped.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any, assert_never
from urllib.parse import urlsplit

import orjson
import pybase64

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
    TokenCount,
    ToolCallCancellation,
    ToolCallRequest,
    TurnComplete,
    UrlContext,
    VoiceActivity,
)
from vivavoce.domain.content import Json, Page, Source, ToolKind
from vivavoce.domain.text import replace_surrogates

MAX_FRAME_BYTES = 1 << 20
"""Python's WebSocket library closes the connection above this."""

Fields = dict[str, Any]


def encode_message(message: Message, *, enterprise: bool) -> bytes:
    """Encode a message as a frame of JSON; empty if the dialect has no such message.

    Raises `ValueError` for a frame that clients could not read because of its size.
    """
    if isinstance(message, ModelAudio):  # nine of ten, and the largest
        frame = _AUDIO_HEAD + pybase64.b64encode(message.pcm) + _AUDIO_TAIL
    else:
        fields = _spell(message, enterprise)
        frame = dump_json(fields) if fields else b""
    if len(frame) >= MAX_FRAME_BYTES:
        raise ValueError(f"{type(message).__name__} makes a frame of {len(frame)} bytes")
    return frame


def _spell(message: Message, enterprise: bool) -> Fields:
    match message:
        case SetupComplete(session):
            return {"setupComplete": _present(sessionId=session)}
        case ModelAudio():
            data = pybase64.b64encode(message.pcm).decode()
            return _part({"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": data}})
        case ModelText(text, thought):
            return _part({"text": text} | _present(thought=thought))
        case ModelCode() | ModelCodeResult() | ServerCall() | ServerResponse():
            return _part(_tool_part(message))
        case Grounding():
            return _content(groundingMetadata=spell_grounding(message))
        case UrlContext(pages):
            return _content(urlContextMetadata=spell_url_metadata(pages))
        case InputTranscript(text, finished):
            return _content(inputTranscription=_transcription(text, finished and enterprise))
        case OutputTranscript(text, finished):
            return _content(outputTranscription=_transcription(text, finished and enterprise))
        case GenerationComplete():
            return _content(generationComplete=True)
        case Interrupted():
            return _content(interrupted=True)
        case TurnComplete(usage, reason):
            content = _content(turnComplete=True, turnCompleteReason=reason and reason.value)
            return content | _present(usageMetadata=usage and _usage(usage, enterprise))
        case ToolCallRequest(calls):
            spelled = [{"id": c.id, "name": c.name, "args": c.args} for c in calls]
            return {"toolCall": {"functionCalls": spelled}}
        case ToolCallCancellation(ids):
            return {"toolCallCancellation": {"ids": ids}}
        case VoiceActivity(started, offset_s):
            return {"voiceActivity": _voice_activity(started, offset_s)}
        case ResumptionUpdate(handle, consumed):
            update = _present(newHandle=handle, resumable=bool(handle))
            if consumed is not None:
                update["lastConsumedClientMessageIndex"] = str(consumed)
            return {"sessionResumptionUpdate": update}
        case GoAway(time_left_s):
            return {"goAway": {"timeLeft": spell_duration(time_left_s)}}
        case _:
            assert_never(message)


def _part(part: Fields) -> Fields:
    return _content(modelTurn={"role": "model", "parts": [part]})


def _tool_part(message: ModelCode | ModelCodeResult | ServerCall | ServerResponse) -> Fields:
    match message:
        case ModelCode(id, code, language):
            return {"executableCode": {"language": language, "code": shorten_text(code), "id": id}}
        case ModelCodeResult(id, outcome, output):
            result = {"outcome": outcome, "id": id} | _present(output=shorten_text(output))
            return {"codeExecutionResult": result}
        case ServerCall():
            return {"toolCall": spell_server_call(message)}
        case ServerResponse():
            return {"toolResponse": spell_server_response(message)}
        case _:
            assert_never(message)


def _present(**fields: Any) -> Fields:
    """Keep the fields that are neither false nor zero nor empty."""
    return {name: value for name, value in fields.items() if value}


def _content(**fields: Any) -> Fields:
    content = _present(**fields)
    return {"serverContent": content} if content else {}


def _transcription(text: str, finished: bool) -> Fields:
    return _present(text=text, finished=finished)


def _voice_activity(started: bool, offset_s: float) -> Fields:
    kind = "ACTIVITY_START" if started else "ACTIVITY_END"
    # the wire's name is `type`; JavaScript's class promises the other one and converts nothing
    return {"type": kind, "voiceActivityType": kind, "audioOffset": spell_duration(offset_s)}


def spell_duration(seconds: float) -> str:
    """Format a duration: whole seconds without decimals, else three (`"12.500s"`)."""
    milliseconds = max(0, round(seconds * 1000))
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole}.{rest:03}s" if rest else f"{whole}s"


def _usage(count: TokenCount, enterprise: bool) -> Fields:
    response = count.response_text + count.response_audio
    answered = _details(TEXT=count.response_text, AUDIO=count.response_audio)
    asked = _details(
        TEXT=count.prompt - count.prompt_audio - count.prompt_images,
        IMAGE=count.prompt_images,
        AUDIO=count.prompt_audio,
    )
    usage = _present(
        promptTokenCount=count.prompt,
        cachedContentTokenCount=count.cached,
        responseTokenCount=response,
        toolUsePromptTokenCount=count.tools,
        thoughtsTokenCount=count.thoughts,
        totalTokenCount=count.prompt + response + count.tools + count.thoughts,
        promptTokensDetails=asked,
        responseTokensDetails=answered,
    )
    if enterprise:
        usage |= _present(candidatesTokenCount=response, candidatesTokensDetails=answered)
    return usage


def _details(**counts: int) -> list[Fields]:
    return [{"modality": name, "tokenCount": n} for name, n in counts.items() if n > 0]


def dump_json(value: Any) -> bytes:
    """Dump JSON that may hold the client's own objects.

    Unpaired surrogates are replaced, and integers beyond 64 bits become floats, or null where
    they are beyond those too.
    """
    try:
        return orjson.dumps(value, default=_plain)
    except TypeError:
        return orjson.dumps(_replace_unencodable(value), default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _replace_unencodable(value: Any) -> Any:
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, Mapping):
        return {
            replace_surrogates(str(key)): _replace_unencodable(item) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_replace_unencodable(item) for item in value]
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return _float(value)
    return value


def _float(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


_AUDIO_HEAD, _, _AUDIO_TAIL = dump_json(_spell(ModelAudio(b"\0"), False)).partition(b"AA==")


# --- what server-side tools returned -------------------------------------------------------------

MAX_CHARS = 100_000
"""Characters of code, of output or of a response in one message, at most."""

_TITLE, _URI, _QUERY = 300, 2000, 500
_MARK = "[cut here]"

_TOOL_TYPE = {ToolKind.SEARCH: "GOOGLE_SEARCH_WEB", ToolKind.URL: "URL_CONTEXT"}
"""The API has no name for the others; they are sent without one."""


def spell_grounding(message: Grounding) -> Fields:
    """Build `groundingMetadata`; offsets count bytes of the turn's text."""
    fields: Fields = {
        "webSearchQueries": [query[:_QUERY] for query in message.queries],
        "searchEntryPoint": {"renderedContent": spell_entry_point(message.queries)},
    }
    if message.sources:
        fields["groundingChunks"] = [{"web": _web(source)} for source in message.sources]
    if message.supports:
        fields["groundingSupports"] = [
            {
                "segment": _segment(support.start, support.end, support.text),
                "groundingChunkIndices": support.sources,
                "confidenceScores": support.confidence,
            }
            for support in message.supports
        ]
    return fields


def spell_entry_point(queries: Sequence[str]) -> str:
    """Build `searchEntryPoint`: HTML of the queries, without external references."""
    chips = "".join(
        '<span style="display:inline-block;margin:2px;padding:4px 12px;border:1px solid #888;'
        f'border-radius:16px">{html.escape(query[:_QUERY])}</span>'
        for query in queries
    )
    return f'<div class="search-entry-point" style="font:14px sans-serif">{chips}</div>'


def spell_url_metadata(pages: Sequence[Page]) -> Fields:
    """Build `urlContextMetadata`."""
    return {
        "urlMetadata": [
            {
                "retrievedUrl": page.url[:_URI],
                "urlRetrievalStatus": f"URL_RETRIEVAL_STATUS_{page.status.value}",
            }
            for page in pages
        ]
    }


def spell_server_call(message: ServerCall) -> Fields:
    """Build a `toolCall` part: a record of a tool that the server runs."""
    call = message.call
    return {
        "id": call.id,
        **_type(message.kind),
        "args": _named(message.kind, call.name, call.args),
    }


def spell_server_response(message: ServerResponse) -> Fields:
    """Build a `toolResponse` part."""
    call, response = message.call, _bounded(message.response)
    return {"id": call.id, **_type(message.kind), "response": response}


def shorten_text(text: str) -> str:
    """Truncate text to `MAX_CHARS`."""
    return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]} {_MARK}"


def _web(source: Source) -> Fields:
    fields = {
        "uri": source.uri[:_URI],
        "title": source.title[:_TITLE],
        "domain": _host(source.uri),
    }
    return {name: value for name, value in fields.items() if value}


def _host(uri: str) -> str:
    """Return the host of a URL; empty if it is not valid."""
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:
        return ""


def _segment(start: int, end: int, text: str) -> Fields:
    """Build a segment, without zeros, as everywhere on this wire."""
    return ({"startIndex": start} if start else {}) | {"endIndex": end, "text": text}


def _type(kind: ToolKind) -> Fields:
    return {"toolType": _TOOL_TYPE[kind]} if kind in _TOOL_TYPE else {}


def _named(kind: ToolKind, name: str, args: Json) -> Json:
    """Add the tool's name to the arguments if the API has no type for it."""
    return args if kind in _TOOL_TYPE else {"name": name, "arguments": args}


def _bounded(response: Json) -> Json:
    text = json.dumps(response, ensure_ascii=False, default=str)
    return response if len(text) <= MAX_CHARS else {"output": shorten_text(text)}
