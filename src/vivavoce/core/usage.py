"""What a turn cost, in tokens.

Text is counted by the engine. Sound and images are counted here, by the Live API's rates.
"""

from __future__ import annotations

from vivavoce.core.messages import TokenCount
from vivavoce.domain.content import Usage

AUDIO_TOKENS_PER_S = 25

SIGNS_PER_TOKEN = 4
"""Characters of English text in a token, roughly."""


def audio_tokens(duration_s: float) -> int:
    """Tokens that this much sound counts as, in either direction."""
    return round(AUDIO_TOKENS_PER_S * duration_s)


class Tally:
    """The engine's own count over the generations of one model turn."""

    def __init__(self) -> None:
        self._before = Usage()
        self._latest = Usage()

    def report(self, usage: Usage) -> None:
        """The current generation's count so far; the last one counts."""
        self._latest = usage

    def next_generation(self) -> None:
        """Another generation of the same turn begins."""
        self._before = self._before.then(self._latest)
        self._latest = Usage(prompt_tokens=self._latest.prompt_tokens)

    def count(
        self, sent_s: float, heard_s: float, prompt_images: int, tool_signs: int = 0
    ) -> TokenCount:
        """The turn's cost, with the sound that was sent in it and what its context held.

        `prompt_images` is in tokens: what an image costs is the client's choice. `tool_signs`
        are the characters that the server's own tools added to the prompt; their tokens are
        told apart from the rest of it, by an estimate, since engines count them together.
        """
        usage = self._before.then(self._latest)
        tools = min(tool_signs // SIGNS_PER_TOKEN, usage.prompt_tokens)
        prompt_audio = audio_tokens(heard_s)
        return TokenCount(
            prompt=usage.prompt_tokens - tools + prompt_audio + prompt_images,
            cached=usage.cached_tokens,
            response_text=usage.response_tokens,
            response_audio=audio_tokens(sent_s),
            thoughts=usage.thought_tokens,
            tools=usage.tool_tokens + tools,
            prompt_audio=prompt_audio,
            prompt_images=prompt_images,
        )
