"""The port through which function calling asks the language model that it serves."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from vivavoce.domain.content import Content, Role, Text, Tools
from vivavoce.domain.ids import GenerationId, SessionId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import Modality, Sampling
from vivavoce.engines.ports import LanguageModel, TextDelta
from vivavoce.engines.workers import CancelToken

_SESSION = SessionId("function_calling")
_POLL_S = 0.1

Message = Mapping[str, str]
"""One chat message: `role` (system, user or assistant) and `content`."""


class Completion(Protocol):
    """Short, blocking questions to a language model, beside its conversations."""

    def complete(self, messages: Sequence[Message], max_tokens: int, cancel: CancelToken) -> str:
        """The model's greedy answer to `messages`, at most `max_tokens` tokens long.

        Returns what was written so far when `cancel` is set. Raises `EngineError`.
        """
        ...

    def rank_names(
        self, messages: Sequence[Message], names: Sequence[str], cancel: CancelToken
    ) -> Mapping[str, float]:
        """The natural log probability with which the answer begins with each of `names`.

        Empty when the model can't tell (no log probabilities), or when `cancel` is set. The
        messages before the last one are kept as a cached prefix. Raises `EngineError`.
        """
        ...


class GeneratedCompletion:
    """Completion by the answers of any language model, which run on the event loop `loop`.

    Its methods block and are called from other threads. No probabilities, nothing read ahead.
    """

    def __init__(self, model: LanguageModel, loop: asyncio.AbstractEventLoop) -> None:
        self._model = model
        self._loop = loop

    def complete(self, messages: Sequence[Message], max_tokens: int, cancel: CancelToken) -> str:
        """See `Completion`. Empty when `cancel` is set."""
        if not max_tokens:
            return ""
        answer = self._answer(_request(messages, max_tokens))
        future = asyncio.run_coroutine_threadsafe(answer, self._loop)
        while not cancel.cancelled:
            if concurrent.futures.wait((future,), _POLL_S).done:
                return future.result()
        future.cancel()
        return ""

    def rank_names(
        self, messages: Sequence[Message], names: Sequence[str], cancel: CancelToken
    ) -> Mapping[str, float]:
        """See `Completion`: always empty."""
        return {}

    async def _answer(self, request: GenerationRequest) -> str:
        parts: Any = self._model.generate(request)
        async with aclosing(parts):
            return "".join([p.text async for p in parts if isinstance(p, TextDelta)])


def _request(messages: Sequence[Message], max_tokens: int) -> GenerationRequest:
    roles = {"user": Role.USER, "assistant": Role.MODEL}
    turns = (one for one in messages if one["role"] in roles)
    return GenerationRequest(
        session=_SESSION,
        generation=GenerationId(0),
        instruction="\n".join(one["content"] for one in messages if one["role"] == "system"),
        history=tuple(Content(roles[one["role"]], (Text(one["content"]),)) for one in turns),
        tools=Tools(),
        modality=Modality.TEXT,
        voice="",
        language="",
        sampling=Sampling(temperature=0.0, max_output_tokens=max_tokens),
    )
