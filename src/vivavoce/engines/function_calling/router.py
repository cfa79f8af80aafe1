"""Choice of the declared function that an utterance asks for, if any.

A sentence encoder brings "it is stuffy in here" near "open the window": MiniLM, tuned on utterances
and declarations of benchmarks/toolchoice/training. `router.npz` holds the result: low-rank changes
of its last layers, vectors of utterances that ask for nothing, and two numbers that turn cosine
similarity into log odds. Words correct what similarity can't tell: opposites, prohibitions,
statements, and questions, which never ask for a function that acts. Where the odds are unclear,
a language model that can judge is asked as well, and both log odds are added.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from importlib import resources

import numpy as np

from vivavoce.domain.content import ToolDeclaration
from vivavoce.engines.function_calling import THRESHOLD, declarations, numbers, words
from vivavoce.engines.function_calling.completion import Completion, Message, few_shot
from vivavoce.engines.function_calling.declarations import ParameterKind
from vivavoce.engines.function_calling.sentence_embedding import MiniLM, Vector
from vivavoce.engines.speech_text import STOP_WORDS
from vivavoce.engines.workers import CancelToken
from vivavoce.errors import EngineError

log = logging.getLogger(__name__)

_UNSURE = (0.05, 0.99)
"""Between these probabilities the judge is asked: outside it never changed a decision."""
_NOT_RANKED = -4.0
"""The router's log odds of a function that it left out, as one that acts on a question."""
_SHARPNESS = np.float32(8)
_READINESS = 1.2
"""How much is added to the odds of a call, in nats: the words below undo some."""
_PROHIBITION = 4.0
_HYPOTHETICAL = 3.0
_STATEMENT = 2.5
_ABSENT = 0.8
_OPPOSITE = 4.0
_QUESTION = 2.0
_AGREEMENT = 0.5
_SHARED_NAME = 0.4
_ASKED_OBJECT = 2.0
"""For a question that holds what a query function's name asks for: `weather` of `get_weather`."""
_SHARED_WORD = 0.8
_UNSPECIFIC = words.word_set("one user new whether another person words time day now make")


@dataclass(frozen=True, slots=True)
class Choice:
    """A function, and the probability that it is asked for."""

    tool: ToolDeclaration
    score: float


class Router:
    """Chooses functions by meaning. Blocking: 15 ms an utterance once the tools are read."""

    def __init__(
        self,
        network: MiniLM,
        threshold: float = THRESHOLD,
        tuning: Mapping[str, Vector] | None = None,
        judge: ListJudge | None = None,
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
        self._judge = judge

    def prepare_tools(self, tools: Sequence[ToolDeclaration], cancel: CancelToken) -> None:
        """Read the declarations ahead, for the judge too. Raises `EngineError`."""
        self.embed_tools(tools, cancel)
        if self._judge is not None:
            self._judge.prepare_tools(tools, cancel)

    def embed_tools(
        self, tools: Sequence[ToolDeclaration], cancel: CancelToken | None = None
    ) -> None:
        """Embed the declarations ahead: 4 ms for each."""
        texts = [text for tool in tools for text in declarations.embedded_texts(tool)]
        self._network.encode_all(texts, cancel)

    def choose_function(
        self,
        utterance: str,
        tools: Sequence[ToolDeclaration],
        cancel: CancelToken | None = None,
    ) -> Choice | None:
        """Return the function asked for; `None` when nothing fits well enough.

        Where the router is unsure and has a judge, the sum of both log odds decides. Blocking: up
        to a second then. Where the judge's model fails, the router decides alone.
        """
        ranked = self.rank_functions(utterance, tools)
        best = max(ranked, key=lambda c: c.score, default=None)
        if best is None:
            return None
        if self._judge is not None and _UNSURE[0] <= best.score <= _UNSURE[1]:
            judged = self._opinion(self._judge, utterance, tools, cancel or CancelToken())
            if judged:
                return _jointly(ranked, tools, judged)
        return best if best.score >= self._threshold else None

    @staticmethod
    def _opinion(
        judge: ListJudge, utterance: str, tools: Sequence[ToolDeclaration], cancel: CancelToken
    ) -> Mapping[str, float]:
        try:
            return judge.log_odds(utterance, tools, cancel)
        except EngineError as error:
            log.warning("judge failed", extra={"problem": str(error)})
            return {}

    def rank_functions(self, utterance: str, tools: Sequence[ToolDeclaration]) -> list[Choice]:
        """Return the functions with their probability; empty for an utterance without words."""
        if not words.tokenize(utterance):
            return []
        request = words.strip_courtesy(utterance)
        vector = self._network.encode(request)
        spoken = words.tokenize_request(request)
        asks, defines = words.asks_for_information(utterance), words.is_definition(utterance)
        fitting = [tool for tool in tools if not (asks and words.names_action(tool.name))]
        readings = [declarations.embedded_texts(tool) for tool in fitting]
        vectors = iter(self._network.encode_all([text for texts in readings for text in texts]))
        nearest = [_likeness([float(vector @ next(vectors)) for _ in texts]) for texts in readings]
        quiet = self._none_odds(vector) + _reluctance(utterance)
        states = words.is_statement(utterance)
        there = _there(utterance)
        odds = [
            self._scale * likeness
            - quiet
            + _hints(spoken, asks, defines, tool)
            - _ABSENT * len(_needs(tool) - there)
            - _STATEMENT * (states and not words.names_record(tool.name))
            for tool, likeness in zip(fitting, nearest, strict=True)
        ]
        return [
            Choice(tool, 1 / (1 + float(np.exp(-one))))
            for tool, one in zip(fitting, odds, strict=True)
        ]

    def _none_odds(self, vector: Vector) -> float:
        """Return the log odds that the words ask for nothing, on the scale of the similarity."""
        near = _SHARPNESS * (self._none @ vector)
        most = near.max()
        return float(most + np.log(np.exp(near - most).sum())) + self._bias - _READINESS


def _jointly(
    ranked: Sequence[Choice], tools: Sequence[ToolDeclaration], judged: Mapping[str, float]
) -> Choice | None:
    """Return the function with the highest sum of log odds, if it is above 0."""
    own = {choice.tool.name: _log_odds(choice.score) for choice in ranked}
    sums = {
        tool.name: own.get(tool.name, _NOT_RANKED) + judged.get(tool.name, -MAX_LOG_ODDS)
        for tool in tools
    }
    best = max(tools, key=lambda tool: sums[tool.name])
    odds = sums[best.name]
    return Choice(best, 1 / (1 + math.exp(-odds))) if odds > 0 else None


def _log_odds(probability: float) -> float:
    odds = math.log(max(probability, 1e-9)) - math.log(max(1 - probability, 1e-9))
    return max(-MAX_LOG_ODDS, min(MAX_LOG_ODDS, odds))


def _likeness(likenesses: Sequence[float]) -> float:
    """Return the mean of the likeness to the whole declaration and of the best reading's.

    So the wording of a description moves the odds by half of what it did: with the name alone
    near enough, a function is called whatever its description adds.
    """
    return (likenesses[0] + max(likenesses)) / 2


def _reluctance(utterance: str) -> float:
    """Return the log odds against any call."""
    against = _PROHIBITION if words.is_prohibition(utterance) else 0.0
    return against + (_HYPOTHETICAL if words.is_hypothetical(utterance) else 0.0)


class _Kind(Enum):
    """A kind of value that an utterance holds or not, whatever it is for."""

    LENGTH = auto()
    NUMBER = auto()
    MOMENT = auto()


def _there(utterance: str) -> frozenset[_Kind]:
    """Return the kinds of values in the utterance."""
    spans = numbers.find_moments(utterance)
    lengths = numbers.find_durations(utterance)
    busy = [*spans, *(span for span, _ in lengths)]
    found = {_Kind.MOMENT} if spans else set()
    if lengths:
        found |= {_Kind.LENGTH, _Kind.NUMBER}
    for _, start, end in numbers.locate_numbers(utterance):
        found.add(_Kind.NUMBER)
        if not any(words.Span(start, end).meets(span) for span in busy):
            found |= {_Kind.LENGTH, _Kind.MOMENT}
    return frozenset(found)


def _needs(tool: ToolDeclaration) -> set[_Kind]:
    """Return the kinds of values without which a function can't be called."""
    found = set()
    for one in declarations.parameters(tool):
        if not one.needed or one.implied is not declarations.UNKNOWN:
            continue
        if one.kind in ("integer", "number"):
            timed = declarations.unit_of_time(one.name, one.schema)
            found.add(_Kind.LENGTH if timed else _Kind.NUMBER)
        elif one.kind == "string" and declarations.kind_of(one.name, one.schema, tool) in (
            ParameterKind.DAY,
            ParameterKind.MOMENT,
        ):
            found.add(_Kind.MOMENT)
    return found


def _hints(spoken: list[str], asks: bool, defines: bool, tool: ToolDeclaration) -> float:
    named = words.split_identifier(tool.name)
    if words.contradicts(spoken, named):
        return -_OPPOSITE
    shared = min(_shared(spoken, named), 2)
    if asks and (defines or not (shared or words.names_query(tool.name))):
        return -_QUESTION
    agreement = _AGREEMENT if words.agree(spoken, named) else 0.0
    asked = _ASKED_OBJECT if asks and shared and words.names_query(tool.name) else 0.0
    return (
        agreement
        + asked
        + _SHARED_NAME * shared
        + _SHARED_WORD * min(_shared(spoken, words.tokenize(declarations.summary(tool))), 2)
    )


def _shared(spoken: list[str], named_words: list[str]) -> int:
    """Return how many content words both have."""
    content = {
        word for word in named_words if word not in STOP_WORDS | words.GENERIC_VERBS | _UNSPECIFIC
    }
    return sum(
        any(words.is_similar(word, word_spoken) for word_spoken in spoken) for word in content
    )


def _product(first: Vector, second: Vector) -> Vector:
    return (first.astype(np.float32) @ second.astype(np.float32)).T


def _read() -> dict[str, Vector]:
    with (resources.files(__package__) / "router.npz").open("rb") as file, np.load(file) as found:
        return {name: found[name] for name in found.files}


# --- the judge ----------------------------------------------------------------------------

NONE = "none"
MAX_LOG_ODDS = 8.0
"""Log odds are clipped here, for a call and against it."""
MAX_FUNCTIONS = 32
"""Functions of the longest list: it is read at 30 to 50 tokens a second before the first answer."""
_MAX_CACHED_PLANS = 256
_MAX_WORDS = 60
_JUDGE_INSTRUCTION = (
    "You decide which function a user's words ask for. Answer with the name of one function of the"
    f" list, or with {NONE}. Answer {NONE} if the words tell or refuse something, are small talk,"
    " ask for knowledge, or ask for what no function in the list does."
)
_EXAMPLE_LIST = (
    "- feed_parrot: Put seeds into the parrot's bowl.\n"
    "- get_pond_level: Measure how full the pond is.\n"
    "- ring_gong: Strike the gong in the hall.\n"
    "- lend_umbrella: Note that somebody has borrowed an umbrella."
)
_JUDGED = (
    ("the bird looks hungry", "feed_parrot"),
    ("who invented the gong", NONE),
    ("How deep is the water in the pond?", "get_pond_level"),
    ("don't ring it yet they are asleep", NONE),
    ("i fed the parrot an hour ago", NONE),
    ("Max took the red umbrella home.", "lend_umbrella"),
    ("thanks that was nice of you", NONE),
    ("Mow the lawn.", NONE),
    ("call everybody to dinner with the gong", "ring_gong"),
    ("what is a pond", NONE),
)


class ListJudge:
    """Asks a language model which function of a list an utterance asks for, or none.

    The model reads the whole list, names and first sentences, after examples on functions that do
    not exist: requests, statements, refusals, small talk, and requests that nothing in the list
    serves. What counts is the probability with which its answer begins with each name, or with
    "none"; the answer itself is never used. List and examples are the same for all utterances:
    they are read once and cached, and a question costs the utterance's own 15 to 20 tokens.

    Blocking: 0.5 s on two threads, 0.9 s on one, with Qwen2.5-Coder-Instruct 1.5B, which halves
    the wrong calls. The 0.5B does not know when no function is asked for, and adds nothing.
    """

    def __init__(self, completion: Completion) -> None:
        self._completion = completion
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, tuple[str, ...]], Mapping[str, float]] = OrderedDict()

    def prepare_tools(self, tools: Sequence[ToolDeclaration], cancel: CancelToken) -> None:
        """Read the examples and the list ahead. Raises `EngineError`."""
        if 0 < len(tools) <= MAX_FUNCTIONS:
            self._completion.complete([*_opening(tools), _question("")], 0, cancel)

    def log_odds(
        self, utterance: str, tools: Sequence[ToolDeclaration], cancel: CancelToken
    ) -> Mapping[str, float]:
        """Return the natural log odds of each function's name against all other answers.

        Empty where the model gives no probabilities, for longer lists than `MAX_FUNCTIONS`, and
        after `cancel`. Raises `EngineError`.
        """
        if not 0 < len(tools) <= MAX_FUNCTIONS:
            return {}
        key = (utterance, tuple(map(_line, tools)))
        with self._lock:
            if key in self._known:
                return self._known[key]
        names = [*dict.fromkeys(tool.name for tool in tools), NONE]
        messages = [*_opening(tools), _question(utterance)]
        found = _odds(self._completion.rank_names(messages, names, cancel))
        if found:
            with self._lock:
                self._known[key] = found
                while len(self._known) > _MAX_CACHED_PLANS:
                    self._known.popitem(last=False)
        return found


def _odds(log_probabilities: Mapping[str, float]) -> dict[str, float]:
    """Return clipped log odds of the names, with the probabilities made to sum up to one."""
    if NONE not in log_probabilities:
        return {}
    most = max(log_probabilities.values())
    weights = {name: math.exp(logprob - most) for name, logprob in log_probabilities.items()}
    total = sum(weights.values())
    return {
        name: _clipped(math.log(max(weight, 1e-30)) - math.log(max(total - weight, 1e-30)))
        for name, weight in weights.items()
        if name != NONE
    }


def _clipped(odds: float) -> float:
    return max(-MAX_LOG_ODDS, min(MAX_LOG_ODDS, odds))


def _opening(tools: Sequence[ToolDeclaration]) -> list[Message]:
    """Return the messages before the question; all but the last two are the same for all lists."""
    listed = "\n".join(map(_line, tools))
    return few_shot(
        _JUDGE_INSTRUCTION,
        [
            (f"Functions:\n{_EXAMPLE_LIST}", "ok"),
            *((f"Words: {spoken}", answer) for spoken, answer in _JUDGED),
            (f"From now on other functions:\n{listed}", "ok"),
        ],
    )


def _question(utterance: str) -> Message:
    return {"role": "user", "content": f"Words: {' '.join(utterance.split()[:_MAX_WORDS])}"}


def _line(tool: ToolDeclaration) -> str:
    about = declarations.summary(tool)
    return f"- {tool.name}: {about}." if about else f"- {tool.name}"
