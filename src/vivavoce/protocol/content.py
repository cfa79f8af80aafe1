"""Wire models of content, and their conversion: turns, parts, media, tool results.

Who said a contribution is the user or the model. A client may name others:

    system, developer            an instruction: it takes the place of the present one
    assistant, ai, bot, chatbot  the model
    human, customer              the user
    function, tool               results of functions, on the user's side; nothing else of it
    anything else                left out, so that no other words are taken for the user's
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from vivavoce.domain import content as domain
from vivavoce.domain.audio import INPUT_RATE, RECORDING
from vivavoce.domain.content import FileRef, Role, Scheduling, Text, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.domain.text import loggable_name
from vivavoce.errors import ClientFault
from vivavoce.protocol import close, lenient
from vivavoce.protocol.base import (
    LANGUAGE,
    NOT_SERVED,
    OUTCOME,
    SCHEDULING,
    Bytes,
    Flag,
    OnMismatch,
    Reading,
    Repeated,
    Wire,
    spellings,
)

# --- wire models ---------------------------------------------------------------------------------


class Blob(Wire):
    """Wire model of bytes with a MIME type."""

    mime_type: str = ""
    data: Bytes = b""
    display_name: Annotated[str, NOT_SERVED] = ""


class FileData(Wire):
    """Wire model of a file by its URI."""

    file_uri: str = ""
    mime_type: str = ""
    display_name: Annotated[str, NOT_SERVED] = ""


class FunctionCall(Wire):
    """Wire model of a function call in history."""

    id: str = ""
    name: str = ""
    args: dict[str, Any] = Field(default_factory=dict)


class FunctionResponsePart(Wire):
    """Wire model of media that belong to a function's result."""

    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(Wire):
    """Wire model of a function's result; `response` is the client's own JSON."""

    id: str = ""
    name: str = ""
    response: dict[str, Any] | None = None
    scheduling: Annotated[str, BeforeValidator(SCHEDULING.read)] = ""
    will_continue: Flag = False
    parts: Repeated[FunctionResponsePart] = Field(default_factory=list)

    RESULTS: ClassVar[tuple[str, ...]] = ("output", "result", "error", "content")
    IDS: ClassVar[tuple[str, ...]] = ("call_id", "tool_call_id", "callId")

    @classmethod
    def adjust(cls, fields: dict[str, Any], report: OnMismatch) -> dict[str, Any]:
        """Wrap a result that is no object, or that is not in `response`, in an object."""
        if (other := next((key for key in cls.IDS if key in fields), None)) and "id" not in fields:
            report(f"the id of a call is read from {other}")
            fields["id"] = fields.pop(other)
        given = fields.get("response")
        beside = {key: fields.pop(key) for key in cls.RESULTS if given is None and key in fields}
        if given is None and beside:
            report("the result of a function is read from beside its response")
            fields["response"] = beside
        elif given is not None and not isinstance(given, dict):
            report("the response of a function is no object: it is taken for the result")
            fields["response"] = {"result": given}
        return fields


class ExecutableCode(Wire):
    """Wire model of code that a built-in tool ran."""

    id: str = ""
    language: Annotated[str, BeforeValidator(LANGUAGE.read)] = ""
    code: str = ""


class CodeExecutionResult(Wire):
    """Wire model of the output of such code."""

    id: str = ""
    outcome: Annotated[str, BeforeValidator(OUTCOME.read)] = ""
    output: str = ""


Ignored = dict[str, Any]
"""Object that is accepted and ignored."""


class Part(Wire):
    """Wire model of a part of a content; at most one of the data fields is set."""

    text: str | None = None
    thought: Flag = False
    thought_signature: Annotated[str, NOT_SERVED] = ""
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: ExecutableCode | None = None
    code_execution_result: CodeExecutionResult | None = None
    tool_call: Annotated[Ignored | None, NOT_SERVED] = None
    tool_response: Annotated[Ignored | None, NOT_SERVED] = None
    video_metadata: Annotated[Ignored | None, NOT_SERVED] = None
    media_resolution: Annotated[Any, NOT_SERVED] = None
    media_processing: Annotated[Any, NOT_SERVED] = None
    part_metadata: Annotated[Ignored | None, NOT_SERVED] = None
    speech_metadata: Annotated[Ignored | None, NOT_SERVED] = None
    document_metadata: Annotated[Ignored | None, NOT_SERVED] = None
    spreadsheet_metadata: Annotated[Ignored | None, NOT_SERVED] = None
    audio_metadata: Annotated[Ignored | None, NOT_SERVED] = None
    audio_transcription: Annotated[Ignored | None, NOT_SERVED] = None

    @classmethod
    def lift(cls, value: Any) -> Any:
        return lenient.respell_part(value)


class Content(Wire):
    """Wire model of a contribution; when lenient also a string, a list of parts, or a part."""

    role: str = ""
    parts: Repeated[Part] = Field(default_factory=list)

    GATHERS: ClassVar[bool] = False

    @classmethod
    def lift(cls, value: Any) -> Any:
        if isinstance(value, str | list):
            return {"parts": value}
        if not isinstance(value, dict) or value.get("parts") is not None:
            return value
        role = {key: value[key] for key in value if key == "role"}
        if isinstance(said := value.get("content"), str | list | dict):
            return {key: value[key] for key in value if key != "content"} | {"parts": said}
        rest = {key: item for key, item in value.items() if key not in ("role", "parts")}
        looks_like_part = rest.keys() & {*spellings(Part), "type", "data"}
        return role | {"parts": [rest]} if looks_like_part else value


# --- MIME types ----------------------------------------------------------------------------------

PCM_TYPES = frozenset({"audio/pcm", "audio/x-pcm", "audio/l16"})

WAV_TYPES = frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"})

OTHER_AUDIO_TYPES = WAV_TYPES | {
    "audio/raw", "audio/x-raw", "audio/lpcm", "audio/x-lpcm", "audio/s16le",
    "audio/linear16", "audio/x-linear16", "audio/x-l16", "audio/pcm16",
}  # fmt: skip
"""Other MIME types that clients use for PCM or WAV; accepted when lenient."""

_HEADS = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF8": "image/gif",
}

_MAX_TYPE_CHARS = 128
"""Characters of a MIME type that is examined and cached, at most."""


def pcm_rate(mime_type: str) -> int | None:
    """Return the sample rate of a PCM type, 16000 when it names none; `None` for other types.

    Case, blanks, quotes and the order of parameters don't matter. Raises `ClientFault` for PCM
    that can't be understood: a rate that is no number, or more than one channel. Which rates
    are accepted, `runtime.audio_input` says.
    """
    return _pcm_rate(mime_type) if len(mime_type) <= _MAX_TYPE_CHARS else None


@lru_cache(maxsize=64)
def _pcm_rate(mime_type: str) -> int | None:
    kind, *parameters = mime_type.lower().split(";")
    if kind.strip() not in PCM_TYPES:
        return None
    rate = INPUT_RATE
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        name, value = name.strip(), value.strip().strip('"')
        if name == "rate":
            rate = _rate(value, mime_type)
        elif name == "channels" and value != "1":
            raise unsupported_medium("audio", mime_type, "send one channel")
    return rate


def _rate(value: str, mime_type: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 6):
        raise unsupported_medium("audio", mime_type, "send audio/pcm;rate=16000")
    return int(value)


def audio_rate(mime_type: str) -> int | None:
    """Return the sample rate of other names for PCM, and of WAV files; else `None`.

    The header of a WAV file overrides it.
    """
    kind, semicolon, parameters = mime_type.lower().partition(";")
    if kind.strip() not in OTHER_AUDIO_TYPES or len(mime_type) > _MAX_TYPE_CHARS:
        return None
    return _pcm_rate(f"audio/pcm{semicolon}{parameters}")


def image_type(mime_type: str) -> str | None:
    """Return the normalized MIME type of a still image; `None` for anything else."""
    kind = mime_type.strip().lower()
    return kind if kind.startswith("image/") else None


def sniff_image_type(data: bytes) -> str:
    """Detect the MIME type of an image by its first bytes; empty for anything else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for head, kind in _HEADS.items() if data.startswith(head)), "")


def sniff_media_type(data: bytes) -> str:
    """Detect the MIME type of an image or a WAV file by its first bytes; else empty."""
    return "audio/wav" if data[:4] == b"RIFF" and data[8:12] == b"WAVE" else sniff_image_type(data)


def unsupported_medium(medium: str, mime_type: str, advice: str) -> ClientFault:
    """Build the refusal of unsupported media, with the type to send instead."""
    shown = mime_type if len(mime_type) <= 40 else mime_type[:40] + "…"
    return close.invalid(f'Unsupported {medium} MIME type "{{}}": {advice}.', shown)


# --- conversion ----------------------------------------------------------------------------------

ROLES = {"": Role.USER, "user": Role.USER, "model": Role.MODEL}
OTHER_NAMES = {
    "assistant": Role.MODEL, "ai": Role.MODEL, "bot": Role.MODEL, "chatbot": Role.MODEL,
    "human": Role.USER, "customer": Role.USER, "function": Role.USER, "tool": Role.USER,
}  # fmt: skip
INSTRUCTING = frozenset({"system", "developer"})
_UNTYPED = frozenset({"", "application/octet-stream"})
RESULTS_ONLY = frozenset({"function", "tool"})


@dataclass(frozen=True, slots=True)
class Instruction:
    """System instruction found among the contributions, to be applied as an update."""

    text: str


def convert_turns(
    turns: Sequence[Content], reading: Reading
) -> Iterator[domain.Content | Instruction]:
    """Convert turns to contributions, in order and without empty ones. Raises `ClientFault`.

    A strict reader takes instructions on the enterprise path, where they are documented, and no
    role but the protocol's otherwise.
    """
    report = reading.on_mismatch
    for turn in turns:
        role = turn.role.strip().lower()
        if reading.strict and not (role in ROLES or (reading.enterprise and role == "system")):
            raise close.invalid("Please use a valid role: user, model.")
        if role in INSTRUCTING:
            text = join_paragraphs(turn)
            if not text or any(not part.text for part in turn.parts):
                report("an instruction takes text: what else it holds is left out")
            if text:
                yield Instruction(text)
            continue
        parts = tuple(p for wire in turn.parts for p in _parts(wire, reading))
        if role in RESULTS_ONLY:
            parts = tuple(part for part in parts if isinstance(part, ToolResult))
        known = ROLES.get(role) or OTHER_NAMES.get(role)
        if role not in ROLES:
            taken = f"taken for the {known.value}'s" if known and parts else "left out"
            report(
                f"content has the role {loggable_name(turn.role)}: it is {taken}", quoted=turn.role
            )
        if known is not None and parts:
            yield domain.Content(known, parts)
        elif role in ROLES:
            report("content without anything in it is left out")


def join_paragraphs(instruction: Content) -> str:
    """Join the text parts of a system instruction to paragraphs; its role doesn't matter."""
    return "\n\n".join(part.text for part in instruction.parts if part.text)


def _parts(wire: Part, reading: Reading) -> Iterator[domain.Part]:
    if wire.text:
        yield Text(wire.text, wire.thought)
    if blob := wire.inline_data:
        yield domain.Blob(blob.data, _medium(blob.mime_type, blob.data, reading))
    if file := wire.file_data:
        yield FileRef(file.file_uri, file.mime_type)
    if call := wire.function_call:
        yield domain.ToolCall(CallId(call.id), call.name, call.args)
    if answer := wire.function_response:
        yield convert_tool_result(answer)
    if code := wire.executable_code:
        yield domain.ExecutableCode(code.code)
    if result := wire.code_execution_result:
        yield domain.CodeResult(f"OUTCOME_{result.outcome or 'UNSPECIFIED'}", result.output)


def _medium(mime_type: str, data: bytes, reading: Reading) -> str:
    """Return the MIME type of media, normalized for recorded speech. Raises `ClientFault`.

    A lenient reader goes by the first bytes where no type says what they are.
    """
    if (
        not reading.strict
        and mime_type.strip().lower() in _UNTYPED
        and (kind := sniff_media_type(data))
    ):
        reading.on_mismatch(
            f"content of the type {loggable_name(mime_type or 'none')}: read as it looks"
        )
        mime_type = kind
    try:
        rate = pcm_rate(mime_type)
        rate = audio_rate(mime_type) if rate is None else rate
    except ClientFault as fault:
        if reading.strict:
            raise
        reading.on_mismatch(fault.logged, quoted=fault.reason)
        return mime_type
    if rate is None and mime_type.strip().lower().startswith("audio/"):
        unheard = unsupported_medium("audio", mime_type, "send audio/pcm;rate=16000 or audio/wav")
        if reading.strict:
            raise unheard
        reading.on_mismatch(unheard.logged, quoted=unheard.reason)
    return mime_type if rate is None else f"{RECORDING}{rate}"


def convert_tool_result(wire: FunctionResponse) -> ToolResult:
    """Convert a function's result, with `scheduling` from beside `response` or from within it.

    The outer one wins; the inner one is taken out of what the model sees when it was used.
    """
    scheduling, response = wire.scheduling, wire.response or {}
    if not scheduling and (inner := SCHEDULING.find(response.get("scheduling"))) is not None:
        scheduling = inner
        response = {key: value for key, value in response.items() if key != "scheduling"}
    return ToolResult(
        id=CallId(wire.id),
        name=wire.name,
        response=response,
        scheduling=Scheduling(scheduling or "WHEN_IDLE"),
        will_continue=wire.will_continue,
        parts=tuple(media for part in wire.parts for media in _media(part)),
    )


def _media(part: FunctionResponsePart) -> Iterator[domain.Blob | FileRef]:
    if blob := part.inline_data:
        yield domain.Blob(blob.data, blob.mime_type)
    if file := part.file_data:
        yield FileRef(file.file_uri, file.mime_type)
