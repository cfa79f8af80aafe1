"""The labelled sets for the choice of functions keep what is promised about them.

The figures that a method is judged by are worth no more than the set: its size, the share in which
nothing is to be called, paraphrases that don't name the function, labels that fit the schemas,
halves that are alike and have no utterance in common.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.toolchoice import descriptions, dev, held, others, sets
from benchmarks.toolchoice.case import Case, ways
from benchmarks.toolchoice.measure import declarations

BOTH = (*dev.CASES, *held.CASES)
FUNCTIONS = {
    (name, each.name): each for name in (*sets.SETS, *others.SETS) for each in declarations(name)
}
EMPTY_WORDS = {"a", "do", "from", "get", "not", "of", "off", "on", "set", "the", "to"}

each_half = pytest.mark.parametrize("half", [dev.CASES, held.CASES], ids=["dev", "held"])


def positives(cases: Sequence[Case]) -> list[Case]:
    return [case for case in cases if case.call is not None]


def stems(text: str) -> set[str]:
    """The words that say something, without the commonest endings."""
    words = re.findall(r"[a-z]+", text.lower())
    return {re.sub(r"(ing|er|ed|es|s|e)$", "", word) for word in words if word not in EMPTY_WORDS}


def share(cases: Sequence[Case], kind: str) -> float:
    wanted = positives(cases)
    match kind:
        case "nothing called":
            return 1 - len(wanted) / len(cases)
        case "with arguments":
            return sum(bool(one.args) for one in wanted) / len(wanted)
        case "paraphrased":
            return sum(not stems(one.said) & stems(one.call or "") for one in wanted) / len(wanted)
        case _:  # as a recognizer writes: lower case, no marks, no digits
            plain = (re.fullmatch(r"[a-z' ]+", one.said) is not None for one in cases)
            return sum(plain) / len(cases)


@each_half
@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        ("nothing called", 0.36, 0.5),
        ("with arguments", 0.6, 0.9),
        ("paraphrased", 1 / 3, 0.7),
        ("as recognized", 0.4, 0.6),
    ],
)
def test_each_half_has_its_share_of_every_kind(
    half: tuple[Case, ...], kind: str, least: float, most: float
) -> None:
    assert least <= share(half, kind) <= most
    assert share(dev.CASES, kind) == pytest.approx(share(held.CASES, kind), abs=0.1)


@each_half
def test_each_half_is_large_and_calls_every_function(half: tuple[Case, ...]) -> None:
    assert len(half) >= 120
    assert min(Counter(case.tools for case in half)[name] for name in sets.SETS) >= 15
    wanted = {(name, each.name) for name in sets.SETS for each in declarations(name)}
    assert {(case.tools, case.call) for case in positives(half)} == wanted


def test_the_other_sets_are_large_and_half_spoken() -> None:
    assert len(others.SETS) >= 12
    assert max(len(declared) for declared in others.SETS.values()) >= 20
    assert len(others.CASES) >= 240
    assert 0.36 <= share(others.CASES, "nothing called") <= 0.44
    texts = [each.text for one in others.TOOL_SETS.values() for each in one.spoken]
    assert 0.48 <= len(texts) / len(others.CASES) <= 0.52
    assert list(others.recognized()) == texts
    assert all(others.recognized().values())
    called = {(case.tools, case.call) for case in positives(others.CASES)}
    assert len(called) >= 0.9 * sum(len(declared) for declared in others.SETS.values())


def test_no_declaration_and_no_utterance_occurs_twice() -> None:
    names = {name: {each.name for each in declarations(name)} for name in sets.SETS}
    first = set().union(*names.values())
    assert first.isdisjoint(each.name for declared in others.SETS.values() for each in declared)
    texts = [case.said for case in BOTH]
    texts += [t.text for one in others.TOOL_SETS.values() for t in (*one.typed, *one.spoken)]
    counts = Counter(" ".join(re.findall(r"\w+", text.lower())) for text in texts)
    assert [text for text, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("case", [*BOTH, *others.CASES], ids=lambda case: case.tools)
def test_the_label_fits_the_declaration(case: Case) -> None:
    if case.call is None:
        assert (case.args, case.also) == ({}, ())
        return
    schema = FUNCTIONS[case.tools, case.call].parameters or {"type": "object", "properties": {}}
    strict = Draft202012Validator({**schema, "additionalProperties": False})
    for args in (case.args, *case.also):
        assert [error.message for error in strict.iter_errors(args)] == []


@pytest.mark.parametrize(
    ("args", "accepted"),
    [
        ({"title": "Lunch.", "minutes": 30.0, "loud": True}, True),
        ({"title": "the  lunch", "minutes": 30, "loud": True}, True),
        ({"title": "Supper", "minutes": 30, "loud": True}, True),
        ({"title": "lunch, with tom", "minutes": 30, "loud": True}, False),
        ({"title": "my lunch", "minutes": 30, "loud": True}, False),
        ({"title": "lunch", "minutes": "30", "loud": True}, False),
        ({"title": "lunch", "minutes": 30, "loud": 1}, False),
        ({"title": "lunch", "minutes": 30}, False),
        ({"title": "lunch", "minutes": 30, "loud": True, "more": ""}, False),
    ],
)
def test_arguments_are_accepted_as_labelled(args: dict[str, object], accepted: bool) -> None:
    also = ways(title=("dinner", "supper"), minutes=30, loud=True)
    case = Case("t", "s", "c", {"title": "lunch", "minutes": 30, "loud": True}, also)
    assert case.accepts(args) is accepted
    nested = Case("t", "s", "c", {"event": {"title": "lunch", "minutes": 30, "loud": True}}, ())
    assert nested.accepts({"event": args}) is (accepted and args["title"] not in ("Supper",))


def test_each_question_is_asked_under_every_style_of_description() -> None:
    assert len(descriptions.cases()) == 120
    texts = set()
    for style in descriptions.STYLES:
        declared = descriptions.declarations(style)
        assert [each.name for each in declared] == [call for _, call, _ in descriptions.QUESTIONS]
        texts.add(tuple(each.description for each in declared))
    assert len(texts) == 10
