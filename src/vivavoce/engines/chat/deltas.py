"""Streamed chunks of a chat completion as parts of an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vivavoce.domain.content import ToolCall, Usage
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import EndReason
from vivavoce.engines.chat.messages import FunctionNames
from vivavoce.engines.ports import (
    CallsRequested,
    CallUnreadable,
    Ended,
    ModelPart,
    TextDelta,
    UsageReported,
)

_THINK, _THOUGHT = "<think>", "</think>"


class _MalformedCall(Exception):
    """A function call that could not be read: `name` and `written` are what there was of it."""

    def __init__(self, name: str, written: str, problem: str) -> None:
        super().__init__(f"{name or 'a call'}: {problem}")
        self.name = name
        self.written = written
        self.problem = problem


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


class Deltas:
    """Takes chunks in order. `finish_reason` is empty until the server has said why it ended."""

    def __init__(self, names: FunctionNames) -> None:
        self.finish_reason = ""
        self._names = names
        self._calls: dict[int, _Call] = {}
        self._thinking = ThinkTags()

    def feed(self, chunk: dict[str, Any]) -> Iterator[ModelPart]:
        """Return what a chunk says. Calls are kept until they are whole: see `ending`."""
        if isinstance(usage := chunk.get("usage"), dict):
            yield UsageReported(_usage(usage))
        choices = chunk.get("choices") or ()
        for choice in choices[:1]:
            delta = choice.get("delta") or choice.get("message") or {}
            thought = delta.get("reasoning_content") or delta.get("reasoning")
            if isinstance(thought, str) and thought:
                yield TextDelta(thought, thought=True)
            if isinstance(text := delta.get("content"), str) and text:
                yield from self._thinking.feed(text)
            for place, piece in enumerate(delta.get("tool_calls") or ()):
                self._gather(place, piece)
            self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def rest(self) -> Iterator[TextDelta]:
        """Words that were held back because they might have become a tag."""
        yield from self._thinking.rest()

    def ending(self) -> Iterator[ModelPart]:
        """The calls, whole, or the first that can't be read; then why the answer ended early."""
        try:
            calls = tuple(self._call(call) for _, call in sorted(self._calls.items()))
        except _MalformedCall as fault:
            yield CallUnreadable(fault.name, fault.written, fault.problem)
            return
        if calls:
            yield CallsRequested(calls)
        if self.finish_reason == "length":
            yield Ended(EndReason.MAX_TOKENS)

    def _gather(self, place: int, piece: dict[str, Any]) -> None:
        index = piece.get("index")
        function = piece.get("function") or {}
        if not isinstance(index, int):
            # Servers that leave the index out send each call whole.
            index = len(self._calls) if function.get("name") else max(self._calls, default=place)
        call = self._calls.setdefault(index, _Call())
        call.id = call.id or piece.get("id") or ""
        call.name += function.get("name") or ""
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments)
        call.arguments += arguments or ""

    def _call(self, call: _Call) -> ToolCall:
        name = self._names.from_chat(call.name)
        try:
            args = json.loads(call.arguments or "{}")
        except (ValueError, RecursionError) as error:
            problem = f"The arguments are no JSON: {error}."
            raise _MalformedCall(name, call.arguments, problem) from error
        if not name:
            raise _MalformedCall(name, call.arguments, "The call names no function.")
        if not isinstance(args, dict):
            raise _MalformedCall(name, call.arguments, "The arguments are no JSON object.")
        return ToolCall(CallId(""), name, args)


class ThinkTags:
    """Tells thoughts in `<think>` tags at the start of an answer from the answer."""

    def __init__(self) -> None:
        self._held = ""
        self._state = "start"

    def feed(self, text: str) -> Iterator[TextDelta]:
        self._held += text
        if self._state == "start":
            head = self._held.lstrip()
            if head.startswith(_THINK):
                self._held, self._state = head[len(_THINK) :], "thought"
            elif not _THINK.startswith(head):
                self._state = "answer"
        if self._state == "thought":
            thought, found, answer = self._held.partition(_THOUGHT)
            if found:
                self._held, self._state = answer.lstrip(), "answer"
            else:
                kept = _unsafe(thought)
                self._held = thought[len(thought) - kept :]
                thought = thought[: len(thought) - kept]
            if thought:
                yield TextDelta(thought, thought=True)
        if self._state == "answer" and self._held:
            yield TextDelta(self._held)
            self._held = ""

    def rest(self) -> Iterator[TextDelta]:
        if self._held.strip():
            yield TextDelta(self._held, thought=self._state == "thought")
        self._held = ""


def _unsafe(text: str) -> int:
    """Return how many signs at the end may be the beginning of the closing tag."""
    return next((n for n in range(len(_THOUGHT) - 1, 0, -1) if text.endswith(_THOUGHT[:n])), 0)


def _usage(usage: dict[str, Any]) -> Usage:
    def count(*path: str) -> int:
        value: Any = usage
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value if isinstance(value, int) else 0

    thoughts = count("completion_tokens_details", "reasoning_tokens")
    return Usage(
        prompt_tokens=count("prompt_tokens"),
        cached_tokens=count("prompt_tokens_details", "cached_tokens"),
        response_tokens=max(0, count("completion_tokens") - thoughts),
        thought_tokens=thoughts,
    )
