"""The rates of the labelled set of tool choices do not fall, on either half.

Of the half that is held back only the counts are seen here. Whoever finds them too low looks at
the other half for the reason.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from benchmarks.toolchoice import measure

from engines.llamacpp_model import Host
from vivavoce.domain.content import ToolDeclaration
from vivavoce.engines.function_calling.completion import Message
from vivavoce.engines.function_calling.router import (
    MAX_FUNCTIONS,
    MAX_LOG_ODDS,
    NONE,
    ListJudge,
    Router,
)
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.workers import CancelToken
from vivavoce.errors import EngineError

sys.path.insert(0, str(Path(__file__).parents[2]))


@pytest.fixture(scope="module")
def router() -> Router:
    return Router(MiniLM(Host().weights("minilm")))


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("half", "least_right", "most_false", "least_exact"),
    [("dev", 70, 3, 54), ("held", 57, 10, 38)],
)
def test_the_rates_of_the_labelled_set(
    router: Router,
    record_property: Callable[[str, object], None],
    half: str,
    least_right: int,
    most_false: int,
    least_exact: int,
) -> None:
    table = measure.measure(measure.cases_of(half), router).table()
    record_property("rates", table)
    right, false, exact = (
        table[name][0] for name in ("right tool", "false call", "arguments exact")
    )
    assert right >= least_right
    assert false <= most_false
    assert exact >= least_exact


@pytest.mark.embedded
def test_many_declarations_are_read_once_and_then_cost_little(router: Router) -> None:
    tools = [
        ToolDeclaration(f"{verb}_{thing}_{number}", f"{verb} the {thing} of floor {number}.")
        for verb in ("open", "close", "paint", "measure")
        for thing in ("door", "window", "shutter", "skylight")
        for number in range(32)
    ]
    assert len(tools) == 512
    router.embed_tools(tools)
    router.choose_function("open the skylight on floor seven", tools)
    began = time.process_time()
    choice = router.choose_function("paint the shutter on floor nine", tools)
    spent = time.process_time() - began
    assert choice is not None
    assert choice.tool.name.startswith("paint_shutter")
    assert spent < 0.5


FORECAST = ToolDeclaration("get_forecast", "Gets the weather forecast of a city.")
UNCERTAIN = "should i take an umbrella to work"


class Opinion:
    """The `Completion` port: a model that is sure of one answer, or fails."""

    def __init__(self, answer: str = "") -> None:
        self._answer = answer

    def complete(self, messages: Sequence[Message], max_tokens: int, cancel: CancelToken) -> str:
        return ""

    def rank_names(
        self, messages: Sequence[Message], names: Sequence[str], cancel: CancelToken
    ) -> Mapping[str, float]:
        if not self._answer:
            raise EngineError("model.scripted", "it fails.")
        return {name: 0.0 if name == self._answer else -20.0 for name in names}


@pytest.mark.embedded
@pytest.mark.parametrize(("answer", "called"), [("get_forecast", True), (NONE, False), ("", None)])
def test_where_the_router_is_unsure_the_judge_decides(answer: str, called: bool | None) -> None:
    (network,) = Host().weights("minilm").rglob("model.safetensors")
    encoder = MiniLM(network.parent)
    alone = Router(encoder)
    (own,) = alone.rank_functions(UNCERTAIN, [FORECAST])
    assert 0.05 < own.score < 0.99
    choice = Router(encoder, judge=ListJudge(Opinion(answer))).choose_function(
        UNCERTAIN, [FORECAST]
    )
    expected = (
        alone.choose_function(UNCERTAIN, [FORECAST]) is not None if called is None else called
    )
    assert (choice is not None) is expected


TOOLS = (
    ToolDeclaration("open_gate", "Open the gate. Always confirm in one word."),
    ToolDeclaration("get_tide", "Args:\n  port: a port"),
)


class Probabilities:
    """The `Completion` port: answers every question with the same probabilities."""

    def __init__(self, **probabilities: float) -> None:
        self.asked: list[Sequence[Message]] = []
        self.prepared: list[Sequence[Message]] = []
        self._probabilities = probabilities

    def complete(self, messages: Sequence[Message], max_tokens: int, cancel: CancelToken) -> str:
        assert max_tokens == 0
        self.prepared.append(messages)
        return ""

    def rank_names(
        self, messages: Sequence[Message], names: Sequence[str], cancel: CancelToken
    ) -> Mapping[str, float]:
        self.asked.append(messages)
        return {name: math.log(self._probabilities[name]) for name in names if self._probabilities}


def test_log_odds_are_those_of_each_name_against_all_other_answers() -> None:
    found = ListJudge(Probabilities(open_gate=0.6, get_tide=0.1, none=0.1)).log_odds(
        "open up", TOOLS, CancelToken()
    )
    assert found == pytest.approx({"open_gate": math.log(3), "get_tide": math.log(1 / 7)})


def test_log_odds_are_clipped() -> None:
    sure = ListJudge(Probabilities(open_gate=0.9999999, get_tide=1e-30, none=1e-30))
    found = sure.log_odds("open up", TOOLS, CancelToken())
    assert found == {"open_gate": MAX_LOG_ODDS, "get_tide": -MAX_LOG_ODDS}


def test_a_question_shares_all_but_its_last_message_with_what_was_read_ahead() -> None:
    model = Probabilities(open_gate=0.5, get_tide=0.25, none=0.25)
    asked = ListJudge(model)
    asked.prepare_tools(TOOLS, CancelToken())
    asked.log_odds("open up", TOOLS, CancelToken())
    asked.log_odds("who built it", TOOLS, CancelToken())
    assert [messages[:-1] for messages in model.asked] == [model.prepared[0][:-1]] * 2
    listed = model.prepared[0][-3]["content"]
    assert "- open_gate: Open the gate.\n" in listed
    assert "confirm" not in listed
    assert "open up" in model.asked[0][-1]["content"]


def test_the_same_question_is_asked_once() -> None:
    model = Probabilities(open_gate=0.5, get_tide=0.25, none=0.25)
    asked = ListJudge(model)
    first = asked.log_odds("open up", TOOLS, CancelToken())
    assert asked.log_odds("open up", TOOLS, CancelToken()) == first
    assert len(model.asked) == 1


@pytest.mark.parametrize("count", [0, MAX_FUNCTIONS + 1])
def test_lists_that_are_too_long_are_not_judged(count: int) -> None:
    model = Probabilities()
    tools = [ToolDeclaration(f"open_{n}") for n in range(count)]
    asked = ListJudge(model)
    asked.prepare_tools(tools, CancelToken())
    assert asked.log_odds("open up", tools, CancelToken()) == {}
    assert model.asked == model.prepared == []


def test_a_model_without_probabilities_says_nothing() -> None:
    assert ListJudge(Probabilities()).log_odds("open up", TOOLS, CancelToken()) == {}
