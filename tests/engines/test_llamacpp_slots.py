"""Which conversation gets which slot of the model, and what is saved of the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from engines.llamacpp_model import Host
from vivavoce.engines.llamacpp.llama import Llama, LlamaOptions
from vivavoce.engines.llamacpp.settings import model_file, read_settings
from vivavoce.engines.llamacpp.slots import SlotStates, SlotTable
from vivavoce.engines.workers import CancelToken

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def llama() -> Iterator[Llama]:
    path = model_file(read_settings({"model": "qwen-0.5b"}), Host())
    loaded = Llama(LlamaOptions(path, context=512, slots=2, threads=1))
    yield loaded
    loaded.close()


def index_of(table: SlotTable, session: str) -> int:
    with table.use(session, (), CancelToken()) as slot:
        assert slot is not None
        return slot.index


def test_conversations_keep_their_slot_until_it_is_needed(llama: Llama) -> None:
    table = SlotTable(2, SlotStates(llama, 2**20))
    assert (index_of(table, "a"), index_of(table, "b")) == (0, 1)
    assert index_of(table, "a") == 0
    assert index_of(table, "c") == 1, "b was used longest ago"
    table.release("a")
    assert index_of(table, "b") == 0
    table.release("unknown")


def test_a_slot_serves_one_conversation_at_a_time(llama: Llama) -> None:
    table = SlotTable(1, SlotStates(llama, 0))
    entered = threading.Event()

    def enter() -> None:
        with table.use("b", (), CancelToken()):
            entered.set()

    with table.use("a", (), CancelToken()):
        thread = threading.Thread(target=enter)
        thread.start()
        cancelled = CancelToken()
        cancelled.cancel()
        with table.use("c", (), cancelled) as slot:
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
    llama.stream(body, CancelToken(), note)
    return computed


def test_saved_states_come_back_and_the_oldest_are_dropped(llama: Llama) -> None:
    long, other = "one two three four five six seven " * 6, "Something else entirely. " * 9
    read(llama, 0, long)
    size = llama.save_slot(0, "size")
    states = SlotStates(llama, size * 3 // 2)
    states.save("first", 0)
    read(llama, 0, other)
    assert states.restore("first", 0)
    assert read(llama, 0, long) < 8
    states.save("second", 0)
    assert "first" not in states
    assert not states.restore("first", 0)
    states.delete("second")
    assert "second" not in states
