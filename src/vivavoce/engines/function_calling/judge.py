"""A language model's opinion on which function of a list an utterance asks for.

The model reads the whole list, names and first sentences, after examples on functions that do not
exist: requests, statements, refusals, small talk, and requests that nothing in the list serves.
What counts is the probability with which its answer begins with each name, or with "none"; the
answer itself is never used. List and examples are the same for all utterances: they are read once
and cached, and a question costs the utterance's own 15 to 20 tokens.

Measured with Qwen2.5-Coder-Instruct 1.5B: beside the router it halves the wrong calls. The 0.5B
does not know when no function is asked for, and adds nothing.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from vivavoce.domain.content import ToolDeclaration
from vivavoce.engines.function_calling import declarations
from vivavoce.engines.function_calling.completion import Completion, Message
from vivavoce.engines.workers import CancelToken

NONE = "none"
MAX_LOG_ODDS = 8.0
"""Log odds are clipped here, for a call and against it."""
MAX_FUNCTIONS = 32
"""Functions of the longest list: it is read at 30 to 50 tokens a second before the first answer."""
_REMEMBERED = 256
_MAX_WORDS = 60
_INSTRUCTION = (
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
_EXAMPLES = (
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
    """Asks the model about utterances. Blocking: 0.5 s on two threads, 0.9 s on one (1.5B)."""

    def __init__(self, completion: Completion) -> None:
        self._completion = completion
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, tuple[str, ...]], Mapping[str, float]] = OrderedDict()

    def prepare(self, tools: Sequence[ToolDeclaration], cancel: CancelToken) -> None:
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
                while len(self._known) > _REMEMBERED:
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
    """Return what comes before the question; all but the last two messages are the same for all."""
    turns: list[Message] = [
        {"role": "system", "content": _INSTRUCTION},
        *_exchange(f"Functions:\n{_EXAMPLE_LIST}", "ok"),
    ]
    for spoken, answer in _EXAMPLES:
        turns += _exchange(_quoted(spoken), answer)
    listed = "\n".join(map(_line, tools))
    return [*turns, *_exchange(f"From now on other functions:\n{listed}", "ok")]


def _exchange(asked: str, answered: str) -> list[Message]:
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]


def _question(utterance: str) -> Message:
    return {"role": "user", "content": _quoted(" ".join(utterance.split()[:_MAX_WORDS]))}


def _quoted(spoken: str) -> str:
    return f"Words: {spoken}"


def _line(tool: ToolDeclaration) -> str:
    about = declarations.summary(tool)
    return f"- {tool.name}: {about}." if about else f"- {tool.name}"
