"""A language model without tools that repeats the last words which it reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.function_calling.completion import Message
from vivavoce.engines.ports import LanguageModelCapabilities, ModelPart, TextDelta
from vivavoce.engines.workers import CancelToken


class TextModel:
    """Repeats what it reads; keeps each request. Short questions get the scripted `answers`."""

    def __init__(self, answers: Sequence[str] = ()) -> None:
        self.capabilities = LanguageModelCapabilities(slots=2, repairs=True)
        self.requests: list[GenerationRequest] = []
        self.prepared: list[GenerationRequest] = []
        self.questions: list[Sequence[Message]] = []
        self.released: list[str] = []
        self.closed = False
        self._answers = list(answers)

    async def prepare(self, request: GenerationRequest) -> None:
        self.prepared.append(request)

    async def generate(self, request: GenerationRequest) -> AsyncIterator[ModelPart]:
        self.requests.append(request)
        for content in request.history[-1:]:
            yield TextDelta(f"You said: {content.text}")

    async def release(self, session: str) -> None:
        self.released.append(session)

    async def aclose(self) -> None:
        self.closed = True

    def complete(self, messages: Sequence[Message], max_tokens: int, cancel: CancelToken) -> str:
        self.questions.append(list(messages))
        return self._answers.pop(0) if self._answers and max_tokens else ""

    def rank_names(
        self, messages: Sequence[Message], names: Sequence[str], cancel: CancelToken
    ) -> Mapping[str, float]:
        return {}
