"""Wire content as domain content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
from vivavoce.protocol import close, wire_content
from vivavoce.protocol.values import SCHEDULING

_ROLES = {"": Role.USER, "user": Role.USER, "model": Role.MODEL}


def contents(turns: Sequence[wire_content.Content], *, strict: bool) -> tuple[Content, ...]:
    """Contributions in order; those without anything in them are left out."""
    read = (content(turn, strict=strict) for turn in turns)
    return tuple(turn for turn in read if turn.parts)


def content(turn: wire_content.Content, *, strict: bool) -> Content:
    """One contribution. An unknown role is the user's unless strict."""
    role = _ROLES.get(turn.role.lower())
    if role is None and strict:
        raise close.invalid("Please use a valid role: user, model.")
    return Content(role or Role.USER, tuple(p for wire in turn.parts for p in _parts(wire)))


def paragraphs(instruction: wire_content.Content) -> str:
    """The text parts of a system instruction, each a paragraph; its role doesn't matter."""
    return "\n\n".join(part.text for part in instruction.parts if part.text)


def _parts(wire: wire_content.Part) -> Iterator[Part]:
    if wire.text:
        yield Text(wire.text, wire.thought)
    if blob := wire.inline_data:
        yield Blob(blob.data, blob.mime_type)
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
