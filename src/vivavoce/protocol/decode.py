"""Decode client frames to events of the core: wire models of messages, and their conversion.

Nine of ten frames are pieces of microphone audio, so a frame that holds a single blob is read
without any model: one parse, one base64 decoding. Everything else goes through the models, and
what is no light message has its values counted before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, ClassVar

import orjson
from pydantic import Field

from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioStreamEnded,
    ClientInput,
    ContentReceived,
    ContextUpdated,
    TextReceived,
    ToolResponsesReceived,
)
from vivavoce.domain import content as domain
from vivavoce.domain.audio import INPUT_RATE, AudioChunk, VideoFrame
from vivavoce.domain.text import loggable_name, utf8
from vivavoce.errors import ClientFault
from vivavoce.protocol import close, content
from vivavoce.protocol.base import (
    Flag,
    OnMismatch,
    Reading,
    Repeated,
    Wire,
    ignore,
    read_model,
    spellings,
)
from vivavoce.protocol.content import (
    Blob,
    Content,
    FunctionResponse,
    Instruction,
    convert_tool_result,
    convert_turns,
    join_paragraphs,
)
from vivavoce.protocol.json_frames import (
    LongBase64,
    MessageLimits,
    check_depth,
    decode_base64,
    is_light,
    lift_base64,
    parse_frame,
    restore_base64,
)
from vivavoce.protocol.lenient import gather_fields
from vivavoce.protocol.setup import Setup
from vivavoce.protocol.tools import Tool, domain_tools

# --- wire models ---------------------------------------------------------------------------------


class ClientContent(Wire):
    """Wire model of `clientContent`: contributions to the conversation."""

    turns: Repeated[Content] = Field(default_factory=list)
    turn_complete: Flag = False

    TURNS: ClassVar[tuple[str, ...]] = ("contents", "content", "messages", "turn")
    TURN: ClassVar[tuple[str, ...]] = ("role", "parts", "text")

    @classmethod
    def reads(cls, key: str) -> bool:
        return key in (*cls.TURNS, *cls.TURN) or super().reads(key)

    @classmethod
    def lift(cls, value: Any) -> Any:
        """Accept bare turns, which ask for an answer, a single turn, and other names of both."""
        if isinstance(value, str | list):
            return {"turns": value, "turn_complete": True}
        if not isinstance(value, dict) or value.get("turns") is not None:
            return value
        turn = {key: value[key] for key in cls.TURN if key in value}
        used = next((key for key in cls.TURNS if key in value), None)
        if used is None and not turn:
            return value
        turns = [turn] if used is None else value[used]
        read = {"turns", used, *turn}
        if "role" in turn and used is not None:
            turns = [turn | {"content": turns}]
        elif used is not None:
            read -= turn.keys()
        return {"turns": turns} | {key: value[key] for key in value if key not in read}


class Activity(Wire):
    """Wire model of `activityStart` and `activityEnd`: an empty object."""


class RealtimeInput(Wire):
    """Wire model of `realtimeInput`: audio, images, text, and activity marks."""

    media_chunks: Repeated[Blob] = Field(default_factory=list)
    audio: Blob | None = None
    video: Blob | None = None
    text: str | None = None
    activity_start: Activity | None = None
    activity_end: Activity | None = None
    audio_stream_end: Flag = False

    MEDIA: ClassVar[tuple[str, ...]] = ("media", "inlineData", "inline_data")

    @classmethod
    def reads(cls, key: str) -> bool:
        return key in ("data", "mimeType", "mime_type", *cls.MEDIA) or super().reads(key)

    @classmethod
    def lift(cls, value: Any) -> Any:
        """Accept bare media, under other names or in a list, and a bare text."""
        if isinstance(value, str):
            return {"text": value}
        if isinstance(value, list):
            return {"media_chunks": value}
        chunks = isinstance(value, dict) and value.keys() & {"media_chunks", "mediaChunks"}
        for key in () if chunks or not isinstance(value, dict) else cls.MEDIA:
            if key in value:
                rest = {name: item for name, item in value.items() if name != key}
                return rest | {"media_chunks": value[key]}
        if isinstance(value, dict) and "data" in value:
            lone = {key: value[key] for key in value if not cls.reads(key) or key in _BLOB}
            rest = {key: value[key] for key in value if key not in lone}
            return rest | {"media_chunks": [lone]}
        return value


_BLOB = frozenset(spellings(Blob))


class ToolResponse(Wire):
    """Wire model of `toolResponse`: results of function calls."""

    function_responses: Repeated[FunctionResponse] = Field(default_factory=list)

    @classmethod
    def reads(cls, key: str) -> bool:
        return key in spellings(FunctionResponse) or super().reads(key)

    @classmethod
    def lift(cls, value: Any) -> Any:
        """Accept a bare list of results, and a single result."""
        lone = isinstance(value, dict) and not (value.keys() & spellings(cls).keys())
        for key in ("functionResponse", "function_response"):
            if lone and key in value:
                rest = {name: item for name, item in value.items() if name != key}
                return rest | {"function_responses": value[key]}
        if lone and value.keys() & spellings(FunctionResponse).keys():
            return {"function_responses": [value]}
        return {"function_responses": value} if isinstance(value, list) else value


class ToolsUpdate(Wire):
    """Wire model of tools in an update; it distinguishes no tools from no change."""

    tools: Repeated[Tool] = Field(default_factory=list)

    @classmethod
    def lift(cls, value: Any) -> Any:
        """Accept the tools without their wrapper."""
        return {"tools": value} if isinstance(value, list) else value


class ContextUpdate(Wire):
    """Wire model of `contextUpdate`: a new instruction, new tools, or both."""

    system_instruction: Content | None = None
    tools: ToolsUpdate | None = None


class ClientMessage(Wire):
    """Wire model of a client message, which holds exactly one of these kinds."""

    setup: Setup | None = None
    context_update: ContextUpdate | None = None
    client_content: ClientContent | None = None
    tool_response: ToolResponse | None = None
    realtime_input: RealtimeInput | None = None

    @classmethod
    def lift(cls, value: Any) -> Any:
        """Accept bare turns, results or media, as in other APIs."""
        if not isinstance(value, dict) or value.keys() & _MESSAGES:
            return value
        rest = dict(value)
        content = {key: rest.pop(key) for key in _TURNS if rest.get(key) is not None}
        if content:
            complete = rest.pop("turnComplete", rest.pop("turn_complete", True))
            rest["client_content"] = {**content, "turn_complete": complete}
        for key in _ANSWER:
            if rest.get(key) is not None:
                rest["tool_response"] = [rest.pop(key)]
        for key in RealtimeInput.MEDIA:
            if isinstance(medium := rest.get(key), dict) and "data" in medium:
                rest["realtime_input"] = [rest.pop(key)]
        return rest if len(rest.keys() - value.keys()) else value

    @classmethod
    def adjust(cls, fields: dict[str, Any], report: OnMismatch) -> dict[str, Any]:
        """Move fields that are beside the messages, or in another one, to where they belong."""
        return gather_fields(cls, fields, report)


_TURNS = (*ClientContent.TURNS, "role", "parts")
_ANSWER = ("functionResponse", "function_response")
_MESSAGES = spellings(ClientMessage).keys() - {"setup"}


def beside_setup(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the messages that a client put into or beside its setup; lenient only."""
    lifted = ClientMessage.lift(payload)
    fields = gather_fields(ClientMessage, ClientMessage.respell(lifted, False), ignore)
    return {
        key: fields[key] for key in ClientMessage.model_fields if key in fields and key != "setup"
    }


_INPUT = ("realtimeInput", "realtime_input")
_CHUNKS = ("mediaChunks", "media_chunks")

MAX_UTF8_BYTES = 4
"""Bytes of one character."""

MAX_PARTS_PER_EVENT = 100
"""Parts of turns, or results, that become one event: one step of the conversation."""


# --- decoding ------------------------------------------------------------------------------------


class Decoder:
    """Decoder of client frames; `on_message` gets each message after the setup."""

    def __init__(
        self,
        reading: Reading,
        limits: MessageLimits | None = None,
        on_message: Callable[[ClientMessage], None] = lambda message: None,
    ) -> None:
        self._reading = reading
        self._strict = reading.strict
        self._on_mismatch = reading.on_mismatch
        self._on_message = on_message
        self._limits = limits or MessageLimits()
        self._always_within = min(self._limits.values, self._limits.text_bytes // MAX_UTF8_BYTES)

    def decode_frame(self, frame: bytes | str) -> list[ClientInput]:
        """Decode a frame after the setup to inputs, in order. Raises `ClientFault`."""
        payload = self._parse(frame)
        blob = _lone_blob(payload)
        if blob is not None:
            return self._medium(*blob)
        message = self.read_message(payload)
        if message.setup is not None:
            raise close.invalid_argument()
        self._on_message(message)
        return list(self.to_incoming(message))

    def read_message(self, payload: dict[str, Any]) -> ClientMessage:
        """Parse a JSON object to a message; when strict, of exactly one kind."""
        check_depth(payload)
        message = read_model(ClientMessage, payload, self._reading)
        if self._strict and len(message.model_fields_set) != 1:
            raise close.invalid_argument()
        return message

    def read_setup(self, frame: bytes | str, replaced: bool = False) -> tuple[Setup, bytes]:
        """Parse the setup; also return messages found beside it, as a frame.

        Where it is `replaced` by that of a token, one that cannot be read counts as empty.
        Raises `ClientFault`.
        """
        payload = self._parse(frame)
        try:
            message = self.read_message(payload)
        except ClientFault:
            if replaced and isinstance(payload.get("setup"), dict):
                return Setup(), b""
            raise
        if message.setup is None:
            raise close.invalid_argument()
        if message.model_fields_set & (ClientMessage.model_fields.keys() - {"setup"}):
            return message.setup, orjson.dumps(beside_setup(payload), default=str)
        return message.setup, b""

    def _parse(self, frame: bytes | str) -> dict[str, Any]:
        if len(frame) <= self._always_within or is_light(frame):
            return parse_frame(frame)
        data = utf8(frame)
        text, lifted = lift_base64(data, self._limits)
        payload = parse_frame(text if lifted else data)
        if lifted:
            restore_base64(payload, lifted, self._limits, len(text))
        return payload

    def to_incoming(self, message: ClientMessage) -> Iterator[ClientInput]:
        """Convert a message to inputs, in the order in which its fields take effect."""
        if message.context_update is not None:
            yield self._context_update(message.context_update)
        if message.client_content is not None:
            yield from self._content(message.client_content)
        if message.tool_response is not None:
            yield from self._tool_response(message.tool_response)
        if message.realtime_input is not None:
            yield from self._realtime(message.realtime_input)
        if not message.model_fields_set & type(message).model_fields.keys():
            self._on_mismatch("a message says nothing that is known here")

    def _content(self, said: ClientContent) -> Iterator[ContentReceived | ContextUpdated]:
        """Convert turns, in order; instructions among them become context updates.

        More parts than `MAX_PARTS_PER_EVENT` are split, also those of one turn, as a client may
        send them itself. Content that only instructs interrupts nothing.
        """
        pending: list[domain.Content] = []
        given = convert_turns(said.turns, self._reading)
        held = 0
        for piece in chain.from_iterable(map(_pieces, given)):
            if isinstance(piece, domain.Content):
                held += len(piece.parts)
                if held > MAX_PARTS_PER_EVENT:
                    yield ContentReceived(tuple(pending), False)
                    pending, held = [], len(piece.parts)
                pending.append(piece)
                continue
            if pending:
                yield ContentReceived(tuple(pending), False)
                pending, held = [], 0
            yield ContextUpdated(piece.text, None)
        if pending or said.turn_complete or not any(turn.parts for turn in said.turns):
            yield ContentReceived(tuple(pending), said.turn_complete)

    def _context_update(self, update: ContextUpdate) -> ContextUpdated:
        instruction, tools = update.system_instruction, update.tools
        if instruction is None and tools is None:
            self._on_mismatch("contextUpdate changes nothing")
        path = "context_update.tools.tools"
        return ContextUpdated(
            None if instruction is None else join_paragraphs(instruction),
            None if tools is None else domain_tools(tools.tools, path, self._reading),
        )

    def _tool_response(self, wire: ToolResponse) -> Iterator[ToolResponsesReceived]:
        if not wire.function_responses:
            self._on_mismatch("toolResponse answers nothing")
        for index, answer in enumerate(wire.function_responses):
            at = f"tool_response.function_responses[{index}]"
            if not (answer.name or (answer.id and not self._strict)):
                raise close.invalid(f"Invalid value at '{at}.name': a function name is required.")
            if answer.response is None and self._strict:
                raise close.invalid(f"Invalid value at '{at}.response': an object is required.")
        results = tuple(map(convert_tool_result, wire.function_responses))
        for start in range(0, max(1, len(results)), MAX_PARTS_PER_EVENT):
            yield ToolResponsesReceived(results[start : start + MAX_PARTS_PER_EVENT])

    def _realtime(self, wire: RealtimeInput) -> Iterator[ClientInput]:
        """Convert all inputs of a `realtimeInput`; activity marks enclose the media."""
        if not any(
            getattr(wire, name) not in (None, False, "", []) for name in type(wire).model_fields
        ):
            self._on_mismatch("realtimeInput holds nothing")
        if self._strict and len(wire.media_chunks) > 1:
            raise close.invalid(
                "Invalid value at 'realtime_input.media_chunks': one entry is used."
            )
        if wire.activity_start is not None:
            yield ActivityStarted(0)
        for blob in wire.media_chunks:
            yield from self._medium("media_chunks", blob.mime_type, blob.data)
        if wire.audio is not None:
            yield from self._medium("audio", wire.audio.mime_type, wire.audio.data)
        if wire.video is not None:
            yield from self._medium("video", wire.video.mime_type, wire.video.data)
        if wire.text:
            yield TextReceived(wire.text)
        if wire.audio_stream_end:
            yield AudioStreamEnded(0)
        if wire.activity_end is not None:
            yield ActivityEnded(0)

    def _medium(self, kind: str, mime_type: str, data: bytes) -> list[ClientInput]:
        """Convert audio or an image; when lenient by its MIME type, whatever the field."""
        rate = content.pcm_rate(mime_type)
        image = content.image_type(mime_type) if rate is None else None
        if rate is None and image is None and not self._strict:
            rate = content.audio_rate(mime_type)
            image = content.image_type(content.sniff_image_type(data))
            if rate is None and image is None and not mime_type and kind == "audio":
                rate = INPUT_RATE
            if (rate, image) != (None, None):
                self._on_mismatch(
                    f"{kind} of the type {loggable_name(mime_type or 'none')}: read as it looks",
                    quoted=mime_type,
                )
        if rate is not None and not (self._strict and kind == "video"):
            if kind == "video":
                self._report_field(kind, "audio")
            return [AudioChunk(data, rate)] if data else []
        if image is not None and not (self._strict and kind == "audio"):
            if kind == "audio":
                self._report_field(kind, "an image")
            if not data:
                self._on_mismatch("an image without data is left out")
            return [VideoFrame(data, image)] if data else []
        medium, advice = ("video", "send image/jpeg") if kind == "video" else _AUDIO_ADVICE
        raise content.unsupported_medium(medium, mime_type, advice)

    def _report_field(self, kind: str, what: str) -> None:
        self._on_mismatch(f"realtimeInput.{kind} holds {what}: it is read as that")


_AUDIO_ADVICE = ("audio", "send audio/pcm;rate=16000")


def _pieces(said: domain.Content | Instruction) -> Iterator[domain.Content | Instruction]:
    """Split a contribution into pieces of `MAX_PARTS_PER_EVENT` parts."""
    if isinstance(said, Instruction) or len(said.parts) <= MAX_PARTS_PER_EVENT:
        yield said
        return
    for start in range(0, len(said.parts), MAX_PARTS_PER_EVENT):
        yield replace(said, parts=said.parts[start : start + MAX_PARTS_PER_EVENT])


def _lone_blob(payload: dict[str, Any]) -> tuple[str, str, bytes] | None:
    """Return the single blob of a `realtimeInput`; `None` for any other message.

    Anything unusual is left to the models, which name its fault.
    """
    if len(payload) != 1:
        return None
    [(key, fields)] = payload.items()
    if key not in _INPUT or not isinstance(fields, dict) or len(fields) != 1:
        return None
    [(kind, blob)] = fields.items()
    if kind in _CHUNKS and isinstance(blob, list) and len(blob) == 1:
        kind, blob = "media_chunks", blob[0]
    elif kind not in ("audio", "video"):
        return None
    if not isinstance(blob, dict) or len(blob) != 2:
        return None
    data, mime_type = blob.get("data"), blob.get("mimeType") or blob.get("mime_type")
    if not (isinstance(data, str) or isinstance(data, LongBase64)):  # noqa: SIM101 (at each frame)
        return None
    if not isinstance(mime_type, str):
        return None
    try:
        return kind, mime_type, decode_base64(data)
    except ValueError:
        return None
