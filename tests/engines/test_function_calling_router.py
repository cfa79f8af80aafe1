"""The rates of the labelled set of tool choices do not fall, on either half.

Of the half that is held back only the counts are seen here. Whoever finds them too low looks at
the other half for the reason.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from engines.llamacpp_model import Host
from vivavoce.domain.content import ToolDeclaration
from vivavoce.engines.function_calling import judge
from vivavoce.engines.function_calling.completion import Message
from vivavoce.engines.function_calling.judge import ListJudge
from vivavoce.engines.function_calling.router import Router
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.workers import CancelToken
from vivavoce.errors import EngineError

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.toolchoice import measure

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def router() -> Router:
    return Router(MiniLM(Host().weights("minilm")))


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


def test_many_declarations_are_read_once_and_then_cost_little(router: Router) -> None:
    tools = [
        ToolDeclaration(f"{verb}_{thing}_{number}", f"{verb} the {thing} of floor {number}.")
        for verb in ("open", "close", "paint", "measure")
        for thing in ("door", "window", "shutter", "skylight")
        for number in range(32)
    ]
    assert len(tools) == 512
    router.learn(tools)
    router.choose("open the skylight on floor seven", tools)
    began = time.process_time()
    choice = router.choose("paint the shutter on floor nine", tools)
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


@pytest.mark.parametrize(
    ("answer", "called"), [("get_forecast", True), (judge.NONE, False), ("", None)]
)
def test_where_the_router_is_unsure_the_judge_decides(answer: str, called: bool | None) -> None:
    (network,) = Host().weights("minilm").rglob("model.safetensors")
    encoder = MiniLM(network.parent)
    alone = Router(encoder)
    (own,) = alone.rank(UNCERTAIN, [FORECAST])
    assert 0.05 < own.score < 0.99
    choice = Router(encoder, judge=ListJudge(Opinion(answer))).choose(UNCERTAIN, [FORECAST])
    expected = alone.choose(UNCERTAIN, [FORECAST]) is not None if called is None else called
    assert (choice is not None) is expected
