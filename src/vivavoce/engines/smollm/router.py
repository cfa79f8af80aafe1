"""Which declared function an utterance asks for, if any: likeness of meaning, then a few words.

A model of 135 million parameters can't choose tools; sentence vectors can, as long as an
utterance says what it wants. The numbers come from the tables in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vivavoce.domain.content import ToolDeclaration
from vivavoce.engines.smollm import words
from vivavoce.engines.smollm.minilm import MiniLM, Vector

THRESHOLD = 0.4
_SHARED_WORD = 0.1
_SHARED_AT_MOST = 0.3
_QUESTION = 0.35
_OPPOSITE = 0.4
_AGREEMENT = 0.05
_ONLY_A_VERB = 0.15


@dataclass(frozen=True, slots=True)
class Choice:
    """The function that fits best, and how well."""

    tool: ToolDeclaration
    score: float


class Router:
    """Chooses by meaning. Blocking: about 6 ms for an utterance once the tools are known."""

    def __init__(self, network: MiniLM, threshold: float = THRESHOLD) -> None:
        self._network = network
        self._threshold = threshold

    def learn(self, tools: Sequence[ToolDeclaration]) -> None:
        """Read the declarations ahead."""
        for tool in tools:
            for text in _descriptions(tool):
                self._network.encode(text)

    def choose(self, utterance: str, tools: Sequence[ToolDeclaration]) -> Choice | None:
        """The function asked for; `None` when nothing fits well enough."""
        best = max(self.rank(utterance, tools), key=lambda c: c.score, default=None)
        return best if best is not None and best.score >= self._threshold else None

    def rank(self, utterance: str, tools: Sequence[ToolDeclaration]) -> list[Choice]:
        """Every function with its score; empty when the utterance can't be a request."""
        if not words.of_speech(utterance) or words.is_no_request(utterance):
            return []
        request = words.without_courtesy(utterance)
        vector = self._network.encode(request)
        said = words.meant(request)
        asks, defines = words.wants_to_know(utterance), words.is_definition(utterance)
        return [
            Choice(tool, self._likeness(vector, tool) + _hints(said, asks, defines, tool))
            for tool in tools
            if not (asks and words.acts(tool.name))
        ]

    def _likeness(self, vector: Vector, tool: ToolDeclaration) -> float:
        return max(float(vector @ self._network.encode(text)) for text in _descriptions(tool))


def _descriptions(tool: ToolDeclaration) -> list[str]:
    name = " ".join(words.of_name(tool.name))
    if not tool.description:
        return [name]
    first = tool.description.split(". ")[0].strip().rstrip(".")
    return [name, first, f"{name}: {first}"]


def _hints(said: list[str], asks: bool, defines: bool, tool: ToolDeclaration) -> float:
    named = words.of_name(tool.name)
    if words.contradict(said, named):
        return -_OPPOSITE
    if asks and (defines or not words.informs(tool.name)):
        return -_QUESTION
    telling = [word for word in named if word not in words.EMPTY]
    shared = [word for word in telling if any(words.alike(word, heard) for heard in said)]
    hint = min(_SHARED_WORD * len(shared), _SHARED_AT_MOST)
    if words.agree(said, named):
        return hint + _AGREEMENT
    return -_ONLY_A_VERB if shared and words.GENERAL.issuperset(shared) else hint
