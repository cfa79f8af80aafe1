"""The immutable snapshot from which an engine answers, and why an answer ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vivavoce.domain.content import Content, Tools
from vivavoce.domain.ids import GenerationId, SessionId
from vivavoce.domain.setup import Modality, Sampling, Thinking


class EndReason(Enum):
    """Why a generation stopped by itself."""

    COMPLETE = "complete"
    MAX_TOKENS = "max_tokens"
    NEED_MORE_INPUT = "need_more_input"
    """The model chose to say nothing."""
    MALFORMED_CALL = "malformed_call"
    """The model wrote a function call that could not be understood."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """All that an engine may know about the conversation it answers.

    An engine never reads live session state: changing the setup cannot race an answer.
    `session` is a key for per-conversation caches, `history` ends with what is to be
    answered (a user's content, or results of calls). `speculative` tells an engine that its
    work may be thrown away. `unclear` says that what is to be answered was spoken and recognized
    with too little confidence: ask the user to say it again, and call no function.
    """

    session: SessionId
    generation: GenerationId
    instruction: str
    history: tuple[Content, ...]
    tools: Tools
    modality: Modality
    voice: str
    language: str
    sampling: Sampling
    thinking: Thinking | None = None
    speculative: bool = False
    unclear: bool = False
