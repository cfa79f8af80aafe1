"""What a Live server says and what we say to it: typed here, JSON on the wire.

The client reads only what the Live API documents and drops keys it does not know, as the
official SDKs do, so that it talks to any server of the API.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from vivavoce.domain.audio import INPUT_RATE
from vivavoce.domain.content import ToolCall, ToolDeclaration, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.errors import VivavoceError


class LiveError(VivavoceError):
    """The conversation ended from the other side. `code` is the WebSocket close code."""

    def __init__(self, code: int, reason: str) -> None:
        said = whole_words(reason) or "no reason given"
        super().__init__(f"The server closed the session ({code}): {said}")
        self.code = code
        self.reason = reason


FULL_BYTES = 123
"""What a close frame holds; a longer reason is cut there, before a whole character."""


def whole_words(reason: str) -> str:
    """A close reason, with an ellipsis in place of a last word that the frame has cut."""
    least = FULL_BYTES if reason.isascii() else FULL_BYTES - 3
    if len(reason.encode()) < least or reason.endswith((".", "!", "?", "…")):
        return reason
    return (reason.rpartition(" ")[0] or reason).rstrip(" ,;:(") + " …"


# --- from the server ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ready:
    """`setupComplete`: the session may be used."""

    session: str


@dataclass(frozen=True, slots=True)
class Audio:
    """A piece of the answer as sound: 16-bit mono PCM of `rate` samples a second."""

    pcm: bytes
    rate: int


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer as text, or of a thought."""

    text: str
    thought: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """A piece of what the user was understood to say."""

    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of what the answer says; the pieces concatenate."""

    text: str


@dataclass(frozen=True, slots=True)
class CodeShown:
    """Code that the server runs for the answer, or that stands for a search there."""

    code: str


@dataclass(frozen=True, slots=True)
class Grounded:
    """What the answer rests on: titles and addresses."""

    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PagesRead:
    """Addresses that were read for the answer, and what became of each."""

    pages: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class GenerationComplete:
    """Everything of this turn was produced."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The user cut the answer short: drop what is queued for playing."""


@dataclass(frozen=True, slots=True)
class TurnComplete:
    """The turn is over. `usage` is the API's object, empty if the server sent none."""

    usage: Mapping[str, Any]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CallsWanted:
    """Functions that the server asks to have run."""

    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class CallsWithdrawn:
    """Calls whose results are no longer wanted."""

    ids: tuple[CallId, ...]


@dataclass(frozen=True, slots=True)
class GoAway:
    """The connection will end soon; `time_left` is the API's duration, such as `50s`."""

    time_left: str


@dataclass(frozen=True, slots=True)
class HandleOffered:
    """A resumption handle, or empty while the session can't be resumed."""

    handle: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The conversation goes on by another connection; `ended` says how the one before ended.

    No message of the API: `ResumingSession` says it between what two connections brought.
    """

    ended: LiveError


ServerMessage = (
    Ready
    | Audio
    | Text
    | Heard
    | Said
    | CodeShown
    | Grounded
    | PagesRead
    | GenerationComplete
    | Interrupted
    | TurnComplete
    | CallsWanted
    | CallsWithdrawn
    | GoAway
    | HandleOffered
    | Resumed
)


def read(frame: bytes | str) -> list[ServerMessage]:
    """Everything that one frame says, in the order in which it is to be acted on.

    Raises `LiveError` (1002) if the frame isn't a JSON object.
    """
    try:
        message = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise LiveError(1002, f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise LiveError(1002, "a message that is not a JSON object")
    return list(_read(message))


def _read(message: dict[str, Any]) -> Iterator[ServerMessage]:
    if "setupComplete" in message:
        yield Ready(message["setupComplete"].get("sessionId", ""))
    if content := message.get("serverContent"):
        yield from _read_content(content, message.get("usageMetadata") or {})
    if call := message.get("toolCall"):
        yield CallsWanted(
            tuple(
                ToolCall(CallId(c.get("id", "")), c["name"], c.get("args") or {})
                for c in call.get("functionCalls", ())
            )
        )
    if withdrawn := message.get("toolCallCancellation"):
        yield CallsWithdrawn(tuple(CallId(name) for name in withdrawn.get("ids", ())))
    if away := message.get("goAway"):
        yield GoAway(away.get("timeLeft", ""))
    if (update := message.get("sessionResumptionUpdate")) is not None:
        yield HandleOffered(update.get("newHandle", "") if update.get("resumable") else "")


def _read_content(content: dict[str, Any], usage: dict[str, Any]) -> Iterator[ServerMessage]:
    if heard := content.get("inputTranscription"):
        yield Heard(heard.get("text", ""))
    for part in (content.get("modelTurn") or {}).get("parts", ()):
        if blob := part.get("inlineData"):
            yield Audio(base64.b64decode(blob["data"]), rate_of(blob.get("mimeType", "")))
        elif text := part.get("text"):
            yield Text(text, bool(part.get("thought")))
        elif code := part.get("executableCode"):
            yield CodeShown(code.get("code", ""))
    if said := content.get("outputTranscription"):
        yield Said(said.get("text", ""))
    if grounding := content.get("groundingMetadata"):
        webs = [chunk.get("web") or {} for chunk in grounding.get("groundingChunks", ())]
        yield Grounded(tuple((web.get("title", ""), web.get("uri", "")) for web in webs))
    if pages := (content.get("urlContextMetadata") or {}).get("urlMetadata"):
        yield PagesRead(tuple((page.get("retrievedUrl", ""), _status(page)) for page in pages))
    if content.get("generationComplete"):
        yield GenerationComplete()
    if content.get("interrupted"):
        yield Interrupted()
    if content.get("turnComplete"):
        yield TurnComplete(usage, content.get("turnCompleteReason", ""))


def _status(page: dict[str, Any]) -> str:
    return str(page.get("urlRetrievalStatus", "")).removeprefix("URL_RETRIEVAL_STATUS_")


def rate_of(mime_type: str, default: int = 24_000) -> int:
    """Samples a second as an audio MIME type says it: `audio/pcm;rate=24000`."""
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
    """What the session goes on from; empty for a new one that offers handles, `None` without."""

    def setup(self) -> dict[str, Any]:
        """The `setup` message."""
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
            tools.append({"functionDeclarations": [_declared(f) for f in self.functions]})
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


def _declared(function: ToolDeclaration) -> dict[str, Any]:
    declared: dict[str, Any] = {"name": function.name}
    if function.description:
        declared["description"] = function.description
    if function.parameters is not None:
        declared["parametersJsonSchema"] = function.parameters
    return declared


def audio(pcm: bytes, rate: int = INPUT_RATE) -> dict[str, Any]:
    """A piece of microphone sound."""
    data = base64.b64encode(pcm).decode("ascii")
    return {"realtimeInput": {"audio": {"data": data, "mimeType": f"audio/pcm;rate={rate}"}}}


def audio_end() -> dict[str, Any]:
    """The microphone was switched off."""
    return {"realtimeInput": {"audioStreamEnd": True}}


def typed(text: str) -> dict[str, Any]:
    """A whole turn in writing, to be answered."""
    turn = {"role": "user", "parts": [{"text": text}]}
    return {"clientContent": {"turns": [turn], "turnComplete": True}}


def results(answers: Sequence[ToolResult]) -> dict[str, Any]:
    """What the functions gave."""
    return {
        "toolResponse": {
            "functionResponses": [
                {"id": a.id, "name": a.name, "response": dict(a.response)} for a in answers
            ]
        }
    }
