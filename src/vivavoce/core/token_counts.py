"""Token and byte counts of contributions, prompts and turns.

Text is counted by the engine's own tokenizer. Recognized speech counts 25 tokens a second, whatever
its words, and an image as `mediaResolution` says. These are the Live API's rates, so that a client
can compare `usageMetadata` with its `triggerTokens` and with a model's `inputTokenLimit`.

Each size is determined once, since the cost of a turn must not grow with the conversation. Tokens
are counted again only after the tokenizer has changed how it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from vivavoce.core.messages import TokenCount
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
    Usage,
)
from vivavoce.domain.text import json_text

WINDOW_TOKENS = 131_072
"""Tokens of the context window of the Live API's native audio models."""

MIN_WINDOW_TOKENS = 32_768
"""The smallest window of the Live API. Engines with less truncate the history themselves."""

CHARS_PER_TOKEN = 4
"""Characters of a token, on average, in English."""

AUDIO_TOKENS_PER_S = 25

MAX_BYTES = 16 * 1024 * 1024
"""Text and media that a history, and the queue of user turns, hold at most."""


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens by modality."""

    text: int = 0
    audio: int = 0
    images: int = 0

    @property
    def total(self) -> int:
        return self.text + self.audio + self.images


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text, without a tokenizer."""
    return -(-len(text) // CHARS_PER_TOKEN)


def constant_revision() -> int:
    """Return the revision of a tokenizer that never changes how it counts."""
    return 0


class TokenCounter:
    """A model's tokenizer, `count`, and its context window in tokens.

    `revision` changes whenever `count` may count a text differently than before: some tokenizers
    know a text better later than at first.
    """

    def __init__(
        self,
        window: int = WINDOW_TOKENS,
        count: Callable[[str], int] = estimate_tokens,
        revision: Callable[[], int] = constant_revision,
    ) -> None:
        self.window = window
        self.count = count
        self.revision = revision


def audio_tokens(duration_s: float) -> int:
    """Return the tokens of audio of this duration, in either direction."""
    return round(AUDIO_TOKENS_PER_S * duration_s)


class UsageCounter:
    """The engine's usage over the generations of one model turn."""

    def __init__(self) -> None:
        self._before = Usage()
        self._latest = Usage()

    def add_usage(self, usage: Usage) -> None:
        """Note the usage of the current generation so far."""
        self._latest = usage

    def next_generation(self) -> None:
        """Begin to count another generation of the turn."""
        self._before = self._before.update_with(self._latest)
        self._latest = Usage(prompt_tokens=self._latest.prompt_tokens)

    def count_tokens(self, prompt: TokenCounts, sent_s: float, tools: int = 0) -> TokenCount:
        """Return the usage of the turn, of whose audio `sent_s` were sent.

        `tools` are the tokens that the server's tools added to the prompt, which are counted apart.
        """
        usage = self._before.update_with(self._latest)
        tools = min(tools, prompt.text)
        return TokenCount(
            prompt=prompt.total - tools,
            cached=min(usage.cached_tokens, prompt.text),
            response_text=usage.response_tokens,
            response_audio=audio_tokens(sent_s),
            thoughts=usage.thought_tokens,
            tools=usage.tool_tokens + tools,
            prompt_audio=prompt.audio,
            prompt_images=prompt.images,
        )


class Contribution:
    """A content with its sizes. The content never changes: another one is another contribution.

    `texts` are its texts in a prompt: none for speech, which counts as audio.
    """

    __slots__ = ("_bytes", "_texts", "audio_tokens", "content", "images")

    def __init__(self, content: Content) -> None:
        self.content = content
        self.audio_tokens = audio_tokens(content.heard_s)
        self.images = image_count(content)
        self._bytes: int | None = None
        self._texts: CountedTexts | None = None

    @property
    def bytes(self) -> int:
        """Estimated bytes in memory."""
        if self._bytes is None:
            self._bytes = size_bytes(self.content)
        return self._bytes

    @property
    def texts(self) -> CountedTexts:
        """Its texts in a prompt; none for speech, which counts as audio."""
        if self._texts is None:
            self._texts = CountedTexts(prompt_texts(self.content))
        return self._texts

    def tokens(self, counter: TokenCounter, image_tokens: int) -> int:
        """Return its tokens in a prompt, where an image counts `image_tokens`."""
        text = self.texts.tokens(counter, counter.revision())
        return text + self.audio_tokens + self.images * image_tokens


class CountedTexts:
    """Texts of a prompt and their tokens, counted once a revision of the tokenizer."""

    __slots__ = ("_revision", "_texts", "_tokens")

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._tokens = 0
        self._revision: int | None = None

    def tokens(self, counter: TokenCounter, revision: int) -> int:
        """Return the tokens of all texts; `revision` is the current one of `counter`."""
        if revision != self._revision:
            self._tokens = sum(map(counter.count, self._texts))
            self._revision = revision
        return self._tokens


class TokenTotal:
    """Running total of the tokens of contributions that are added and removed."""

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._revision: int | None = counter.revision()
        self._sums = (0, 0, 0)

    def add(self, contribution: Contribution, sign: int = 1) -> None:
        """Add a contribution; with a `sign` of -1 remove it."""
        if self._revision is not None:
            self._add(contribution, sign)

    def _add(self, contribution: Contribution, sign: int) -> None:
        if (revision := self._counter.revision()) != self._revision:
            self._revision = None  # the tokenizer counts differently now
            return
        text, audio, images = self._sums
        self._sums = (
            text + sign * contribution.texts.tokens(self._counter, revision),
            audio + sign * contribution.audio_tokens,
            images + sign * contribution.images,
        )

    def clear(self) -> None:
        """Remove all contributions."""
        self._revision, self._sums = self._counter.revision(), (0, 0, 0)

    def sum_up(self, contributions: Iterable[Contribution]) -> tuple[int, int, int]:
        """Return tokens of text, of audio, and images; `contributions` are all those added."""
        if (revision := self._counter.revision()) != self._revision:
            self._revision, self._sums = revision, (0, 0, 0)
            for each in contributions:
                self._add(each, 1)
        return self._sums


class Prompt:
    """Input of a generation and its tokens: fixed texts, and contributions in order.

    `total` has the tokens of the first `added` contributions; an image counts `image_tokens`.
    """

    def __init__(
        self,
        fixed: CountedTexts,
        contributions: Sequence[Contribution],
        counter: TokenCounter,
        image_tokens: int,
        total: TokenTotal | None = None,
        added: int = 0,
    ) -> None:
        self._fixed = fixed
        self._contributions = contributions
        self._counter = counter
        self._image_tokens = image_tokens
        self._revision = counter.revision()
        sums = (0, 0, 0) if total is None else total.sum_up(contributions[:added])
        self._counts = self._count(sums, contributions[added:])

    def token_counts(self) -> TokenCounts:
        """Return the tokens by modality, as the tokenizer counts now."""
        if (revision := self._counter.revision()) != self._revision:
            self._revision = revision
            self._counts = self._count((0, 0, 0), self._contributions)
        return self._counts

    def _count(self, sums: tuple[int, int, int], more: Iterable[Contribution]) -> TokenCounts:
        counter, revision = self._counter, self._revision
        text, audio, images = sums
        text += self._fixed.tokens(counter, revision)
        for each in more:
            text += each.texts.tokens(counter, revision)
            audio += each.audio_tokens
            images += each.images
        return TokenCounts(text, audio, images * self._image_tokens)


def prompt_texts(content: Content) -> list[str]:
    """Return the texts of a content in a prompt; recognized words count as audio instead."""
    heard = content.heard_s > 0
    parts = (part for part in content.parts if not (heard and isinstance(part, Text)))
    return [text for part in parts if (text := _text(part))]


def tool_texts(tools: Tools) -> list[str]:
    """Return the texts of function declarations in a prompt."""
    return [
        json_text([tool.name, tool.description, tool.parameters, tool.returns])
        for tool in tools.declarations
    ]


def image_count(content: Content) -> int:
    """Return the number of images in a content and in its function results."""
    return sum(map(_images, content.parts))


def size_bytes(content: Content) -> int:
    """Estimate the bytes of a content in memory."""
    return 64 + sum(map(_part_bytes, content.parts))


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


def _part_bytes(part: Part) -> int:
    match part:
        case Text():
            return len(part.text)
        case Blob():
            return len(part.data)
        case ToolCall():
            return len(json_text(part.args))
        case ToolResult():
            media = sum(len(p.data) for p in part.parts if isinstance(p, Blob))
            return len(json_text(part.response)) + media
        case _:
            return 256
