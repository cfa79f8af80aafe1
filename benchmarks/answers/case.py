"""The forms of the labelled cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

INSTRUCTION = "You are a friendly voice assistant. Answer in one to three short sentences."


@dataclass(frozen=True, slots=True)
class Rubric:
    """What a spoken answer has to be.

    `must` are regular expressions of which every one has to be found, `must_not` such of which
    none may be; case doesn't count. `sentences` and `words` are upper limits, `None` for no limit.
    """

    must: tuple[str, ...] = ()
    must_not: tuple[str, ...] = ()
    sentences: int | None = 3
    words: int | None = 70
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Question:
    """Something said to the model, after `history` (user and model by turns), and its rubric."""

    said: str
    rubric: Rubric
    history: tuple[str, ...] = ()
    instruction: str = INSTRUCTION


@dataclass(frozen=True, slots=True)
class PassageQuestion:
    """A question that one sentence of one passage answers.

    `sentence` stands in the passage word for word. `must_not` would be facts of its neighbors.
    """

    said: str
    sentence: str
    must: tuple[str, ...]
    must_not: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """A document of about 300 tokens, and questions about it."""

    title: str
    text: str
    questions: tuple[PassageQuestion, ...]


@dataclass(frozen=True, slots=True)
class ToolReport:
    """A function that was called for `said`, and its result, which the model has to report."""

    said: str
    name: str
    description: str
    args: dict[str, Any]
    response: dict[str, Any]
    rubric: Rubric


@dataclass(frozen=True, slots=True)
class Persona:
    """The user's side of a long conversation, said whatever the answers are."""

    name: str
    instruction: str
    lines: tuple[str, ...] = field(repr=False)


def fact(said: str, *accepted: str, wrong: tuple[str, ...] = ()) -> Question:
    """A question with one right answer, in any of the forms `accepted`."""
    return Question(said, Rubric(("|".join(accepted),), wrong, sentences=None, words=None))
