"""Wire models of what a client says after its setup."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from vivavoce.protocol.values import Flag
from vivavoce.protocol.wire_base import Repeated, Wire, spellings
from vivavoce.protocol.wire_content import Blob, Content, FunctionResponse
from vivavoce.protocol.wire_tools import Tool


class ClientContent(Wire):
    """Contributions to the conversation."""

    turns: Repeated[Content] = Field(default_factory=list)
    turn_complete: Flag = False

    TURNS: ClassVar[tuple[str, ...]] = ("contents", "content", "messages", "turn")
    TURN: ClassVar[tuple[str, ...]] = ("role", "parts", "text")

    @classmethod
    def reads(cls, key: str) -> bool:
        return key in (*cls.TURNS, *cls.TURN) or super().reads(key)

    @classmethod
    def lift(cls, value: Any) -> Any:
        """Also the turns alone, which ask for an answer, a lone turn, and other names for them."""
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

    MEDIA: ClassVar[tuple[str, ...]] = ("media", "inlineData", "inline_data")

    @classmethod
    def reads(cls, key: str) -> bool:
        return key in ("data", "mimeType", "mime_type", *cls.MEDIA) or super().reads(key)

    @classmethod
    def lift(cls, value: Any) -> Any:
        """Also media alone, by other names or in a list, and a text alone."""
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
    """Answers to function calls."""

    function_responses: Repeated[FunctionResponse] = Field(default_factory=list)

    @classmethod
    def reads(cls, key: str) -> bool:
        return key in spellings(FunctionResponse) or super().reads(key)

    @classmethod
    def lift(cls, value: Any) -> Any:
        """Also the answers alone, and a lone answer."""
        lone = isinstance(value, dict) and not (value.keys() & spellings(cls).keys())
        for key in ("functionResponse", "function_response"):
            if lone and key in value:
                rest = {name: item for name, item in value.items() if name != key}
                return rest | {"function_responses": value[key]}
        if lone and value.keys() & spellings(FunctionResponse).keys():
            return {"function_responses": [value]}
        return {"function_responses": value} if isinstance(value, list) else value


class ToolsUpdate(Wire):
    """A wrapper, so that no tools can be told from no change."""

    tools: Repeated[Tool] = Field(default_factory=list)

    @classmethod
    def lift(cls, value: Any) -> Any:
        """Also the tools without their wrapper."""
        return {"tools": value} if isinstance(value, list) else value


class ContextUpdate(Wire):
    """A new instruction, new tools, or both."""

    system_instruction: Content | None = None
    tools: ToolsUpdate | None = None
