"""Wire models of what a client says after its setup."""

from __future__ import annotations

from pydantic import Field

from vivavoce.protocol.values import Flag
from vivavoce.protocol.wire_base import Repeated, Wire
from vivavoce.protocol.wire_content import Blob, Content, FunctionResponse
from vivavoce.protocol.wire_tools import Tool


class ClientContent(Wire):
    """Contributions to the conversation."""

    turns: Repeated[Content] = Field(default_factory=list)
    turn_complete: Flag = False


class Activity(Wire):
    """An empty object whose presence is the message."""


class RealtimeInput(Wire):
    """Sound, images and text as they happen, and marks of activity."""

    media_chunks: Repeated[Blob] = Field(default_factory=list)
    audio: Blob | None = None
    video: Blob | None = None
    text: str | None = None
    activity_start: Activity | None = None
    activity_end: Activity | None = None
    audio_stream_end: Flag = False


class ToolResponse(Wire):
    """Answers to function calls."""

    function_responses: Repeated[FunctionResponse] = Field(default_factory=list)


class ToolsUpdate(Wire):
    """A wrapper, so that no tools can be told from no change."""

    tools: Repeated[Tool] = Field(default_factory=list)


class ContextUpdate(Wire):
    """A new instruction, new tools, or both."""

    system_instruction: Content | None = None
    tools: ToolsUpdate | None = None
