"""Messages of the Live API: dataclasses that the client reads, and builders of those it sends.

The client reads only what the Live API documents and drops unknown keys, as the official SDKs do,
so that it talks to any server of the API, also to newer ones. The models in `protocol` can't be
used here: they decode client messages.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from vivavoce.domain.audio import INPUT_RATE
from vivavoce.domain.content import ToolCall, ToolDeclaration, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.errors import VivavoceError


class SessionClosed(VivavoceError):
    """The server closed the session. `code` is the WebSocket close code."""

    def __init__(self, code: int, reason: str) -> None:
        shown = shorten_reason(reason) or "no reason given"
        super().__init__(f"The server closed the session ({code}): {shown}")
        self.code: int = code
        self.reason = reason


MAX_REASON_BYTES = 123
"""Size of a reason in a close frame; a longer one is cut before a whole character."""


def shorten_reason(reason: str) -> str:
    """Replace the last word of a close reason that the frame has cut by an ellipsis."""
    least = MAX_REASON_BYTES if reason.isascii() else MAX_REASON_BYTES - 3
    if len(reason.encode()) < least or reason.endswith((".", "!", "?", "…")):
        return reason
    return (reason.rpartition(" ")[0] or reason).rstrip(" ,;:(") + " …"


# --- from the server ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetupCompleteMessage:
    """`setupComplete`: the session may be used."""

    session: str


@dataclass(frozen=True, slots=True)
class AudioMessage:
    """A chunk of the answer's audio: 16-bit mono PCM of `rate` samples a second."""

    pcm: bytes
    rate: int


@dataclass(frozen=True, slots=True)
class TextMessage:
    """A piece of the answer as text, or of a thought."""

    text: str
    thought: bool = False


@dataclass(frozen=True, slots=True)
class InputTranscriptionMessage:
    """A piece of the transcript of the user's speech; the pieces concatenate."""

    text: str


@dataclass(frozen=True, slots=True)
class OutputTranscriptionMessage:
    """A piece of the transcript of the answer; the pieces concatenate."""

    text: str


@dataclass(frozen=True, slots=True)
class ExecutableCodeMessage:
    """Code that the server runs for the answer, or that represents a search."""

    code: str


@dataclass(frozen=True, slots=True)
class GroundingMessage:
    """The sources of the answer: titles and addresses."""

    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class UrlContextMessage:
    """Addresses that were read for the answer, with the status of each."""

    pages: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class GenerationCompleteMessage:
    """The answer of this turn is generated completely."""


@dataclass(frozen=True, slots=True)
class InterruptedMessage:
    """The user interrupted the answer: drop what is queued for playing."""


@dataclass(frozen=True, slots=True)
class TurnCompleteMessage:
    """The turn is over. `reason` is the API's `turnCompleteReason`."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallMessage:
    """Functions that the client is to call."""

    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class ToolCallCancellationMessage:
    """Calls whose results are no longer needed."""

    ids: tuple[CallId, ...]


@dataclass(frozen=True, slots=True)
class ResumptionUpdateMessage:
    """A resumption handle, empty while the session can't be resumed."""

    handle: str


@dataclass(frozen=True, slots=True)
class ReconnectedMessage:
    """The session is resumed on another connection; `ended` says how the one before ended.

    Not a message of the API: `ReconnectingSession` inserts it.
    """

    ended: SessionClosed


ServerMessage = (
    SetupCompleteMessage
    | AudioMessage
    | TextMessage
    | InputTranscriptionMessage
    | OutputTranscriptionMessage
    | ExecutableCodeMessage
    | GroundingMessage
    | UrlContextMessage
    | GenerationCompleteMessage
    | InterruptedMessage
    | TurnCompleteMessage
    | ToolCallMessage
    | ToolCallCancellationMessage
    | ResumptionUpdateMessage
    | ReconnectedMessage
)


def read_frame(frame: bytes | str) -> list[ServerMessage]:
    """Read the messages of one frame, in the order in which they are to be handled.

    Raises `SessionClosed` (1002) if the frame isn't a JSON object.
    """
    try:
        message = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise SessionClosed(1002, f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise SessionClosed(1002, "a message that is not a JSON object")
    return list(_read_message(message))


def _read_message(message: dict[str, Any]) -> Iterator[ServerMessage]:
    if "setupComplete" in message:
        yield SetupCompleteMessage(message["setupComplete"].get("sessionId", ""))
    if content := message.get("serverContent"):
        yield from _read_content(content)
    if call := message.get("toolCall"):
        yield ToolCallMessage(
            tuple(
                ToolCall(CallId(c.get("id", "")), c["name"], c.get("args") or {})
                for c in call.get("functionCalls", ())
            )
        )
    if withdrawn := message.get("toolCallCancellation"):
        yield ToolCallCancellationMessage(tuple(CallId(name) for name in withdrawn.get("ids", ())))
    if (update := message.get("sessionResumptionUpdate")) is not None:
        yield ResumptionUpdateMessage(
            update.get("newHandle", "") if update.get("resumable") else ""
        )


def _read_content(content: dict[str, Any]) -> Iterator[ServerMessage]:
    if transcript := content.get("inputTranscription"):
        yield InputTranscriptionMessage(transcript.get("text", ""))
    for part in (content.get("modelTurn") or {}).get("parts", ()):
        if blob := part.get("inlineData"):
            yield AudioMessage(base64.b64decode(blob["data"]), audio_rate(blob.get("mimeType", "")))
        elif text := part.get("text"):
            yield TextMessage(text, bool(part.get("thought")))
        elif code := part.get("executableCode"):
            yield ExecutableCodeMessage(code.get("code", ""))
    if transcript := content.get("outputTranscription"):
        yield OutputTranscriptionMessage(transcript.get("text", ""))
    if grounding := content.get("groundingMetadata"):
        webs = [chunk.get("web") or {} for chunk in grounding.get("groundingChunks", ())]
        yield GroundingMessage(tuple((web.get("title", ""), web.get("uri", "")) for web in webs))
    if pages := (content.get("urlContextMetadata") or {}).get("urlMetadata"):
        yield UrlContextMessage(
            tuple((page.get("retrievedUrl", ""), _status(page)) for page in pages)
        )
    if content.get("generationComplete"):
        yield GenerationCompleteMessage()
    if content.get("interrupted"):
        yield InterruptedMessage()
    if content.get("turnComplete"):
        yield TurnCompleteMessage(content.get("turnCompleteReason", ""))


def _status(page: dict[str, Any]) -> str:
    return str(page.get("urlRetrievalStatus", "")).removeprefix("URL_RETRIEVAL_STATUS_")


def audio_rate(mime_type: str, default: int = 24_000) -> int:
    """Return the samples a second of an audio MIME type, such as `audio/pcm;rate=24000`."""
    for parameter in mime_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "rate" and value.strip().isdigit():
            return int(value)
    return default


# --- to the server -----------------------------------------------------------------------


DEFAULT_MODEL = "vivavoce"
"""A vivavoce server accepts any name unless it is configured otherwise."""


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """The setup of a session. Empty strings leave the choice to the server."""

    model: str = DEFAULT_MODEL
    voice: str = ""
    instruction: str = ""
    language: str = ""
    modality: str = "AUDIO"
    functions: tuple[ToolDeclaration, ...] = ()
    builtin: tuple[str, ...] = ()
    """Tools that the server runs, by the API's keys: `googleSearch`, `codeExecution`, …"""
    transcripts: bool = True
    silence_ms: int | None = None
    """Silence after which the user has finished; `None` leaves it to the server."""
    handle: str | None = None
    """The resumption handle; empty for a new session that gets handles, `None` without."""

    def setup_message(self) -> dict[str, Any]:
        """Return the `setup` message."""
        speech: dict[str, Any] = {}
        if self.voice:
            speech["voiceConfig"] = {"prebuiltVoiceConfig": {"voiceName": self.voice}}
        if self.language:
            speech["languageCode"] = self.language
        generation: dict[str, Any] = {"responseModalities": [self.modality]}
        if speech:
            generation["speechConfig"] = speech
        prefixed = self.model.startswith(("models/", "tunedModels/", "projects/", "publishers/"))
        model = self.model if prefixed else f"models/{self.model}"
        setup: dict[str, Any] = {"model": model, "generationConfig": generation}
        if self.instruction:
            setup["systemInstruction"] = {"parts": [{"text": self.instruction}]}
        tools: list[dict[str, Any]] = [{kind: {}} for kind in self.builtin]
        if self.functions:
            tools.append(
                {"functionDeclarations": [_function_declaration(f) for f in self.functions]}
            )
        if tools:
            setup["tools"] = tools
        if self.transcripts:
            setup |= {"inputAudioTranscription": {}, "outputAudioTranscription": {}}
        if self.silence_ms is not None:
            detection = {"silenceDurationMs": self.silence_ms}
            setup["realtimeInputConfig"] = {"automaticActivityDetection": detection}
        if self.handle is not None:
            setup["sessionResumption"] = {"handle": self.handle} if self.handle else {}
        return {"setup": setup}


def _function_declaration(function: ToolDeclaration) -> dict[str, Any]:
    declared: dict[str, Any] = {"name": function.name}
    if function.description:
        declared["description"] = function.description
    if function.parameters is not None:
        declared["parametersJsonSchema"] = function.parameters
    return declared


def audio_message(pcm: bytes, rate: int = INPUT_RATE) -> dict[str, Any]:
    """Return a chunk of microphone audio as `realtimeInput`."""
    data = base64.b64encode(pcm).decode("ascii")
    return {"realtimeInput": {"audio": {"data": data, "mimeType": f"audio/pcm;rate={rate}"}}}


def audio_stream_end_message() -> dict[str, Any]:
    """Return the message that the microphone was switched off."""
    return {"realtimeInput": {"audioStreamEnd": True}}


def text_message(text: str) -> dict[str, Any]:
    """Return a whole turn of text, to be answered, as `clientContent`."""
    turn = {"role": "user", "parts": [{"text": text}]}
    return {"clientContent": {"turns": [turn], "turnComplete": True}}


def tool_response_message(results: Sequence[ToolResult]) -> dict[str, Any]:
    """Return the results of functions as `toolResponse`."""
    return {
        "toolResponse": {
            "functionResponses": [
                {"id": a.id, "name": a.name, "response": dict(a.response)} for a in results
            ]
        }
    }
