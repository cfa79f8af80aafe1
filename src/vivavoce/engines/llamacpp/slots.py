"""Slots of llama.cpp's KV cache: one for each conversation in use, one for function calling.

A slot holds what the model has read of one conversation. There are fewer slots than there may be
conversations: the one that has not spoken for longest gives its slot up, and its state goes to a
file, from which it comes back in milliseconds (12 KiB a token with Qwen2.5-Coder-0.5B, 28 with
1.5B; 270 tokens are written in 18 ms and read in 1). Reading them anew would take seconds.

What several prompts begin with is kept in the same way, under a key of its own: the second
conversation with the same instruction begins from the first one's state.
"""

from __future__ import annotations

import functools
import hashlib
import math
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from vivavoce.engines.function_calling.completion import Message
from vivavoce.engines.llamacpp.llama import Chunk, Llama, without_control_tokens
from vivavoce.engines.workers import CancelToken
from vivavoce.errors import EngineError

_POLL_S = 0.02


class SlotStates:
    """Saved states of slots by key, at most `most_bytes`; the least recently used ones go first."""

    def __init__(self, llama: Llama, most_bytes: int) -> None:
        self._llama = llama
        self._most = most_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: str) -> bool:
        return _file(key) in self._sizes

    def save_state(self, key: str, slot: int) -> None:
        """Save the state of `slot`, if there is room. A failure costs reading it again, no more."""
        if not self._most:
            return
        with self._lock, suppress(EngineError):
            self._sizes[_file(key)] = self._llama.save_slot(slot, _file(key))
            self._sizes.move_to_end(_file(key))
            while sum(self._sizes.values()) > self._most:
                self._llama.delete_state(self._sizes.popitem(last=False)[0])

    def restore_state(self, key: str, slot: int) -> bool:
        """Load the state saved under `key` into `slot`; returns whether there was one."""
        with self._lock:
            if _file(key) not in self._sizes:
                return False
            self._sizes.move_to_end(_file(key))
            with suppress(EngineError):
                self._llama.restore_slot(slot, _file(key))
                return True
            return False

    def delete_state(self, key: str) -> None:
        """Delete the state saved under `key`."""
        with self._lock:
            if self._sizes.pop(_file(key), None) is not None:
                self._llama.delete_state(_file(key))


def _file(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


@dataclass(slots=True)
class ModelSlot:
    """One slot of the model: its conversation (empty: none), and whether it is in use."""

    index: int
    session: str = ""
    busy: bool = False


class SlotTable:
    """Assignment of slots to conversations. Every method may be called from any thread."""

    def __init__(self, count: int, states: SlotStates) -> None:
        self._slots = [ModelSlot(index) for index in range(count)]
        self._states = states
        self._conversations: OrderedDict[str, int] = OrderedDict()
        self._changed = threading.Condition()

    def first_shown(self, session: str) -> int:
        """Return the index of the first content of a history that is still shown to the model."""
        with self._changed:
            return self._conversations.get(session, 0)

    def show_from(self, session: str, first: int) -> None:
        """Store the index of the first content that is still shown."""
        with self._changed:
            self._conversations[session] = first

    @contextmanager
    def use_slot(
        self, session: str, beginnings: Sequence[str], token: CancelToken
    ) -> Iterator[ModelSlot | None]:
        """Block until the conversation has a slot for itself; `None` if `token` was set before.

        A conversation new to its slot finds there what it had read before, or else what was
        saved under the first of the keys `beginnings`.
        """
        slot, owner = self._claim(session, token)
        try:
            if slot is not None and owner != session:
                if owner:
                    self._states.save_state(f"session {owner}", slot.index)
                keys = (f"session {session}", *beginnings)
                any(self._states.restore_state(key, slot.index) for key in keys)
            yield slot
        finally:
            if slot is not None:
                with self._changed:
                    slot.busy = False
                    self._changed.notify_all()

    def release_session(self, session: str) -> None:
        """End the conversation: free its slot, delete its state."""
        with self._changed:
            self._conversations.pop(session, None)
            for slot in self._slots:
                if slot.session == session:
                    slot.session = ""
        self._states.delete_state(f"session {session}")

    def _claim(self, session: str, token: CancelToken) -> tuple[ModelSlot | None, str]:
        """Return a slot marked as busy, and the conversation that it belonged to before."""
        with self._changed:
            while not token.cancelled:
                slot = self._find(session)
                if slot is not None:
                    self._conversations.setdefault(session, 0)
                    self._conversations.move_to_end(session)
                    owner, slot.session, slot.busy = slot.session, session, True
                    return slot, owner
                self._changed.wait(_POLL_S)
        return None, ""

    def _find(self, session: str) -> ModelSlot | None:
        own = next((slot for slot in self._slots if slot.session == session), None)
        if own is not None:
            return None if own.busy else own
        idle = [slot for slot in self._slots if not slot.busy]
        return min(idle, key=self._last_use, default=None)

    def _last_use(self, slot: ModelSlot) -> int:
        if not slot.session:
            return -1
        order = list(self._conversations)
        return order.index(slot.session) if slot.session in self._conversations else -1


# --- questions beside conversations -------------------------------------------------------

_LIKELIEST = 1000
"""Tokens whose probability is asked for; those of a name beyond have the last one's at most."""

_STEPS = 8
"""Places in the tree of names that are looked at: a token each, 30 to 70 ms."""

_NEGLIGIBLE = 6.0
"""Names this much less likely (natural logarithm) than the best one are not distinguished."""

_LEAST = -20.0
"""Log probability of what is not among the likeliest tokens and has no neighbor there."""

_REMEMBERED_NAMES = 4096
"""Names whose tokens are remembered: each costs a request to the library."""

_END = -1
"""Stands for whatever token follows a name that is the beginning of another one."""

_Name = tuple[int, ...]


class LlamaCompletion:
    """The `Completion` port in a slot of its own, so that it evicts no conversation.

    What the questions begin with (all messages but the last) is saved when it was read first, and
    restored when another beginning was asked about meanwhile. Questions come one at a time.
    """

    def __init__(self, llama: Llama, states: SlotStates, slot: int) -> None:
        self._llama = llama
        self._states = states
        self._slot = slot
        self._beginning = ""
        self._lock = threading.Lock()
        self._token_ids = functools.lru_cache(_REMEMBERED_NAMES)(
            lambda name: tuple(llama.token_ids(name))
        )

    def complete(self, messages: Sequence[Message], max_tokens: int, cancel: CancelToken) -> str:
        """Return the greedy answer to `messages`. Raises `EngineError`."""
        body = {
            "messages": _chat(messages),
            "temperature": 0.0,
            "max_tokens": max_tokens,
            "id_slot": self._slot,
            "cache_prompt": True,
        }
        with self._reading(messages, cancel):
            text = self._llama.complete_chat(body, cancel)  # the library writes a token at least
        return text if max_tokens else ""

    def rank_names(
        self, messages: Sequence[Message], names: Sequence[str], cancel: CancelToken
    ) -> Mapping[str, float]:
        """Return the natural log probability with which the answer begins with each name.

        Exact up to the token that tells a name from all others. From the likeliest beginning on,
        at most `_STEPS` places where names part are looked at; names beyond share what is left.
        Raises `EngineError`.
        """
        body: Chunk = {"messages": _chat(messages)}
        with self._reading(messages, cancel):
            prompt = self._llama.render_chat(body)
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
        """Lock the slot while a question is asked in it; save the state of its prefix."""
        beginning = "aside " + repr([sorted(message.items()) for message in messages[:-1]])
        while not self._lock.acquire(timeout=_POLL_S):
            if cancel.cancelled:
                break
        else:
            try:
                if self._beginning != beginning:
                    self._states.restore_state(beginning, self._slot)
                    self._beginning = beginning
                yield
                if len(messages) > 1 and beginning not in self._states and not cancel.cancelled:
                    self._states.save_state(beginning, self._slot)
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
    """Group names by their token at `depth`.

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
