"""Short questions to the embedded language model, beside its conversations."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from engines.llamacpp_model import Host
from vivavoce.engines.llamacpp.completion import LlamaCompletion
from vivavoce.engines.llamacpp.llama import Llama, LlamaOptions
from vivavoce.engines.llamacpp.settings import model_file, read_settings
from vivavoce.engines.llamacpp.slots import SlotStates
from vivavoce.engines.workers import CancelToken

pytestmark = pytest.mark.embedded

RULES = {"role": "system", "content": "Say which of the animals is meant, by its name alone."}


@pytest.fixture(scope="module")
def llama() -> Iterator[Llama]:
    path = model_file(read_settings({"model": "qwen-0.5b"}), Host())
    loaded = Llama(LlamaOptions(path, context=2048, slots=1, threads=2))
    yield loaded
    loaded.close()


@pytest.fixture
def completion(llama: Llama) -> LlamaCompletion:
    return LlamaCompletion(llama, SlotStates(llama, 2**26), slot=0)


def asked(text: str) -> list[dict[str, str]]:
    return [RULES, {"role": "user", "content": text}]


def test_a_question_is_answered_within_its_bound(completion: LlamaCompletion) -> None:
    answer = completion.complete(asked("The animal that barks."), 8, CancelToken())
    assert "dog" in answer.lower()
    assert not completion.complete(asked("The animal that barks."), 0, CancelToken())
    cancelled = CancelToken()
    cancelled.cancel()
    assert not completion.complete(asked("The animal that barks."), 8, cancelled)
    assert not completion.rank_names(asked("The animal that barks."), ["Dog"], cancelled)


def test_names_are_ranked_by_probability(completion: LlamaCompletion) -> None:
    names = ("Dog", "Cat", "Cow", "Catfish")
    ranks = completion.rank_names(asked("Say: Dog"), names, CancelToken())
    assert set(ranks) == set(names)
    assert max(ranks, key=lambda name: ranks[name]) == "Dog"
    assert all(value <= 0 for value in ranks.values())
    assert sum(math.exp(value) for value in ranks.values()) <= 1.001
    ranks = completion.rank_names(asked("Say: Cat"), names, CancelToken())
    assert max(ranks, key=lambda name: ranks[name]) == "Cat"


def test_a_name_s_probability_is_that_of_its_tokens(
    llama: Llama, completion: LlamaCompletion
) -> None:
    """Of two names with the same first token, each has that token's and its second's."""
    question = asked("Say: polar bear")
    ranks = completion.rank_names(question, ("polar bear", "polar fox"), CancelToken())
    prompt = llama.render({"messages": question})
    first, *rest = llama.token_ids("polar bear")
    begun = llama.next_tokens([prompt], 0, 1000)
    then = llama.next_tokens([prompt, first], 0, 1000)
    assert ranks["polar bear"] == pytest.approx(begun[first] + then[rest[0]], abs=0.3)


def test_512_names_take_a_few_steps(llama: Llama, completion: LlamaCompletion) -> None:
    names = [f"{verb}_{noun}_{n}" for verb in ("get", "set") for noun in ("lamp", "door")
             for n in range(128)]  # fmt: skip
    ranks = completion.rank_names(asked("set_door_77"), [*names, "none"], CancelToken())
    assert len(ranks) == 513
    assert max(ranks, key=lambda name: ranks[name]).startswith("set_door_7")
