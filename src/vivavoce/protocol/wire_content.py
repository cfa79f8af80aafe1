"""Wire models of content: turns, their parts, and answers to function calls."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from vivavoce.protocol import other_apis
from vivavoce.protocol.values import LANGUAGE, OUTCOME, SCHEDULING, Bytes, Flag
from vivavoce.protocol.wire_base import NOT_SERVED, OnMismatch, Repeated, Wire, spellings


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

    RESULTS: ClassVar[tuple[str, ...]] = ("output", "result", "error", "content")
    IDS: ClassVar[tuple[str, ...]] = ("call_id", "tool_call_id", "callId")

    @classmethod
    def adjust(cls, fields: dict[str, Any], report: OnMismatch) -> dict[str, Any]:
        """Makes an object of a result that is none, or that stands beside `response`."""
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
        return other_apis.part(value)


class Content(Wire):
    """One contribution; when lenient also a plain string, a list of parts, or a part."""

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
