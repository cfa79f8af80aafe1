"""Short questions to the model beside its conversations, for function calling."""

from __future__ import annotations

import functools
import math
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from vivavoce.engines.function_calling.completion import Message
from vivavoce.engines.llamacpp.llama import Chunk, Llama
from vivavoce.engines.llamacpp.prompt import without_control_tokens
from vivavoce.engines.llamacpp.slots import SlotStates
from vivavoce.engines.workers import CancelToken

_LIKELIEST = 1000
"""Tokens whose probability is asked for; those of a name beyond have the last one's at most."""

_STEPS = 8
"""Places in the tree of names that are looked at: a token each, 30 to 70 ms."""

_NEGLIGIBLE = 6.0
"""Names this much less likely (natural logarithm) than the best one are not told apart."""

_LEAST = -20.0
"""Log probability of what is not among the likeliest tokens and has no neighbor there."""

_NAMES = 4096
"""Names whose tokens are remembered: each costs a request to the library."""

_END = -1
"""Stands for whatever token follows a name that is the beginning of another one."""

_POLL_S = 0.02

_Name = tuple[int, ...]


class LlamaCompletion:
    """Implements the `Completion` port in a slot of its own, so it evicts no conversation.

    What the questions begin with (all messages but the last) is saved when it was read first, and
    restored when another beginning was asked about meanwhile. Questions come one at a time.
    """

    def __init__(self, llama: Llama, states: SlotStates, slot: int) -> None:
        self._llama = llama
        self._states = states
        self._slot = slot
        self._beginning = ""
        self._lock = threading.Lock()
        self._token_ids = functools.lru_cache(_NAMES)(lambda name: tuple(llama.token_ids(name)))

    def complete(self, messages: Sequence[Message], max_tokens: int, cancel: CancelToken) -> str:
        """The greedy answer to `messages`. Raises `EngineError`."""
        body = {
            "messages": _chat(messages),
            "temperature": 0.0,
            "max_tokens": max_tokens,
            "id_slot": self._slot,
            "cache_prompt": True,
        }
        with self._reading(messages, cancel):
            text = self._llama.complete(body, cancel)  # the library writes a token at least
        return text if max_tokens else ""

    def rank_names(
        self, messages: Sequence[Message], names: Sequence[str], cancel: CancelToken
    ) -> Mapping[str, float]:
        """Natural log probability with which the answer begins with each name.

        Exact up to the token that tells a name from all others. From the likeliest beginning on,
        at most `_STEPS` places where names part are looked at; names beyond share what is left.
        Raises `EngineError`.
        """
        body: Chunk = {"messages": _chat(messages)}
        with self._reading(messages, cancel):
            prompt = self._llama.render(body)
            ids = {self._token_ids(name): name for name in dict.fromkeys(names)}
            found: dict[str, float] = {}
            waiting: list[tuple[float, _Name, list[_Name]]] = [(0.0, (), list(ids))]
            for step in range(_STEPS):
                if cancel.cancelled:
                    return {}
                waiting.sort(key=lambda entry: entry[0])
                if not waiting or (step and waiting[-1][0] < _best(found) - _NEGLIGIBLE):
                    break
                weight, beginning, below = waiting.pop()
                likely = self._llama.next_tokens([prompt, *beginning], self._slot, _LIKELIEST)
                for token, group in _branches(below, len(beginning), likely).items():
                    logprob = weight + likely.get(token, min(likely.values(), default=_LEAST))
                    if len(group) == 1:
                        found[ids[group[0]]] = logprob
                    else:
                        waiting.append((logprob, (*beginning, token), group))
        for weight, _, below in waiting:
            found |= {ids[name]: weight - math.log(len(below)) for name in below}
        return found

    @contextmanager
    def _reading(self, messages: Sequence[Message], cancel: CancelToken) -> Iterator[None]:
        """Hold the slot while a question is asked in it; save what the question began with."""
        beginning = "aside " + repr([sorted(message.items()) for message in messages[:-1]])
        while not self._lock.acquire(timeout=_POLL_S):
            if cancel.cancelled:
                break
        else:
            try:
                if self._beginning != beginning:
                    self._states.restore(beginning, self._slot)
                    self._beginning = beginning
                yield
                if len(messages) > 1 and beginning not in self._states and not cancel.cancelled:
                    self._states.save(beginning, self._slot)
            finally:
                self._lock.release()
            return
        yield


def _chat(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [
        {"role": message["role"], "content": without_control_tokens(message["content"])}
        for message in messages
    ]


def _branches(
    names: Sequence[_Name], depth: int, likely: dict[int, float]
) -> dict[int, list[_Name]]:
    """Names by their token at `depth`.

    A name that ends there is entered under `_END`, with what the others leave of the probability.
    """
    groups: dict[int, list[_Name]] = defaultdict(list)
    for name in names:
        groups[name[depth] if depth < len(name) else _END].append(name)
    if _END in groups:
        others = sum(math.exp(likely[token]) for token in groups if token in likely)
        likely[_END] = math.log(max(1.0 - others, math.exp(_LEAST)))
    return groups


def _best(found: Mapping[str, float]) -> float:
    return max(found.values(), default=-math.inf)
