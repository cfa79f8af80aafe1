"""The labelled utterances for the choice of functions keep what is promised about them.

The figures that a method is judged by are worth no more than the set: its size, the share in which
nothing is to be called, paraphrases that don't name the function, labels that fit the schemas,
halves that are alike and have no utterance in common.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from benchmarks.toolchoice import case as cases
    from benchmarks.toolchoice import dev, held, sets
else:
    FOLDER = Path(__file__).parents[2] / "benchmarks" / "toolchoice"
    spec = importlib.util.spec_from_file_location(
        "toolchoice", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    sys.modules["toolchoice"] = importlib.util.module_from_spec(spec)
    cases, dev, held, sets = (
        importlib.import_module(f"toolchoice.{name}") for name in ("case", "dev", "held", "sets")
    )

HALVES = {"dev": dev.CASES, "held": held.CASES}
BOTH = [*dev.CASES, *held.CASES]
FUNCTIONS = {
    (tools, str(declaration["name"])): declaration
    for tools, declarations in sets.SETS.items()
    for declaration in declarations
}
EMPTY_WORDS = {"a", "do", "from", "get", "not", "of", "off", "on", "set", "the", "to"}

each_half = pytest.mark.parametrize("half", HALVES.values(), ids=HALVES.keys())


def positives(half: tuple[cases.Case, ...]) -> list[cases.Case]:
    return [case for case in half if case.call is not None]


def stems(text: str) -> set[str]:
    """The words that say something, without the commonest endings."""
    words = re.findall(r"[a-z]+", text.lower())
    return {re.sub(r"(ing|er|ed|es|s|e)$", "", word) for word in words if word not in EMPTY_WORDS}


def names_the_function(case: cases.Case) -> bool:
    return bool(stems(case.said) & stems(case.call or ""))


def is_as_recognised(said: str) -> bool:
    """Whether it is written as a recogniser writes: lower case, no marks, no digits."""
    return re.fullmatch(r"[a-z' ]+", said) is not None


def share(half: tuple[cases.Case, ...], kind: str) -> float:
    wanted = positives(half)
    match kind:
        case "nothing called":
            return 1 - len(wanted) / len(half)
        case "with arguments":
            return sum(bool(case.args) for case in wanted) / len(wanted)
        case "paraphrased":
            return sum(not names_the_function(case) for case in wanted) / len(wanted)
        case _:
            return sum(is_as_recognised(case.said) for case in half) / len(half)


@each_half
@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        ("nothing called", 0.36, 0.5),
        ("with arguments", 0.6, 0.9),
        ("paraphrased", 1 / 3, 0.7),
        ("as recognised", 0.4, 0.6),
    ],
)
def test_each_half_has_its_share_of_every_kind(
    half: tuple[cases.Case, ...], kind: str, least: float, most: float
) -> None:
    assert least <= share(half, kind) <= most


@each_half
def test_each_half_is_large_and_spread_over_all_sets(half: tuple[cases.Case, ...]) -> None:
    assert len(half) >= 120
    assert set(sets.SETS) == {case.tools for case in half}
    assert min(Counter(case.tools for case in half).values()) >= 15


@each_half
def test_each_half_calls_every_function(half: tuple[cases.Case, ...]) -> None:
    assert {(case.tools, case.call) for case in positives(half)} == set(FUNCTIONS)


def test_the_halves_are_alike() -> None:
    for kind in ("nothing called", "with arguments", "paraphrased", "as recognised"):
        assert share(dev.CASES, kind) == pytest.approx(share(held.CASES, kind), abs=0.1), kind
    assert Counter((case.tools, case.call is None) for case in dev.CASES) == Counter(
        (case.tools, case.call is None) for case in held.CASES
    )


def test_no_utterance_occurs_twice() -> None:
    said = Counter(" ".join(re.findall(r"\w+", case.said.lower())) for case in BOTH)
    assert [words for words, times in said.items() if times > 1] == []


def test_the_tool_sets_are_declared_as_the_live_api_wants_them() -> None:
    assert len(sets.SETS) >= 8
    for declarations in sets.SETS.values():
        assert 3 <= len(declarations) <= 8
        assert len({declaration["name"] for declaration in declarations}) == len(declarations)
    for declaration in FUNCTIONS.values():
        assert declaration.keys() <= {"name", "description", "parameters"}
        assert re.fullmatch(r"[a-z_]+", str(declaration["name"]))
        Draft202012Validator.check_schema(declaration.get("parameters", {}))
    assert any(declaration.keys() == {"name"} for declaration in FUNCTIONS.values())


@pytest.mark.parametrize("case", BOTH, ids=lambda case: case.tools)
def test_the_label_fits_the_declaration(case: cases.Case) -> None:
    if case.call is None:
        assert (case.args, case.also) == ({}, ())
        return
    none = {"type": "object", "properties": {}}
    schema = FUNCTIONS[case.tools, case.call].get("parameters", none)
    assert isinstance(schema, dict)
    strict = Draft202012Validator({**schema, "additionalProperties": False})
    for args in (case.args, *case.also):
        assert [error.message for error in strict.iter_errors(args)] == []


@pytest.mark.parametrize(
    ("args", "accepted"),
    [
        ({"title": "Lunch.", "minutes": 30.0, "loud": True}, True),
        ({"title": "the  lunch", "minutes": 30, "loud": True}, True),
        ({"title": "my lunch", "minutes": 30, "loud": True}, False),
        ({"title": "lunch", "minutes": "30", "loud": True}, False),
        ({"title": "lunch", "minutes": 30, "loud": 1}, False),
        ({"title": "lunch", "minutes": 30}, False),
        ({"title": "lunch", "minutes": 30, "loud": True, "more": ""}, False),
    ],
)
def test_arguments_are_accepted_as_labelled(args: dict[str, object], accepted: bool) -> None:
    also = cases.ways(title=("the lunch", "a lunch"), minutes=30, loud=True)
    case = cases.Case("t", "s", "c", {"title": "lunch", "minutes": 30, "loud": True}, also)
    assert case.accepts(args) is accepted
