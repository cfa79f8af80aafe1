"""A contribution to the conversation, with what it weighs in memory and in a prompt.

Each weight is determined once: what a turn costs must not grow with the conversation. Tokens are
counted again only when the tokenizer has learned to count otherwise, from texts that are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vivavoce.core.content_size import size_bytes
from vivavoce.core.context_window import TokenCounter, TokenCounts, image_count, prompt_texts
from vivavoce.core.usage import audio_tokens
from vivavoce.domain.content import Content


class CountedTexts:
    """Texts of a prompt and their tokens, which are kept while the tokenizer counts alike."""

    __slots__ = ("_revision", "_texts", "_tokens")

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._tokens = 0
        self._revision: int | None = None

    def tokens(self, counter: TokenCounter, revision: int) -> int:
        """The tokens of all texts; `revision` is the present one of `counter`."""
        if revision != self._revision:
            self._tokens = sum(map(counter.count, self._texts))
            self._revision = revision
        return self._tokens


class Contribution:
    """A content and its weights. The content is not replaced: another one is another contribution.

    `texts` is what a prompt holds of it as text, empty for speech, which weighs as sound.
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
        """Bytes held in memory, roughly."""
        if self._bytes is None:
            self._bytes = size_bytes(self.content)
        return self._bytes

    @property
    def texts(self) -> CountedTexts:
        """The texts that a prompt holds of it."""
        if self._texts is None:
            self._texts = CountedTexts(prompt_texts(self.content))
        return self._texts

    def tokens(self, counter: TokenCounter, image_tokens: int) -> int:
        """What it weighs in a prompt, where an image has `image_tokens`."""
        text = self.texts.tokens(counter, counter.revision())
        return text + self.audio_tokens + self.images * image_tokens


class TokenTotal:
    """The tokens of contributions that come and go, added up as they do."""

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._revision: int | None = counter.revision()
        self._sums = (0, 0, 0)

    def add(self, contribution: Contribution, sign: int = 1) -> None:
        """Count one more; one less with a `sign` of -1."""
        if self._revision is not None:
            self._add(contribution, sign)

    def _add(self, contribution: Contribution, sign: int) -> None:
        if (revision := self._counter.revision()) != self._revision:
            self._revision = None  # what was added up is counted otherwise now
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

    def of(self, contributions: Iterable[Contribution]) -> tuple[int, int, int]:
        """Tokens of text and sound, and images, of `contributions`, which are those added."""
        if (revision := self._counter.revision()) != self._revision:
            self._revision, self._sums = revision, (0, 0, 0)
            for each in contributions:
                self._add(each, 1)
        return self._sums


class Prompt:
    """Input of an answer with its weight: fixed texts, and contributions in order.

    `total` holds the tokens of the first `added` contributions already; `image_tokens` is what an
    image counts.
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
        sums = (0, 0, 0) if total is None else total.of(contributions[:added])
        self._weight = self._weigh(sums, contributions[added:])

    def weight(self) -> TokenCounts:
        """The tokens by modality, as the tokenizer counts now."""
        if (revision := self._counter.revision()) != self._revision:
            self._revision = revision
            self._weight = self._weigh((0, 0, 0), self._contributions)
        return self._weight

    def _weigh(self, sums: tuple[int, int, int], more: Iterable[Contribution]) -> TokenCounts:
        counter, revision = self._counter, self._revision
        text, audio, images = sums
        text += self._fixed.tokens(counter, revision)
        for each in more:
            text += each.texts.tokens(counter, revision)
            audio += each.audio_tokens
            images += each.images
        return TokenCounts(text, audio, images * self._image_tokens)
