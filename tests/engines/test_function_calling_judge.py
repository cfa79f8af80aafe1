"""The list judge, and how the router adds its opinion, with a scripted model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest

from vivavoce.domain.content import ToolDeclaration
from vivavoce.engines.function_calling import judge
from vivavoce.engines.function_calling.completion import Message
from vivavoce.engines.function_calling.judge import ListJudge
from vivavoce.engines.workers import CancelToken

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
    assert found == {"open_gate": judge.MAX_LOG_ODDS, "get_tide": -judge.MAX_LOG_ODDS}


def test_a_question_shares_all_but_its_last_message_with_what_was_read_ahead() -> None:
    model = Probabilities(open_gate=0.5, get_tide=0.25, none=0.25)
    asked = ListJudge(model)
    asked.prepare(TOOLS, CancelToken())
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


@pytest.mark.parametrize("count", [0, judge.MAX_FUNCTIONS + 1])
def test_lists_that_are_too_long_are_not_judged(count: int) -> None:
    model = Probabilities()
    tools = [ToolDeclaration(f"open_{n}") for n in range(count)]
    asked = ListJudge(model)
    asked.prepare(tools, CancelToken())
    assert asked.log_odds("open up", tools, CancelToken()) == {}
    assert model.asked == model.prepared == []


def test_a_model_without_probabilities_says_nothing() -> None:
    assert ListJudge(Probabilities()).log_odds("open up", TOOLS, CancelToken()) == {}
