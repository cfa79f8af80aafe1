"""Which declared function an utterance asks for, if any: likeness of meaning, then a few words.

A model of 135 million parameters can't choose tools. Sentence vectors can: MiniLM is tuned so
that "it is stuffy in here" lies near "open the window", with an axis for words that ask for
nothing. What it was tuned with, and on which declarations, stands in
benchmarks/toolchoice/training; `router.npz` holds the result: low-rank changes of its last
layers, the places of what asks for nothing, and two numbers that turn likeness into odds.

Words correct what likeness can't tell: opposites, what is forbidden or told, what a question
can't ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from importlib import resources

import numpy as np

from vivavoce.domain.content import ToolDeclaration
from vivavoce.engines.function_calling import (
    dates,
    declarations,
    numbers,
    parameter_kinds,
    schema,
    words,
)
from vivavoce.engines.function_calling.parameter_kinds import Role
from vivavoce.engines.function_calling.sentence_embedding import MiniLM, Vector

THRESHOLD = 0.6
_SHARPNESS = np.float32(8)
_READINESS = 1.2
"""How much is added to the odds of a call, in nats: the words below undo some."""
_FORBIDDEN = 4.0
_SUPPOSED = 3.0
_TOLD = 2.5
_ABSENT = 0.8
_OPPOSITE = 4.0
_QUESTION = 2.0
_AGREEMENT = 0.5
_SHARED_NAME = 0.4
_SHARED_WORD = 0.8
_DULL = words.word_set("one user new whether another person words time day now make")


@dataclass(frozen=True, slots=True)
class Choice:
    """The function that fits best, and how likely it is meant, 0 to 1."""

    tool: ToolDeclaration
    score: float


class Router:
    """Chooses by meaning. Blocking: about 10 ms for an utterance once the tools are known."""

    def __init__(
        self,
        network: MiniLM,
        threshold: float = THRESHOLD,
        tuning: Mapping[str, Vector] | None = None,
    ) -> None:
        tuning = _read() if tuning is None else tuning
        changes = {
            name.removesuffix(".a"): _product(first, tuning[f"{name.removesuffix('.a')}.b"])
            for name, first in tuning.items()
            if name.endswith(".a")
        }
        self.encoder = network
        """The sentence encoder before tuning, for comparing words."""
        self._network = network.tuned({f"{name}.weight": c for name, c in changes.items()})
        self._none = tuning["none"]
        self._scale, self._bias = float(tuning["scale"]), float(tuning["bias"])
        self._threshold = threshold

    def learn(self, tools: Sequence[ToolDeclaration]) -> None:
        """Read the declarations ahead: 4 ms for each."""
        self._network.encode_all([text for tool in tools for text in declarations.texts(tool)])

    def choose(self, utterance: str, tools: Sequence[ToolDeclaration]) -> Choice | None:
        """The function asked for; `None` when nothing fits well enough."""
        best = max(self.rank(utterance, tools), key=lambda c: c.score, default=None)
        return best if best is not None and best.score >= self._threshold else None

    def rank(self, utterance: str, tools: Sequence[ToolDeclaration]) -> list[Choice]:
        """Every function with its score; empty when the utterance can't be a request."""
        if not words.tokenize(utterance):
            return []
        request = words.strip_courtesy(utterance)
        vector = self._network.encode(request)
        said = words.tokenize_request(request)
        asks, defines = words.asks_for_information(utterance), words.is_definition(utterance)
        fitting = [tool for tool in tools if not (asks and words.names_action(tool.name))]
        readings = [declarations.texts(tool) for tool in fitting]
        vectors = iter(self._network.encode_all([text for texts in readings for text in texts]))
        nearest = [_likeness([float(vector @ next(vectors)) for _ in texts]) for texts in readings]
        quiet = self._quiet(vector) + _reluctance(utterance)
        there = _there(utterance)
        odds = [
            self._scale * likeness
            - quiet
            + _hints(said, asks, defines, tool)
            - _ABSENT * len(_needs(tool) - there)
            for tool, likeness in zip(fitting, nearest, strict=True)
        ]
        return [
            Choice(tool, 1 / (1 + float(np.exp(-one))))
            for tool, one in zip(fitting, odds, strict=True)
        ]

    def _quiet(self, vector: Vector) -> float:
        """How much the words ask for nothing, on the scale of the likeness to a function."""
        near = _SHARPNESS * (self._none @ vector)
        most = near.max()
        return float(most + np.log(np.exp(near - most).sum())) + self._bias - _READINESS


def _likeness(likenesses: Sequence[float]) -> float:
    """Return the mean of the likeness to the whole declaration and of the best reading's.

    So the wording of a description moves the odds by half of what it did: with the name alone
    near enough, a function is called whatever its description adds.
    """
    return (likenesses[0] + max(likenesses)) / 2


def _reluctance(utterance: str) -> float:
    """How much speaks against a call, whatever is declared."""
    against = _FORBIDDEN if words.is_prohibition(utterance) else 0.0
    against += _SUPPOSED if words.is_hypothetical(utterance) else 0.0
    return against + (_TOLD if words.is_statement(utterance) else 0.0)


class _Kind(Enum):
    """A kind of value that can be heard, or not, before it is known for what."""

    LENGTH = auto()
    NUMBER = auto()
    MOMENT = auto()


def _there(utterance: str) -> frozenset[_Kind]:
    """The kinds of values that were said."""
    spans = dates.moments(utterance)
    lengths = dates.lengths(utterance)
    busy = [*spans, *(span for span, _ in lengths)]
    found = {_Kind.MOMENT} if spans else set()
    if lengths:
        found |= {_Kind.LENGTH, _Kind.NUMBER}
    for _, start, end in numbers.locate(utterance):
        found.add(_Kind.NUMBER)
        if not any(dates.Span(start, end).meets(span) for span in busy):
            found |= {_Kind.LENGTH, _Kind.MOMENT}
    return frozenset(found)


def _needs(tool: ToolDeclaration) -> set[_Kind]:
    """The kinds of values without which a function can't be called."""
    shape = schema.plain(tool.parameters)
    needed = schema.required(shape)
    found = set()
    for name, one in schema.properties(shape).items():
        if name not in needed or one.get("enum") is not None or "default" in one:
            continue
        if schema.kind(one) in ("integer", "number"):
            found.add(_Kind.LENGTH if parameter_kinds.unit_of_time(name, one) else _Kind.NUMBER)
        elif schema.kind(one) == "string" and parameter_kinds.role(name, one, tool) in (
            Role.DAY,
            Role.MOMENT,
        ):
            found.add(_Kind.MOMENT)
    return found


def _hints(said: list[str], asks: bool, defines: bool, tool: ToolDeclaration) -> float:
    named = words.split_identifier(tool.name)
    if words.contradicts(said, named):
        return -_OPPOSITE
    if asks and (defines or not words.names_query(tool.name)):
        return -_QUESTION
    agreement = _AGREEMENT if words.agree(said, named) else 0.0
    return (
        agreement
        + _SHARED_NAME * min(_shared(said, named), 2)
        + _SHARED_WORD * min(_shared(said, words.tokenize(declarations.summary(tool))), 2)
    )


def _shared(said: list[str], told: list[str]) -> int:
    """How many telling words both hold."""
    telling = {word for word in told if word not in words.STOP_WORDS | words.GENERIC_VERBS | _DULL}
    return sum(any(words.is_similar(word, heard) for heard in said) for word in telling)


def _product(first: Vector, second: Vector) -> Vector:
    return (first.astype(np.float32) @ second.astype(np.float32)).T


def _read() -> dict[str, Vector]:
    with (resources.files(__package__) / "router.npz").open("rb") as file, np.load(file) as found:
        return {name: found[name] for name in found.files}
