"""The context window: what a prompt weighs in tokens, and how a conversation is kept within.

Text is counted by the engine's own tokenizer. Speech that was heard counts 25 tokens a second,
whatever words were understood in it, and an image as `mediaResolution` says: the Live API's rates,
so that what a client reads in `usageMetadata` can be compared with what it sets as `triggerTokens`
and with the `inputTokenLimit` of a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vivavoce.domain.content import (
    Blob,
    CodeResult,
    Content,
    ExecutableCode,
    FileRef,
    Part,
    Text,
    ToolCall,
    ToolResult,
    Tools,
)
from vivavoce.domain.json_text import json_text
from vivavoce.domain.setup import Compression

WINDOW = 131_072
"""The window of the Live API's native audio models."""

LEAST_WINDOW = 32_768
"""The smallest that the Live API has. Models with less leave out what is oldest by themselves."""

TRIGGER = 0.8
"""Of the window: where compression begins unless the client says otherwise."""


CHARS_PER_TOKEN = 4
"""Characters of English text in a token, roughly."""


def estimate_tokens(text: str) -> int:
    """Tokens of a text, roughly, where no tokenizer is at hand."""
    return -(-len(text) // CHARS_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens by modality."""

    text: int = 0
    audio: int = 0
    images: int = 0

    @property
    def total(self) -> int:
        return self.text + self.audio + self.images


def constant_revision() -> int:
    """The revision of a tokenizer that always counts alike."""
    return 0


class TokenCounter:
    """How a model's tokens are counted. `count` is its tokenizer, `window` its context in tokens.

    `revision` is a number that changes whenever `count` may count a text otherwise than before:
    a tokenizer may know a text better later than at first.
    """

    def __init__(
        self,
        window: int = WINDOW,
        count: Callable[[str], int] = estimate_tokens,
        revision: Callable[[], int] = constant_revision,
    ) -> None:
        self.window = window
        self.count = count
        self.revision = revision


def prompt_texts(content: Content) -> list[str]:
    """What a prompt holds of a contribution as text. Recognized words count as sound instead."""
    heard = content.heard_s > 0
    parts = (part for part in content.parts if not (heard and isinstance(part, Text)))
    return [text for part in parts if (text := _text(part))]


def tool_texts(tools: Tools) -> list[str]:
    """What a prompt holds of the declarations of functions."""
    return [
        json_text([tool.name, tool.description, tool.parameters, tool.returns])
        for tool in tools.declarations
    ]


def image_count(content: Content) -> int:
    """The images of a contribution, those that a function answered with included."""
    return sum(map(_images, content.parts))


@dataclass(frozen=True, slots=True)
class CompressionThresholds:
    """When compression begins, and how much it leaves, in tokens; `None` where it is not wished."""

    trigger: int
    target: int

    @classmethod
    def from_setup(
        cls, compression: Compression | None, window: int
    ) -> CompressionThresholds | None:
        """A client's wish for this window; a trigger beyond the window is the window."""
        if compression is None:
            return None
        trigger = min(compression.trigger_tokens or int(window * TRIGGER), window)
        target = trigger // 2 if compression.target_tokens is None else compression.target_tokens
        return cls(trigger, min(target, trigger))


def count_to_drop(weights: Iterable[int], excess: int) -> int:
    """How many of the oldest contributions weigh at least `excess` tokens; all, if none do."""
    count = 0
    for weight in weights:
        if excess <= 0:
            break
        excess -= weight
        count += 1
    return count


def _text(part: Part) -> str:
    match part:
        case Text(text):
            return text
        case ToolCall(_, name, args):
            return json_text([name, args])
        case ToolResult(_, name, response):
            return json_text([name, response])
        case ExecutableCode(code):
            return code
        case CodeResult(_, output):
            return output
        case Blob() | FileRef():
            return ""


def _images(part: Part) -> int:
    inner = part.parts if isinstance(part, ToolResult) else (part,)
    return sum(isinstance(p, Blob) and p.mime_type.startswith("image/") for p in inner)
