"""What a turn cost, in tokens.

What a turn was made from is weighed by window.py; what was answered in text, the engine counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vivavoce.core.messages import TokenCount
from vivavoce.domain.content import Usage

if TYPE_CHECKING:
    from vivavoce.core.context_window import TokenCounts

AUDIO_TOKENS_PER_S = 25


def audio_tokens(duration_s: float) -> int:
    """Tokens that this much sound counts as, in either direction."""
    return round(AUDIO_TOKENS_PER_S * duration_s)


class UsageCounter:
    """The engine's own count over the generations of one model turn."""

    def __init__(self) -> None:
        self._before = Usage()
        self._latest = Usage()

    def add_usage(self, usage: Usage) -> None:
        """The current generation's count so far; the last one counts."""
        self._latest = usage

    def next_generation(self) -> None:
        """Another generation of the same turn begins."""
        self._before = self._before.update_with(self._latest)
        self._latest = Usage(prompt_tokens=self._latest.prompt_tokens)

    def count_tokens(self, prompt: TokenCounts, sent_s: float, tools: int = 0) -> TokenCount:
        """The turn's cost: what it was made from, and the sound that was sent in it.

        `tools` are the tokens that the server's own tools added to the prompt, told apart from
        the rest of it.
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
