"""A session written down at a resumable point: transcript and content, no sound."""

from __future__ import annotations

from dataclasses import dataclass

from vivavoce.domain.audio import Position
from vivavoce.domain.content import Content, Tools
from vivavoce.domain.ids import SessionId

CHECKPOINT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What it takes to continue a conversation on another connection.

    Taken only while both sides rest, so it never holds a half-made answer. `position` is
    where the count of heard samples goes on; `messages` counts client messages since setup;
    `heard_s` is how much of the user's speech the history stands for.
    """

    session: SessionId
    model: str
    instruction: str
    tools: Tools
    history: tuple[Content, ...]
    position: Position
    messages: int
    heard_s: float = 0.0
    version: int = CHECKPOINT_VERSION
