"""A contribution to the conversation, with what it weighs in memory and in a prompt.

Each weight is determined once: what a turn costs must not grow with the conversation. Tokens are
counted again only when the tokenizer has learned to count otherwise, from texts that are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vivavoce.core.usage import audio_tokens
from vivavoce.core.weight import weigh
from vivavoce.core.window import Gauge, Weight, image_count, prompt_texts
from vivavoce.domain.content import Content


class CountedTexts:
    """Texts of a prompt and their tokens, which are kept while the tokenizer counts alike."""

    __slots__ = ("_revision", "_texts", "_tokens")

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._tokens = 0
        self._revision: int | None = None

    def tokens(self, gauge: Gauge, revision: int) -> int:
        """The tokens of all texts; `revision` is the present one of `gauge`."""
        if revision != self._revision:
            self._tokens = sum(map(gauge.count, self._texts))
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
        """What it holds in memory, roughly."""
        if self._bytes is None:
            self._bytes = weigh(self.content)
        return self._bytes

    @property
    def texts(self) -> CountedTexts:
        """The texts that a prompt holds of it."""
        if self._texts is None:
            self._texts = CountedTexts(prompt_texts(self.content))
        return self._texts


class Prompt:
    """What an answer is made from, as it weighs: fixed texts, and contributions in order.

    `image_tokens` is what an image counts.
    """

    def __init__(
        self,
        fixed: CountedTexts,
        contributions: Iterable[Contribution],
        gauge: Gauge,
        image_tokens: int,
    ) -> None:
        self._fixed = fixed
        self._contributions = tuple(contributions)
        self._gauge = gauge
        self._image_tokens = image_tokens

    def weight(self) -> Weight:
        """The tokens by modality, as the tokenizer counts now."""
        gauge, revision = self._gauge, self._gauge.revision()
        text, audio, images = self._fixed.tokens(gauge, revision), 0, 0
        for each in self._contributions:
            text += each.texts.tokens(gauge, revision)
            audio += each.audio_tokens
            images += each.images
        return Weight(text, audio, images * self._image_tokens)
