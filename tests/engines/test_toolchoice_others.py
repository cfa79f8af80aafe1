"""The further labelled tool sets are well formed: sizes, shares, labels that fit the schemas."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.toolchoice import descriptions, others, sets
from benchmarks.toolchoice.case import Case

FUNCTIONS = {(name, each.name): each for name, declared in others.SETS.items() for each in declared}
UTTERANCES = [
    (name, each) for name, one in others.TOOL_SETS.items() for each in (*one.typed, *one.spoken)
]


def test_there_are_enough_sets_and_utterances_of_every_kind() -> None:
    assert len(others.SETS) >= 12
    assert max(len(declared) for declared in others.SETS.values()) >= 20
    assert len(others.CASES) >= 240
    silent = sum(case.call is None for case in others.CASES)
    assert 0.36 <= silent / len(others.CASES) <= 0.44
    spoken = sum(len(one.spoken) for one in others.TOOL_SETS.values())
    assert 0.48 <= spoken / len(others.CASES) <= 0.52


def test_every_spoken_text_has_been_recognized() -> None:
    texts = [each.text for one in others.TOOL_SETS.values() for each in one.spoken]
    assert list(others.recognized()) == texts
    assert all(others.recognized().values())


def test_no_declaration_is_one_of_the_first_sets() -> None:
    old = {str(one["name"]) for declared in sets.SETS.values() for one in declared}
    assert {name for _, name in FUNCTIONS} & old == set()


def test_no_text_occurs_twice() -> None:
    counts = Counter(each.text.casefold().strip(" .?!") for _, each in UTTERANCES)
    assert [text for text, count in counts.items() if count > 1] == []


def test_nearly_every_function_is_asked_for() -> None:
    asked = {(case.tools, case.call) for case in others.CASES if case.call}
    assert asked <= set(FUNCTIONS)
    assert len(asked) >= 0.9 * len(FUNCTIONS)


@pytest.mark.parametrize("case", others.CASES, ids=lambda case: case.tools)
def test_the_label_fits_the_declaration(case: Case) -> None:
    if case.call is None:
        assert (case.args, case.also) == ({}, ())
        return
    schema = FUNCTIONS[case.tools, case.call].parameters or {"type": "object"}
    strict = Draft202012Validator({**schema, "additionalProperties": False})
    for args in (case.args, *case.also):
        assert [error.message for error in strict.iter_errors(args)] == []


def test_nested_arguments_are_compared_like_plain_ones() -> None:
    case = Case("t", "s", "c", {"whom": {"name": "Ann", "vip": True}, "rooms": [1, 2]})
    assert case.accepts({"whom": {"name": "ann.", "vip": True}, "rooms": [1.0, 2]})
    assert not case.accepts({"whom": {"name": "Ann", "vip": 1}, "rooms": [1, 2]})
    assert not case.accepts({"whom": {"name": "Ann", "vip": True}, "rooms": [2, 1]})


def test_each_question_is_asked_under_every_style_of_description() -> None:
    assert len(descriptions.STYLES) == 10
    assert len(descriptions.cases()) == 120
    texts = set()
    for style in descriptions.STYLES:
        declared = descriptions.declarations(style)
        assert [each.name for each in declared] == [call for _, call, _ in descriptions.QUESTIONS]
        texts.add(tuple(each.description for each in declared))
    assert len(texts) == 10
