"""Conversations from which a call of a tool can have been made."""

from __future__ import annotations

from vivavoce.domain.content import Content, Json, Part, Role, Text, ToolCall, ToolResult, Tools
from vivavoce.domain.ids import CallId, GenerationId, SessionId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import Modality, Sampling


def conversation(
    *contents: Content, instruction: str = "", tools: Tools | None = None
) -> GenerationRequest:
    return GenerationRequest(
        session=SessionId("s"),
        generation=GenerationId(1),
        instruction=instruction,
        history=contents,
        tools=tools or Tools(),
        modality=Modality.AUDIO,
        voice="Puck",
        language="",
        sampling=Sampling(),
    )


def user(*parts: Part) -> Content:
    return Content(Role.USER, parts)


def said(*words: str) -> GenerationRequest:
    """One in which the user has said this."""
    return conversation(user(Text(" ".join(words))))


def exchange(name: str, args: Json, response: Json, id: str = "c") -> tuple[Content, Content]:
    """A call that the model made, and its result."""
    call, result = ToolCall(CallId(id), name, args), ToolResult(CallId(id), name, response)
    return Content(Role.MODEL, (call,)), user(result)
