"""Wire models of content: turns, their parts, and answers to function calls."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from vivavoce.protocol.values import LANGUAGE, OUTCOME, SCHEDULING, Bytes, Flag
from vivavoce.protocol.wire_base import NOT_SERVED, Repeated, Wire


class Blob(Wire):
    """Bytes with a MIME type."""

    mime_type: str = ""
    data: Bytes = b""
    display_name: Annotated[str, NOT_SERVED] = ""


class FileData(Wire):
    """A file by its address."""

    file_uri: str = ""
    mime_type: str = ""
    display_name: Annotated[str, NOT_SERVED] = ""


class FunctionCall(Wire):
    """A call in history."""

    id: str = ""
    name: str = ""
    args: dict[str, Any] = Field(default_factory=dict)


class FunctionResponsePart(Wire):
    """A medium that belongs to a result."""

    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(Wire):
    """The answer to a call. `response` is the user's own JSON, `scheduling` may hide in it."""

    id: str = ""
    name: str = ""
    response: dict[str, Any] | None = None
    scheduling: Annotated[str, BeforeValidator(SCHEDULING.read)] = ""
    will_continue: Flag = False
    parts: Repeated[FunctionResponsePart] = Field(default_factory=list)


class ExecutableCode(Wire):
    """Code that a built-in tool ran."""

    id: str = ""
    language: Annotated[str, BeforeValidator(LANGUAGE.read)] = ""
    code: str = ""


class CodeExecutionResult(Wire):
    """What that code printed."""

    id: str = ""
    outcome: Annotated[str, BeforeValidator(OUTCOME.read)] = ""
    output: str = ""


Ignored = dict[str, Any]
"""An object that is accepted and not looked into."""


class Part(Wire):
    """One piece of a content; at most one of the data fields is set."""

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
        return {"text": value} if isinstance(value, str) else value


class Content(Wire):
    """One contribution; when lenient also a plain string or a list of parts."""

    role: str = ""
    parts: Repeated[Part] = Field(default_factory=list)

    @classmethod
    def lift(cls, value: Any) -> Any:
        return {"parts": value} if isinstance(value, str | list) else value
