"""Wire content as domain content.

Who said a contribution is the user or the model. A client may name others:

    system, developer            an instruction: it takes the place of the one that there is
    assistant, ai, bot, chatbot  the model
    human, customer              the user
    function, tool               results of functions, on the user's side; nothing else of it
    anything else                left out, so that no other words are taken for the user's
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vivavoce.domain.audio import RECORDING
from vivavoce.domain.content import (
    Blob,
    CodeResult,
    Content,
    ExecutableCode,
    FileRef,
    Part,
    Role,
    Scheduling,
    Text,
    ToolCall,
    ToolResult,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.text import loggable_name
from vivavoce.errors import ClientFault
from vivavoce.protocol import close, mime, wire_content
from vivavoce.protocol.values import SCHEDULING
from vivavoce.protocol.wire_base import OnMismatch

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
    """A contribution that says how the model is to be, and is part of no conversation."""

    text: str


def contributions(
    turns: Sequence[wire_content.Content], *, strict: bool, enterprise: bool, report: OnMismatch
) -> Iterator[Content | Instruction]:
    """Contributions in order, those without anything in them left out. Raises `ClientFault`.

    A strict reader takes instructions on the enterprise path, where they are documented, and no
    role but the protocol's otherwise.
    """
    for turn in turns:
        role = turn.role.strip().lower()
        if strict and not (role in ROLES or (enterprise and role == "system")):
            raise close.invalid("Please use a valid role: user, model.")
        if role in INSTRUCTING:
            text = paragraphs(turn)
            if not text or any(not part.text for part in turn.parts):
                report("an instruction takes text: what else it holds is left out")
            if text:
                yield Instruction(text)
            continue
        parts = tuple(p for wire in turn.parts for p in _parts(wire, strict, report))
        if role in RESULTS_ONLY:
            parts = tuple(part for part in parts if isinstance(part, ToolResult))
        known = ROLES.get(role) or OTHER_NAMES.get(role)
        if role not in ROLES:
            taken = f"taken for the {known.value}'s" if known and parts else "left out"
            report(
                f"content has the role {loggable_name(turn.role)}: it is {taken}", quoted=turn.role
            )
        if known is not None and parts:
            yield Content(known, parts)
        elif role in ROLES:
            report("content without anything in it is left out")


def paragraphs(instruction: wire_content.Content) -> str:
    """The text parts of a system instruction, each a paragraph; its role doesn't matter."""
    return "\n\n".join(part.text for part in instruction.parts if part.text)


def _parts(wire: wire_content.Part, strict: bool, report: OnMismatch) -> Iterator[Part]:
    if wire.text:
        yield Text(wire.text, wire.thought)
    if blob := wire.inline_data:
        yield Blob(blob.data, _medium(blob.mime_type, blob.data, strict, report))
    if file := wire.file_data:
        yield FileRef(file.file_uri, file.mime_type)
    if call := wire.function_call:
        yield ToolCall(CallId(call.id), call.name, call.args)
    if answer := wire.function_response:
        yield tool_result(answer)
    if code := wire.executable_code:
        yield ExecutableCode(code.code)
    if result := wire.code_execution_result:
        yield CodeResult(f"OUTCOME_{result.outcome or 'UNSPECIFIED'}", result.output)


def _medium(mime_type: str, data: bytes, strict: bool, report: OnMismatch) -> str:
    """The type of a medium, that of recorded speech in one form. Raises `ClientFault`.

    A lenient reader goes by the first bytes where no type says what they are.
    """
    if (
        not strict
        and mime_type.strip().lower() in _UNTYPED
        and (kind := mime.sniff_media_type(data))
    ):
        report(f"content of the type {loggable_name(mime_type or 'none')}: read as it looks")
        mime_type = kind
    try:
        rate = mime.pcm_rate(mime_type)
        rate = mime.sound_rate(mime_type) if rate is None else rate
    except ClientFault as fault:
        if strict:
            raise
        report(fault.logged, quoted=fault.reason)
        return mime_type
    if rate is None and mime_type.strip().lower().startswith("audio/"):
        unheard = mime.unsupported_medium(
            "audio", mime_type, "send audio/pcm;rate=16000 or audio/wav"
        )
        if strict:
            raise unheard
        report(unheard.logged, quoted=unheard.reason)
    return mime_type if rate is None else f"{RECORDING}{rate}"


def tool_result(wire: wire_content.FunctionResponse) -> ToolResult:
    """An answer to a call. Clients put `scheduling` beside `response` or inside of it.

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


def _media(part: wire_content.FunctionResponsePart) -> Iterator[Blob | FileRef]:
    if blob := part.inline_data:
        yield Blob(blob.data, blob.mime_type)
    if file := part.file_data:
        yield FileRef(file.file_uri, file.mime_type)
