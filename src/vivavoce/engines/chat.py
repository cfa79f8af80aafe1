"""Convert conversations to OpenAI-style chat requests that fit the window; parse streamed chunks.

What chat servers insist on and the Live API does not: every call is followed at once by its
result, neighbors have different roles, nothing is empty, and the user speaks last. Calls that
were never answered get a sentence that says so; results that come later become notes. A
result that would fill the window is cut, with a note that says how long it was; results of one
contribution share that bound.

Function names are respelled one to one, since chat servers allow fewer characters than the Live
API, and a history that grows for ever is cut to a window that does not. For models that cannot
see, notes stand in the place of images: an image that is left out silently is invented by a model
that is asked about it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from vivavoce.domain.content import (
    Blob,
    CodeResult,
    Content,
    ExecutableCode,
    FileRef,
    Part,
    Role,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolResult,
    Usage,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.domain.setup import Sampling
from vivavoce.engines.ports import (
    CallsRequested,
    CallUnreadable,
    Ended,
    ModelPart,
    TextDelta,
    UsageReported,
)

Message = dict[str, Any]
Piece = dict[str, Any]

LONGEST_RESULT = 32_000
"""Characters of a result's JSON: some 10,000 tokens."""

_LEAST_RESULT = 500
_LONGEST_RETURNS = 2000
"""Characters of the schema of a result that a model is shown."""
_UNANSWERED = "No result has come."
GO_ON = "Please go on."


def write_messages(
    request: GenerationRequest,
    names: FunctionNames,
    images: bool,
    instruction: str,
    first: int = 0,
    longest: int = LONGEST_RESULT,
) -> list[Message]:
    """Write the instruction and the history from content number `first` on as messages.

    `longest` is how many characters of the results of one contribution are shown.
    """
    history = request.history[first:]
    writer = _Writer(history if images else note_images(history), names, images, longest)
    first_message = [{"role": "system", "content": instruction}] if instruction else []
    return first_message + writer.write()


def write_sampling(wanted: Sampling) -> dict[str, Any]:
    """Write the sampling parameters that the client set and that all servers know."""
    options = {
        "temperature": wanted.temperature,
        "top_p": wanted.top_p,
        "presence_penalty": wanted.presence_penalty,
        "frequency_penalty": wanted.frequency_penalty,
        "seed": wanted.seed,
    }
    return {name: value for name, value in options.items() if value is not None}


def write_tools(request: GenerationRequest, names: FunctionNames) -> list[Message]:
    """Write the declarations of all functions, the client's and the server's own."""
    return [
        {
            "type": "function",
            "function": {
                "name": names.to_chat(tool.name),
                "description": _description(tool),
                "parameters": tool.parameters or {"type": "object", "properties": {}},
            },
        }
        for tool in request.tools.declarations
    ]


def _description(tool: ToolDeclaration) -> str:
    """Return a function's description, with its result's schema, for which chat has no field."""
    if not tool.returns:
        return tool.description
    schema = json.dumps(tool.returns, ensure_ascii=False)
    returned = f"Returns JSON of this schema: {schema}" if len(schema) <= _LONGEST_RETURNS else ""
    return "\n\n".join(filter(None, (tool.description, returned)))


def share_of_result(content: Content, longest: int) -> int:
    """Return the characters that each result of a contribution may take."""
    results = sum(isinstance(part, ToolResult) for part in content.parts)
    return max(_LEAST_RESULT, longest // max(1, results))


def show_result(result: ToolResult, most: int) -> str:
    """Return the result as JSON, cut after `most` characters."""
    try:
        text = orjson.dumps(result.response, default=dict).decode()
    except TypeError:  # numbers and lone surrogates that strict JSON has not
        text = json.dumps(result.response, default=str)
    if len(text) <= most:
        return text
    return f"{text[:most]} [cut: the result has {len(text):,} characters]"


class _Writer:
    """Writer of one history. Parts are distinguished by identity: equal ones may occur twice."""

    def __init__(
        self, history: Sequence[Content], names: FunctionNames, images: bool, longest: int
    ) -> None:
        self._history = history
        self._most = {
            id(part): share_of_result(content, longest)
            for content in history
            for part in content.parts
            if isinstance(part, ToolResult)
        }
        self._names = names
        self._images = images
        self._shown: set[int] = set()
        self._messages: list[Message] = []
        self._calls = 0

    def write(self) -> list[Message]:
        for place, content in enumerate(self._history):
            if content.role is Role.MODEL:
                self._model(place, content)
            else:
                self._user(content)
        if self._messages and self._messages[-1]["role"] == "assistant":
            self._messages.append({"role": "user", "content": GO_ON})
        return self._messages

    def _model(self, place: int, content: Content) -> None:
        text = "".join(_said(part) for part in content.parts).strip()
        if content.cut and text:
            text += "…"
        calls = [part for part in content.parts if isinstance(part, ToolCall)]
        if not calls:
            if text:
                self._append("assistant", text)
            return
        ids = [call.id or self._new_id() for call in calls]
        self._messages.append(
            {
                "role": "assistant",
                "content": text or None,
                "tool_calls": [
                    {
                        "id": id_,
                        "type": "function",
                        "function": {
                            "name": self._names.to_chat(call.name),
                            "arguments": json.dumps(call.args, ensure_ascii=False),
                        },
                    }
                    for id_, call in zip(ids, calls, strict=True)
                ],
            }
        )
        self._answers(place, calls, ids)

    def _answers(self, place: int, calls: Sequence[ToolCall], ids: Sequence[str]) -> None:
        waiting = list(self._results_near(place))
        answered: list[ToolResult] = []
        for call, id_ in zip(calls, ids, strict=True):
            result = next((r for r in waiting if _answers(r, call)), None)
            if result is None:
                text = _UNANSWERED
            else:
                waiting.remove(result)
                self._shown.add(id(result))
                answered.append(result)
                text = show_result(result, self._most[id(result)])
            self._messages.append({"role": "tool", "tool_call_id": id_, "content": text})
        pieces = [
            piece for result in answered for part in result.parts for piece in self._piece(part)
        ]
        if pieces:
            self._append("user", pieces)

    def _results_near(self, place: int) -> Iterator[ToolResult]:
        """Yield the results that came before the next answer or further calls."""
        asked = False
        for content in self._history[place + 1 :]:
            results = [part for part in content.parts if isinstance(part, ToolResult)]
            if content.role is Role.MODEL and asked:
                return
            yield from results
            if any(isinstance(part, ToolCall) for part in content.parts):
                return
            asked = asked or (content.role is Role.USER and len(results) < len(content.parts))

    def _user(self, content: Content) -> None:
        pieces: list[Piece] = []
        for part in content.parts:
            if isinstance(part, ToolResult):
                if id(part) not in self._shown:
                    shown = show_result(part, self._most[id(part)])
                    pieces.append(_text(f"[Result of {part.name}: {shown}]"))
                    pieces.extend(piece for inner in part.parts for piece in self._piece(inner))
            else:
                pieces.extend(self._piece(part))
        if pieces:
            self._append("user", pieces)

    def _piece(self, part: object) -> Iterator[Piece]:
        if isinstance(part, Blob):
            if is_image(part) and not self._images:
                yield _text(UNSEEN)
            elif is_image(part):
                data = base64.b64encode(part.data).decode("ascii")
                url = f"data:{part.mime_type};base64,{data}"
                yield {"type": "image_url", "image_url": {"url": url}}
            else:
                yield _text(f"[{part.mime_type} was sent, which you can't perceive]")
        elif isinstance(part, FileRef):
            yield _text(f"[the file {part.uri} ({part.mime_type}) was named]")
        elif text := _said(part).strip():
            yield _text(text)

    def _append(self, role: str, content: str | list[Piece]) -> None:
        """Add a message, or add to the last one when the role is the same."""
        last = self._messages[-1] if self._messages else {}
        pieces = [_text(content)] if isinstance(content, str) else content
        if last.get("role") == role and "tool_calls" not in last:
            known = last["content"]
            pieces = ([_text(known)] if isinstance(known, str) else list(known)) + pieces
            self._messages.pop()
        plain = all(piece["type"] == "text" for piece in pieces)
        joined = "\n".join(piece["text"] for piece in pieces) if plain else pieces
        self._messages.append({"role": role, "content": joined})

    def _new_id(self) -> str:
        self._calls += 1
        return f"call_{self._calls}"


def _answers(result: ToolResult, call: ToolCall) -> bool:
    return result.id == call.id if result.id and call.id else result.name == call.name


def _said(part: object) -> str:
    if isinstance(part, Text):
        return "" if part.thought else part.text
    if isinstance(part, ExecutableCode):
        return f"\n```{part.language.lower()}\n{part.code}\n```\n"
    if isinstance(part, CodeResult):
        return f"\n[the code gave {part.outcome}: {part.output}]\n"
    return ""


def _text(text: str) -> Piece:
    return {"type": "text", "text": text}


# --- function names ----------------------------------------------------------------------

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")
_MAX_NAME_CHARS = 64


class FunctionNames:
    """The names of one request's functions, respelled one to one."""

    def __init__(self, names: Iterable[str]) -> None:
        self._to_chat: dict[str, str] = {}
        self._from_chat: dict[str, str] = {}
        for name in names:
            self.to_chat(name)

    def to_chat(self, name: str) -> str:
        """Return the name as a chat server accepts it."""
        if name not in self._to_chat:
            plain = _FORBIDDEN.sub("_", name)[:_MAX_NAME_CHARS] or "_"
            spelled, number = plain, 2
            while spelled in self._from_chat:
                ending = f"_{number}"
                spelled, number = plain[: _MAX_NAME_CHARS - len(ending)] + ending, number + 1
            self._to_chat[name] = spelled
            self._from_chat[spelled] = name
        return self._to_chat[name]

    def from_chat(self, name: str) -> str:
        """Return the declared name; an unknown one stays as it is."""
        return self._from_chat.get(name, name)


# --- the window --------------------------------------------------------------------------


def first_kept(
    history: Sequence[Content], budget: int, cost: Callable[[Content], int], known: int = 0
) -> int:
    """Return the index of the first content to keep, so that what is kept costs at most `budget`.

    `known` is the answer of the turn before. It stands as long as it still fits: a beginning
    that stays the same is read once. When it no longer does, half of the window is cleared.
    The last content is always kept, and the first one kept is something the user said.
    """
    known = known if known < len(history) else 0
    costs = [cost(content) for content in history]
    if sum(costs[known:]) <= budget:
        return known
    last = len(history) - 1
    kept, spent = last, costs[last] if costs else 0
    while kept > 0 and spent + costs[kept - 1] <= budget // 2:
        kept -= 1
        spent += costs[kept]
    while kept < last and not _begins(history[kept]):
        kept += 1
    return max(0, kept)


def _begins(content: Content) -> bool:
    return content.role is Role.USER and not any(
        isinstance(part, ToolResult) for part in content.parts
    )


# --- images -------------------------------------------------------------------------------

UNSEEN = "[an image was sent; you cannot see images]"
"""Stands for all images of a contribution."""

EXCUSE = "I'm sorry, I can't see images."

_SIGHT = re.compile(r"\b(?:do|can|could) you see\b(?! what i mean)")
_AN_IMAGE = re.compile(r"\b(?:picture|image|photo\w*|video|camera|screen|drawing)s?\b")
_IN_SIGHT = re.compile(
    r"\b(?:you see|look(?:ing)? (?:at|like)|looks like|describe|this|these|colou?rs?|holding"
    r"|wearing|in front of|(?:what|who)(?:'s| is| are) (?:that|those|there|it|he|she))\b"
)


def is_image(part: object) -> bool:
    """Return whether a part is an image."""
    return isinstance(part, Blob) and part.mime_type.startswith("image/")


def note_images(history: Sequence[Content]) -> tuple[Content, ...]:
    """Return the history with one note in the place of each contribution's images."""
    return tuple(map(_noted, history))


def no_vision_reply(history: Sequence[Content]) -> str:
    """Return a fixed reply, `EXCUSE`, if the user asks about images; empty if not.

    Frames that do not belong to a turn never get here, so "what do you see" gets it without any.

    For a model too small to heed the note: it would describe a cityscape all the same, and
    be sorry about unseen images when it is greeted in front of a camera.
    """
    said = history[-1].text.lower().replace("’", "'") if history else ""
    if _SIGHT.search(said):
        return EXCUSE
    if not any(is_image(part) for content in history for part in content.parts):
        return ""
    newest = [content for content in _since_the_model(history) if any(map(is_image, content.parts))]
    asks = _AN_IMAGE.search(said) or (newest and (not said.strip() or _IN_SIGHT.search(said)))
    return EXCUSE if asks else ""


def _noted(content: Content) -> Content:
    places = [place for place, part in enumerate(content.parts) if is_image(part)]
    if not places:
        return content
    parts: list[Part] = [part for part in content.parts if not is_image(part)]
    parts.insert(places[0], Text(f" {UNSEEN} "))  # a content's texts are joined as they are
    return replace(content, parts=tuple(parts))


def _since_the_model(history: Sequence[Content]) -> Sequence[Content]:
    """Return what the user contributed since the model last spoke."""
    begin = len(history)
    while begin and history[begin - 1].role is Role.USER:
        begin -= 1
    return history[begin:]


# --- answers ------------------------------------------------------------------------------

_THINK, _THOUGHT = "<think>", "</think>"


class _MalformedCall(Exception):
    """A function call that could not be parsed; `name` and `written` are what came of it."""

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
    """Parser of streamed chunks; `finish_reason` is empty until the server has given it."""

    def __init__(self, names: FunctionNames) -> None:
        self.finish_reason = ""
        self._names = names
        self._calls: dict[int, _Call] = {}
        self._thinking = ThinkTags()

    def read_chunk(self, chunk: dict[str, Any]) -> Iterator[ModelPart]:
        """Yield the parts in a chunk. Calls are collected until they are complete: see `finish`."""
        if isinstance(usage := chunk.get("usage"), dict):
            yield UsageReported(_usage(usage))
        choices = chunk.get("choices") or ()
        for choice in choices[:1]:
            delta = choice.get("delta") or choice.get("message") or {}
            thought = delta.get("reasoning_content") or delta.get("reasoning")
            if isinstance(thought, str) and thought:
                yield TextDelta(thought, thought=True)
            if isinstance(text := delta.get("content"), str) and text:
                yield from self._thinking.feed_text(text)
            for place, piece in enumerate(delta.get("tool_calls") or ()):
                self._gather(place, piece)
            self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def flush_text(self) -> Iterator[TextDelta]:
        """Yield the words that were withheld because they might have become a tag."""
        yield from self._thinking.flush_text()

    def finish(self) -> Iterator[ModelPart]:
        """Yield the calls, or the first that can't be parsed; then why the answer ended early."""
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
    """Splitter of an answer from the thoughts in `<think>` tags at its start."""

    def __init__(self) -> None:
        self._held = ""
        self._state = "start"

    def feed_text(self, text: str) -> Iterator[TextDelta]:
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

    def flush_text(self) -> Iterator[TextDelta]:
        if self._held.strip():
            yield TextDelta(self._held, thought=self._state == "thought")
        self._held = ""


def _unsafe(text: str) -> int:
    """Return how many characters at the end may begin the closing tag."""
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
