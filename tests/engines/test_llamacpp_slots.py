"""Which conversation gets which slot of the model, and what is saved of the others."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator

import pytest

from engines.llamacpp_model import Host
from vivavoce.engines.llamacpp.llama import Llama, LlamaOptions
from vivavoce.engines.llamacpp.settings import model_file, read_settings
from vivavoce.engines.llamacpp.slots import LlamaCompletion, SlotStates, SlotTable
from vivavoce.engines.workers import CancelToken


@pytest.fixture(scope="module")
def llama() -> Iterator[Llama]:
    path = model_file(read_settings({"model": "qwen-0.5b"}), Host())
    loaded = Llama(LlamaOptions(path, context=512, slots=2, threads=1))
    yield loaded
    loaded.close()


def index_of(table: SlotTable, session: str) -> int:
    with table.use_slot(session, (), CancelToken()) as slot:
        assert slot is not None
        return slot.index


@pytest.mark.embedded
def test_conversations_keep_their_slot_until_it_is_needed(llama: Llama) -> None:
    table = SlotTable(2, SlotStates(llama, 2**20))
    assert (index_of(table, "a"), index_of(table, "b")) == (0, 1)
    assert index_of(table, "a") == 0
    assert index_of(table, "c") == 1, "b was used longest ago"
    table.release_session("a")
    assert index_of(table, "b") == 0
    table.release_session("unknown")


@pytest.mark.embedded
def test_a_slot_serves_one_conversation_at_a_time(llama: Llama) -> None:
    table = SlotTable(1, SlotStates(llama, 0))
    entered = threading.Event()

    def enter() -> None:
        with table.use_slot("b", (), CancelToken()):
            entered.set()

    with table.use_slot("a", (), CancelToken()):
        thread = threading.Thread(target=enter)
        thread.start()
        cancelled = CancelToken()
        cancelled.cancel()
        with table.use_slot("c", (), cancelled) as slot:
            assert slot is None
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()


def read(llama: Llama, slot: int, text: str) -> int:
    """Have a slot read a text; how many tokens it had to compute."""
    computed = 0

    def note(chunk: dict[str, dict[str, int]]) -> None:
        nonlocal computed
        if timings := chunk.get("timings"):
            computed = timings["prompt_n"]

    messages = [{"role": "user", "content": text}]
    body = {"messages": messages, "id_slot": slot, "cache_prompt": True, "max_tokens": 0}
    llama.stream_chat(body, CancelToken(), note)
    return computed


@pytest.mark.embedded
def test_saved_states_come_back_and_the_oldest_are_dropped(llama: Llama) -> None:
    long, other = "one two three four five six seven " * 6, "Something else entirely. " * 9
    read(llama, 0, long)
    size = llama.save_slot(0, "size")
    states = SlotStates(llama, size * 3 // 2)
    states.save_state("first", 0)
    read(llama, 0, other)
    assert states.restore_state("first", 0)
    assert read(llama, 0, long) < 8
    states.save_state("second", 0)
    assert "first" not in states
    assert not states.restore_state("first", 0)
    states.delete_state("second")
    assert "second" not in states


RULES = {"role": "system", "content": "Say which of the animals is meant, by its name alone."}


@pytest.fixture(scope="module")
def questioned() -> Iterator[Llama]:
    path = model_file(read_settings({"model": "qwen-0.5b"}), Host())
    loaded = Llama(LlamaOptions(path, context=2048, slots=1, threads=2))
    yield loaded
    loaded.close()


@pytest.fixture
def completion(questioned: Llama) -> LlamaCompletion:
    return LlamaCompletion(questioned, SlotStates(questioned, 2**26), slot=0)


def asked(text: str) -> list[dict[str, str]]:
    return [RULES, {"role": "user", "content": text}]


@pytest.mark.embedded
def test_a_question_is_answered_within_its_bound(completion: LlamaCompletion) -> None:
    answer = completion.complete(asked("The animal that barks."), 8, CancelToken())
    assert "dog" in answer.lower()
    assert not completion.complete(asked("The animal that barks."), 0, CancelToken())
    cancelled = CancelToken()
    cancelled.cancel()
    assert not completion.complete(asked("The animal that barks."), 8, cancelled)
    assert not completion.rank_names(asked("The animal that barks."), ["Dog"], cancelled)


@pytest.mark.embedded
def test_names_are_ranked_by_probability(completion: LlamaCompletion) -> None:
    names = ("Dog", "Cat", "Cow", "Catfish")
    ranks = completion.rank_names(asked("Say: Dog"), names, CancelToken())
    assert set(ranks) == set(names)
    assert max(ranks, key=lambda name: ranks[name]) == "Dog"
    assert all(value <= 0 for value in ranks.values())
    assert sum(math.exp(value) for value in ranks.values()) <= 1.001
    ranks = completion.rank_names(asked("Say: Cat"), names, CancelToken())
    assert max(ranks, key=lambda name: ranks[name]) == "Cat"


@pytest.mark.embedded
def test_a_name_s_probability_is_that_of_its_tokens(
    questioned: Llama, completion: LlamaCompletion
) -> None:
    """Of two names with the same first token, each has that token's and its second's."""
    question = asked("Say: polar bear")
    ranks = completion.rank_names(question, ("polar bear", "polar fox"), CancelToken())
    prompt = questioned.render_chat({"messages": question})
    first, *rest = questioned.token_ids("polar bear")
    begun = questioned.next_tokens([prompt], 0, 1000)
    then = questioned.next_tokens([prompt, first], 0, 1000)
    assert ranks["polar bear"] == pytest.approx(begun[first] + then[rest[0]], abs=0.3)


@pytest.mark.embedded
def test_512_names_take_a_few_steps(questioned: Llama, completion: LlamaCompletion) -> None:
    names = [f"{verb}_{noun}_{n}" for verb in ("get", "set") for noun in ("lamp", "door")
             for n in range(128)]  # fmt: skip
    ranks = completion.rank_names(asked("set_door_77"), [*names, "none"], CancelToken())
    assert len(ranks) == 513
    assert max(ranks, key=lambda name: ranks[name]).startswith("set_door_7")
