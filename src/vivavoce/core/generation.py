"""One run of the responder, as far as the core needs to know it."""

from __future__ import annotations

from dataclasses import dataclass, field

from vivavoce.core.contribution import Prompt
from vivavoce.core.events import (
    AudioProduced,
    GenerationFailed,
    GenerationFinished,
    GenerationRefused,
    TextProduced,
    ToolCallsProduced,
    UsageProduced,
)
from vivavoce.domain.audio import pcm_seconds
from vivavoce.domain.ids import GenerationId, TurnId
from vivavoce.domain.request import GenerationRequest

MAX_HELD_S = 30.0
MAX_HELD_PARTS = 2000
"""What a speculation may hold; one that makes more is discarded."""

FromGeneration = (
    AudioProduced
    | TextProduced
    | ToolCallsProduced
    | UsageProduced
    | GenerationFinished
    | GenerationFailed
    | GenerationRefused
)


@dataclass(frozen=True, slots=True)
class Basis:
    """What a speculation was started from; it may speak only if this still holds.

    `words` are compared in substance, and `version` is that of the context; `unclear` says that the
    words were recognized with too little confidence to be answered.
    """

    turn: TurnId
    words: str
    version: int
    unclear: bool = False


@dataclass(slots=True)
class Generation:
    """A generation with its number, its picture of the conversation, and what it may not say yet.

    `prompt` is what the picture weighs.

    It is `running` until it finished, failed or was cancelled, and is not listened to after.
    """

    request: GenerationRequest
    prompt: Prompt
    basis: Basis | None = None
    running: bool = True
    last_sign: float = 0.0
    held: list[FromGeneration] = field(default_factory=list)
    _held_s: float = 0.0

    @property
    def id(self) -> GenerationId:
        return self.request.generation

    def hold(self, event: FromGeneration) -> bool:
        """Keep a part for later; false when there is more of it than may be kept."""
        self.held.append(event)
        if isinstance(event, AudioProduced):
            self._held_s += pcm_seconds(event.pcm)
        return self._held_s <= MAX_HELD_S and len(self.held) <= MAX_HELD_PARTS
