"""Clarification requests: the answer to speech recognized with too little confidence.

Sentences are English only, like the embedded recognizer, the only one that gives a confidence.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from vivavoce.domain.content import Role
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.ports import LanguageModelCapabilities, ModelPart, TextDelta

SENTENCES = (
    "Sorry, I didn't catch that.",
    "Could you say that again, please?",
    "I'm sorry, I still didn't understand. Please say it once more.",
)
"""Said in turn, so that no answer equals the one before."""


def is_english(language: str) -> bool:
    """Whether a BCP-47 code is English; no code at all is taken for it."""
    return not language or language.split("-")[0].casefold() == "en"


class ClarificationModel:
    """A language model that knows these sentences only."""

    capabilities = LanguageModelCapabilities()

    async def prepare(self, request: GenerationRequest) -> None:
        """Needs none."""

    async def generate(self, request: GenerationRequest) -> AsyncIterator[ModelPart]:
        """The sentence after the one that the model's last words were."""
        said = [content.text.strip() for content in request.history if content.role is Role.MODEL]
        last = said[-1] if said else ""
        after = SENTENCES.index(last) + 1 if last in SENTENCES else 0
        yield TextDelta(SENTENCES[after % len(SENTENCES)])

    async def release(self, session: str) -> None:
        """Holds nothing."""

    async def aclose(self) -> None:
        """Holds nothing."""
