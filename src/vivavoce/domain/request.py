"""Generation request: the snapshot that an engine answers, and the reasons for an answer's end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vivavoce.domain.content import Content, Tools
from vivavoce.domain.ids import GenerationId, SessionId
from vivavoce.domain.setup import Modality, Sampling, Thinking


class EndReason(Enum):
    """Reason for the end of a generation."""

    COMPLETE = "complete"
    MAX_TOKENS = "max_tokens"
    NEED_MORE_INPUT = "need_more_input"
    """The model chose to say nothing."""
    MALFORMED_CALL = "malformed_call"
    """The model wrote a function call that could not be understood."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """Input of one generation: everything an engine receives of the conversation.

    It never reads live session state, so that no change can race an answer. `session` is a key for
    caches, `history` ends with what is to be answered: content of the user, or results of calls.
    `speculative`: the output may be discarded. `unclear`: what is to be answered was recognized
    with too little confidence; ask the user to repeat it, and call no function.
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
