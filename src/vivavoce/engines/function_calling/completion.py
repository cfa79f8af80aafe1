"""The port through which function calling asks the language model that it serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from vivavoce.engines.lanes import CancelToken

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
